//! `Set-Cookie` and caching headers of a response.

use http::header::{CACHE_CONTROL, Entry, SET_COOKIE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use session_http::{Caching, CommitReport};

/// Response extension that leaves `Cache-Control` and `Vary` as the handler set them.
///
/// Use it for a page that reads the session but is the same for every client, or that a browser may keep for a while.
/// The handler is then responsible for both headers. The extension has no effect on errors or on a response with a `Set-Cookie`,
/// because a cached cookie gives one user the session of another.
///
/// ```
/// use axum::response::{Extension, IntoResponse};
/// use session_tower::{OwnCaching, Session};
///
/// async fn logo(session: Session) -> impl IntoResponse {
///     (Extension(OwnCaching), [("cache-control", "private, max-age=600")], "<svg/>")
/// }
/// # let _ = axum::routing::get::<_, _, ()>(logo);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnCaching;

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// Adds the values of sessions and the caching headers to a response.
pub(crate) fn finish<B>(response: &mut Response<B>, committed: CommitReport, failed: bool) {
    if let Some(stale) = committed.clear_site_data() {
        // The handler may have named other data. The browser reads the values of all lines (RFC 9110, 5.2).
        response.headers_mut().append(CLEAR_SITE_DATA, HeaderValue::from_static(stale));
    }
    let CommitReport { set_cookie, tokens, vary, caching, .. } = committed;
    for (name, token) in tokens {
        match HeaderValue::try_from(token.into_string()) {
            Ok(mut value) => {
                value.set_sensitive(true);
                response.headers_mut().insert(name, value);
            }
            // Unreachable: an id and base64 are ASCII.
            Err(_) => tracing::error!("a session's token is not a header value"),
        }
    }
    for line in set_cookie {
        match HeaderValue::try_from(line.into_string()) {
            Ok(mut value) => {
                value.set_sensitive(true);
                response.headers_mut().append(SET_COOKIE, value);
            }
            // Unreachable: names and attributes are checked to be ASCII when the layer is built.
            Err(_) => tracing::error!("a session's cookie is not a header value"),
        }
    }
    let has_cookie = response.headers().contains_key(SET_COOKIE);
    let own = response.extensions().get::<OwnCaching>().is_some();
    if own && !has_cookie && !failed {
        return;
    }
    let strictest =
        if failed || (has_cookie && caching != Caching::Free) { caching.max(Caching::Never) } else { caching };
    restrict(response.headers_mut(), strictest, &vary);
}

fn restrict(headers: &mut HeaderMap, caching: Caching, vary: &[&'static str]) {
    for &vary in vary {
        let value = constant(vary);
        match headers.entry(VARY) {
            Entry::Vacant(none) => drop(none.insert(value)),
            Entry::Occupied(mut some) => {
                if !lists(some.iter(), vary) && !lists(some.iter(), "*") {
                    some.append(value);
                }
            }
        }
    }
    let Some(control) = caching.cache_control() else { return };
    let targeted: Vec<_> = headers.keys().filter(|name| Caching::is_targeted(name.as_str())).cloned().collect();
    targeted.iter().for_each(|name| drop(headers.remove(name)));
    // Keep `no-store` from the handler or an inner layer, because it is stricter than `private`.
    if caching >= Caching::Never || !lists(headers.get_all(CACHE_CONTROL).iter(), "no-store") {
        let value = with_unrelated(control, headers);
        headers.insert(CACHE_CONTROL, value);
    }
}

/// Returns `control` with the directives of the response that are not about caching, such as `no-transform`.
fn with_unrelated(control: &'static str, headers: &HeaderMap) -> HeaderValue {
    if !headers.contains_key(CACHE_CONTROL) {
        return constant(control);
    }
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let is_unrelated = |directive: &&str| {
        let name = directive.split('=').next().unwrap_or_default().trim();
        !name.is_empty() && !Caching::is_about_caching(name)
    };
    let unrelated: String = values.flat_map(directives).filter(is_unrelated).map(|one| format!(", {one}")).collect();
    if unrelated.is_empty() {
        return constant(control);
    }
    HeaderValue::try_from(format!("{control}{unrelated}")).unwrap_or(constant(control))
}

/// Value of a header. The ones that most responses get are made by the compiler, because making one from its text checks each byte.
fn constant(text: &'static str) -> HeaderValue {
    const PRIVATE: HeaderValue = HeaderValue::from_static("private, no-cache");
    const SIGNED_IN: HeaderValue = HeaderValue::from_static("private, no-store");
    const COOKIE: HeaderValue = HeaderValue::from_static("Cookie");
    match text {
        "private, no-cache" => PRIVATE,
        "private, no-store" => SIGNED_IN,
        "Cookie" => COOKIE,
        _ => HeaderValue::from_static(text),
    }
}

/// Directives of a `Cache-Control` value. A comma between quotation marks separates none.
fn directives(value: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let parts = value.split(move |c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    parts.map(str::trim)
}

/// Whether the comma-separated `values` contain `word`.
fn lists<'v>(values: impl Iterator<Item = &'v HeaderValue>, word: &str) -> bool {
    let values = values.filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(word))
}
