//! Security of all pages. Requests from other sites are refused, session errors become a page or JSON, and responses get
//! security headers.

use axum::Router;
use axum::extract::Request;
use axum::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tower_http::csrf::CsrfLayer;

use session_tower::ErrorResponse;

use crate::{api, error_page};

/// Content security policy: no scripts, nothing from other sites, and no framing of these pages.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// Puts the check and the headers around `app`.
///
/// `SameSite=Lax` keeps the cookie from other sites' forms. The check also refuses other ports and subdomains, which count as the
/// same site for a cookie. It covers the JSON interface too, because its scripts use the pages' cookie.
pub(crate) fn around(app: Router) -> Router {
    let refused = |_| error_page::refused(StatusCode::FORBIDDEN, "This came from another site's page.").into_response();
    app.layer(CsrfLayer::new().with_rejection_response(refused)).layer(middleware::from_fn(headers))
}

async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// Returns the response for a session error: JSON for a script, a page for a browser.
pub(crate) fn failed(error: &ErrorResponse, request: &Parts) -> Response {
    let by_script = request.uri.path().starts_with("/api/");
    if by_script { api::failed(error) } else { error_page::failed(error) }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::http::Request;
    use axum::routing::post;
    use tower::ServiceExt as _;

    use super::around;

    async fn status(headers: &[(&str, &str)]) -> u16 {
        let app = around(Router::new().route("/", post(async || "")));
        let request = headers.iter().fold(Request::post("/"), |request, (name, value)| request.header(*name, *value));
        app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn the_shops_own_forms_and_programs_pass() {
        for headers in [
            &[("sec-fetch-site", "same-origin"), ("origin", "http://shop"), ("host", "shop")][..],
            &[("sec-fetch-site", "none")],
            &[("origin", "http://shop:3000"), ("host", "shop:3000")],
            &[("host", "shop")],
        ] {
            assert_eq!(status(headers).await, 200, "{headers:?}");
        }
    }

    #[tokio::test]
    async fn other_sites_subdomains_and_ports_do_not() {
        for headers in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site")],
            &[("origin", "http://shop:4000"), ("host", "shop:3000")],
            &[("origin", "null"), ("host", "shop")],
            &[("origin", "http://shop")],
        ] {
            assert_eq!(status(headers).await, 403, "{headers:?}");
        }
    }
}
