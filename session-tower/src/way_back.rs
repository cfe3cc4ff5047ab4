//! Way back to the page that a user asked for before signing in.

use std::convert::Infallible;
use std::fmt;

use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};

use crate::head::original_uri;

/// Name of the query parameter.
const NEXT: &str = "next";

/// Maximum length of a way back in bytes.
const MOST: usize = 2048;

/// Page that the user asked for before [`require`](crate::require) sent the browser to the sign-in page. Without one it is `/`.
///
/// It comes from the query parameter `next` of the request, which anyone can write into a link. So it is checked again here: it begins
/// with one `/` and has neither `\`, space nor control character, and at most 2048 bytes. So it never leads to another site
/// (OWASP ASVS 5.0, 3.7.2).
///
/// As a response, it is a 303 to that page. A form without an `action` keeps the query of its page, so the parameter reaches the
/// request that signs in.
///
/// ```
/// use session_tower::{Next, Result, Session};
///
/// async fn sign_in(session: Session, next: Next) -> Result<Next> {
///     // ... after checking the password:
///     session.login("ann")?;
///     Ok(next)
/// }
/// # let _ = axum::routing::post::<_, _, ()>(sign_in);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next(Option<Box<str>>);

impl Next {
    /// Path and query of the page.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or("/")
    }

    /// Whether the request named a page, and it passed the checks.
    pub fn is_given(&self) -> bool {
        self.0.is_some()
    }
}

impl fmt::Display for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Next {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let mut pairs = parts.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        let next = pairs.find(|(name, _)| *name == NEXT).and_then(|(_, value)| decode(value));
        Ok(Self(next.filter(|path| is_safe(path)).map(String::into_boxed_str)))
    }
}

impl IntoResponse for Next {
    fn into_response(self) -> Response {
        let location = HeaderValue::try_from(self.as_str()).unwrap_or(HeaderValue::from_static("/"));
        (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
    }
}

/// Whether `path` leads to a page of this site: one `/` first, as `//` or `/\` begins another host's address, and only visible ASCII,
/// as browsers drop tabs and line breaks from an address (URL Standard, basic URL parser).
fn is_safe(path: &str) -> bool {
    path.len() <= MOST
        && path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
}

/// Returns `page` with the way back to a GET request. Another method has none, because its page cannot be asked for again.
pub(crate) fn with_next(page: &str, parts: &Parts) -> String {
    let uri = original_uri(parts);
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let is_default = target == "/";
    if parts.method != Method::GET || is_default || !is_safe(target) {
        return page.to_owned();
    }
    let (page, fragment) = match page.split_once('#') {
        Some((page, fragment)) => (page, format!("#{fragment}")),
        None => (page, String::new()),
    };
    let separator = if page.contains('?') { '&' } else { '?' };
    format!("{page}{separator}{NEXT}={}{fragment}", encode(target))
}

/// Whether the request asks for `page` itself.
pub(crate) fn is_for(parts: &Parts, page: &str) -> bool {
    page.split(['?', '#']).next() == Some(original_uri(parts).path())
}

/// Percent-encodes all but unreserved characters and `/` (RFC 3986, 2.3).
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => encoded.push(char::from(b)),
            _ => encoded += &format!("%{b:02X}"),
        }
    }
    encoded
}

/// Decodes the value of a form (URL Standard, application/x-www-form-urlencoded). `None` if it is not UTF-8.
fn decode(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&b, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        match (b, byte.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = after;
            }
            _ => {
                bytes.push(b);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(method: Method, uri: &str) -> Parts {
        Request::builder().method(method).uri(uri).body(()).unwrap().into_parts().0
    }

    fn next(query: &str) -> Next {
        let mut parts = parts(Method::GET, &format!("/sign-in?{query}"));
        let read = Next::from_request_parts(&mut parts, &());
        let mut read = std::pin::pin!(read);
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match std::future::Future::poll(read.as_mut(), &mut cx) {
            std::task::Poll::Ready(Ok(next)) => next,
            std::task::Poll::Pending => panic!("it waits for nothing"),
        }
    }

    #[test]
    fn only_pages_of_this_site_are_a_way_back() {
        for good in ["/", "/a", "/a/b?c=d&e=f", "/a//b", "/%2F%2Fevil.example", "/a?u=https://b.example"] {
            assert_eq!(next(&format!("next={}", encode(good))).as_str(), good);
        }
        let long = format!("/{}", "a".repeat(MOST));
        let bad = [
            "",
            "a",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/\t/evil.example",
            "/\n",
            "\t//evil.example",
            " /a",
            "/a b",
            "/a\u{7f}",
            "/ä",
            "/a\\b",
            &long,
        ];
        for bad in bad {
            let next = next(&format!("next={}", encode(bad)));
            assert_eq!((next.as_str(), next.is_given()), ("/", false), "{bad:?}");
        }
        assert_eq!(next("next=%2").as_str(), "/");
        assert_eq!(next("next=/%FF").as_str(), "/");
        assert_eq!(next("next=/a+b").as_str(), "/", "a plus is a space");
        assert_eq!(next("other=1&next=%2Fa").as_str(), "/a");
    }

    #[test]
    fn a_get_request_gets_a_way_back_and_no_other() {
        let get = |uri| with_next("/sign-in", &parts(Method::GET, uri));
        assert_eq!(get("/a?b=c&d=%20"), "/sign-in?next=/a%3Fb%3Dc%26d%3D%2520");
        assert_eq!(get("http://shop.example/a"), "/sign-in?next=/a");
        assert_eq!(get("//evil.example/a"), "/sign-in");
        assert_eq!(get("/"), "/sign-in", "the start page is the default");
        assert_eq!(with_next("/sign-in?lang=de#form", &parts(Method::GET, "/a")), "/sign-in?lang=de&next=/a#form");
        for method in [Method::POST, Method::HEAD, Method::PUT] {
            assert_eq!(with_next("/sign-in", &parts(method, "/a")), "/sign-in");
        }
    }
}
