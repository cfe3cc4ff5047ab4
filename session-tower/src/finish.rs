//! Responses after the commit: errors, the application's page for them, cookies and caching.

use axum_core::body::Body;
use axum_core::response::IntoResponse as _;
use http::header::{
    ACCEPT_RANGES, CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY, ETAG, HeaderMap, HeaderName,
    LAST_MODIFIED, LOCATION, REFRESH, SET_COOKIE, TRAILER, TRANSFER_ENCODING,
};
use http::{Response, request};
use session_http::{Caching, CommitReport};

use crate::config::Config;
use crate::{ErrorResponse, caching};

/// Finishes a response without a commit, because the request used no session or an outer layer commits it.
///
/// The handler may still have returned an [`ErrorResponse`].
pub(crate) fn without_commit(
    mut response: Response<Body>,
    request: Option<&request::Parts>,
    config: &Config,
) -> Response<Body> {
    if own_page(&mut response, request, config) {
        let mut nothing = CommitReport::default();
        (nothing.caching, nothing.vary) = (Caching::Never, Caching::Never.vary().into_iter().collect());
        caching::finish(&mut response, nothing, true);
    }
    response
}

/// Finishes a response after the commit.
pub(crate) fn with_commit(
    mut response: Response<Body>,
    mut committed: CommitReport,
    request: Option<&request::Parts>,
    config: &Config,
) -> Response<Body> {
    if let Some(error) = committed.error.take() {
        // The handler's response must not be sent, because it would promise changes that were not stored.
        replace(&mut response, ErrorResponse::from(error).into_response());
    }
    let failed = response.extensions().get::<ErrorResponse>().is_some();
    own_page(&mut response, request, config);
    caching::finish(&mut response, committed, failed);
    response
}

/// Replaces an error's response with the application's page, and returns whether it did.
///
/// It also removes the error from the response, so that no outer layer replaces the page again.
fn own_page(response: &mut Response<Body>, request: Option<&request::Parts>, config: &Config) -> bool {
    let (Some(page), Some(request)) = (&config.on_error, request) else { return false };
    let Some(error) = response.extensions_mut().remove::<ErrorResponse>() else { return false };
    replace(response, page(&error, request));
    true
}

/// Puts `page` in the place of `response`, and keeps the headers that are not about its body.
///
/// Inner layers have set them for the client or for outer layers: cookies of other sessions, CORS, tokens against cross-site requests.
fn replace(response: &mut Response<Body>, page: Response<Body>) {
    let (mut head, body) = page.into_parts();
    let kept = std::mem::take(response).into_parts().0;
    let mut headers = kept.headers;
    remove_about_body(&mut headers);
    let mut name = None;
    for (next, value) in head.headers.drain() {
        // Further values of a header come without its name.
        let is_first = next.is_some();
        name = next.or(name);
        let Some(name) = &name else { continue };
        if is_first && *name != SET_COOKIE {
            headers.insert(name.clone(), value);
        } else {
            headers.append(name.clone(), value);
        }
    }
    head.headers = headers;
    let of_page = std::mem::replace(&mut head.extensions, kept.extensions);
    head.extensions.extend(of_page);
    *response = Response::from_parts(head, body);
}

/// Removes the headers that describe a response's body or lead away from it.
///
/// `Content-Security-Policy` stays although its name begins with `Content-`: it protects whatever body the response has.
fn remove_about_body(headers: &mut HeaderMap) {
    const OTHERS: [HeaderName; 7] = [ACCEPT_RANGES, ETAG, LAST_MODIFIED, LOCATION, REFRESH, TRAILER, TRANSFER_ENCODING];
    let is_about_body = |name: &HeaderName| {
        let is_policy = [CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY].contains(name);
        let is_digest = name == "digest" || name == "repr-digest";
        (name.as_str().starts_with("content-") && !is_policy) || is_digest || OTHERS.contains(name)
    };
    let names: Vec<_> = headers.keys().filter(|name| is_about_body(name)).cloned().collect();
    names.iter().for_each(|name| drop(headers.remove(name)));
}
