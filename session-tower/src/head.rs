//! Heads of requests as `session-http` reads them.

use std::any::Any;
use std::net::IpAddr;

use http::header::{COOKIE, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Uri};
use session_http::{RequestHead, Transport};

/// Head of a request that is being handled.
pub(crate) struct Head<'p>(pub(crate) &'p Parts);

impl RequestHead for Head<'_> {
    fn header(&self, name: &str, nth: usize) -> Option<&[u8]> {
        values(&self.0.headers, name).nth(nth).map(HeaderValue::as_bytes)
    }

    fn visit_values<'h>(&'h self, name: &str, visit: &mut dyn FnMut(&'h [u8])) {
        values(&self.0.headers, name).map(HeaderValue::as_bytes).for_each(visit);
    }

    fn visit_headers<'h>(&'h self, visit: &mut dyn FnMut(&str, &'h [u8])) {
        self.0.headers.iter().for_each(|(name, value)| visit(name.as_str(), value.as_bytes()));
    }

    fn method(&self) -> Option<&str> {
        Some(self.0.method.as_str())
    }

    fn path(&self) -> Option<&str> {
        Some(original_uri(self.0).path())
    }

    fn host(&self) -> Option<&str> {
        host(original_uri(self.0), self.0.headers.get(HOST))
    }

    fn peer(&self) -> Option<IpAddr> {
        peer(self.0)
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self.0)
    }
}

/// The parts of a head that opening a session needs after its request was taken apart. `http` counts references, so this copies no bytes.
#[derive(Clone)]
pub(crate) struct KeptHead {
    cookies: Box<[HeaderValue]>,
    /// Headers of other transports, by name.
    others: Box<[(&'static str, HeaderValue)]>,
    uri: Uri,
    host: Option<HeaderValue>,
}

impl KeptHead {
    pub(crate) fn of(parts: &Parts, transports: impl Iterator<Item = Transport>) -> Self {
        // Nested layers may have the same transports.
        let mut names: Vec<_> = transports.map(Transport::request_header).filter(|name| *name != "cookie").collect();
        names.sort_unstable();
        names.dedup();
        let values = |name| parts.headers.get_all(name).into_iter().map(move |value| (name, value.clone()));
        Self {
            cookies: parts.headers.get_all(COOKIE).into_iter().cloned().collect(),
            others: names.into_iter().flat_map(values).collect(),
            uri: original_uri(parts).clone(),
            host: parts.headers.get(HOST).cloned(),
        }
    }
}

impl RequestHead for &KeptHead {
    fn header(&self, name: &str, nth: usize) -> Option<&[u8]> {
        let value = match name {
            "cookie" => self.cookies.get(nth),
            _ => self.others.iter().filter(|(own, _)| *own == name).map(|(_, value)| value).nth(nth),
        };
        value.map(HeaderValue::as_bytes)
    }

    fn path(&self) -> Option<&str> {
        Some(self.uri.path())
    }

    fn host(&self) -> Option<&str> {
        host(&self.uri, self.host.as_ref())
    }
}

/// Values of a header. HTTP/2 may send several `Cookie` headers (RFC 9113, 8.2.3).
fn values<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = &'h HeaderValue> {
    let values = match name {
        // To parse the name costs more than to look it up, and each request is asked for its cookies.
        "cookie" => headers.get_all(COOKIE),
        _ => headers.get_all(name),
    };
    values.into_iter()
}

/// Host without its port. The authority counts before the header (RFC 9112, 3.2.2, and RFC 9113, 8.3.1).
fn host<'h>(uri: &'h Uri, header: Option<&'h HeaderValue>) -> Option<&'h str> {
    if let Some(host) = uri.host() {
        return Some(host);
    }
    let authority = header?.to_str().ok()?;
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => Some(host),
        _ => Some(authority),
    }
}

/// Target of the request as the client sent it, before a nested router has removed a prefix.
#[cfg(feature = "axum")]
pub(crate) fn original_uri(parts: &Parts) -> &Uri {
    parts.extensions.get::<axum::extract::OriginalUri>().map_or(&parts.uri, |original| &original.0)
}

#[cfg(not(feature = "axum"))]
pub(crate) fn original_uri(parts: &Parts) -> &Uri {
    &parts.uri
}

#[cfg(feature = "axum")]
fn peer(parts: &Parts) -> Option<IpAddr> {
    use axum::extract::ConnectInfo;
    parts.extensions.get::<ConnectInfo<std::net::SocketAddr>>().map(|ConnectInfo(peer)| peer.ip())
}

#[cfg(not(feature = "axum"))]
fn peer(_: &Parts) -> Option<IpAddr> {
    None
}
