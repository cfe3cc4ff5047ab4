//! Security of all pages. Requests from other sites are refused, session errors become a page or JSON, and responses get
//! security headers.

use axum::Router;
use axum::extract::Request;
use axum::http::header::{
    CONTENT_SECURITY_POLICY, HOST, HeaderMap, HeaderName, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};

use session_tower::ErrorResponse;

use crate::{api, error_page};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Content security policy: no scripts, nothing from other sites, and no framing of these pages.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// Puts the checks and the headers around `app`.
pub(crate) fn around(app: Router) -> Router {
    app.layer(middleware::from_fn(check))
}

async fn check(request: Request, next: Next) -> Response {
    let harmless = request.method().is_safe();
    let mut response = if harmless || is_from_here(request.headers()) {
        next.run(request).await
    } else {
        error_page::refused(StatusCode::FORBIDDEN, "This came from another site's page.").into_response()
    };
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

/// Whether a request that may change something comes from these pages, directly from the user, or from a program that is not a
/// browser. `SameSite=Lax` keeps the cookie from other sites' forms. This check also refuses other ports and subdomains, which
/// count as the same site for a cookie.
fn is_from_here(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    // Browsers before 2023 send only `Origin`.
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let host = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    host.is_some() && host == headers.get(HOST).and_then(|host| host.to_str().ok())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::is_from_here;

    fn from_here(headers: &[(&'static str, &'static str)]) -> bool {
        let mut map = HeaderMap::new();
        for &(name, value) in headers {
            map.insert(name, value.parse().unwrap());
        }
        is_from_here(&map)
    }

    #[test]
    fn the_shops_own_forms_and_programs_pass() {
        assert!(from_here(&[("sec-fetch-site", "same-origin"), ("origin", "http://shop"), ("host", "shop")]));
        assert!(from_here(&[("sec-fetch-site", "none")]));
        assert!(from_here(&[("origin", "http://shop:3000"), ("host", "shop:3000")]));
        assert!(from_here(&[("host", "shop")]));
    }

    #[test]
    fn other_sites_subdomains_and_ports_do_not() {
        assert!(!from_here(&[("sec-fetch-site", "cross-site")]));
        assert!(!from_here(&[("sec-fetch-site", "same-site")]));
        assert!(!from_here(&[("origin", "http://shop:4000"), ("host", "shop:3000")]));
        assert!(!from_here(&[("origin", "null"), ("host", "shop")]));
        assert!(!from_here(&[("origin", "http://shop")]));
    }
}
