//! Head of a request, as far as sessions need it.

use std::any::Any;
use std::net::IpAddr;

/// Headers that say something about a request's cause, such as a click on a link or a prefetch.
pub(crate) const CAUSES: [&str; 8] = [
    "origin",
    "purpose",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-purpose",
    "upgrade-insecure-requests",
    "x-moz",
];

/// Head of a request: its headers, and what else is known of it.
///
/// Implement it for the request of a framework. The lines of the `Cookie` headers alone are a head too, as an array, a slice or a `Vec` of
/// byte strings. What such a head does not tell counts as unknown.
///
/// ```
/// use session_http::RequestHead;
///
/// struct Request(Vec<(&'static str, &'static [u8])>);
///
/// impl RequestHead for Request {
///     fn header(&self, name: &str, nth: usize) -> Option<&[u8]> {
///         self.0.iter().filter(|(own, _)| *own == name).map(|(_, value)| *value).nth(nth)
///     }
/// }
///
/// let request = Request(vec![("cookie", b"a=1"), ("host", b"shop.example.com:3000")]);
/// assert_eq!(request.host(), Some("shop.example.com"));
/// assert_eq!(request.method(), None);
/// ```
pub trait RequestHead: Send + Sync {
    /// Value number `nth`, counted from 0, of the header `name`. The name is given in lower case.
    fn header(&self, name: &str, nth: usize) -> Option<&[u8]>;

    /// Passes the values of the header `name`, which is in lower case, to `visit`.
    ///
    /// The default asks [`header`](Self::header) for one after the other.
    fn visit_values<'h>(&'h self, name: &str, visit: &mut dyn FnMut(&'h [u8])) {
        (0..).map_while(|nth| self.header(name, nth)).for_each(visit);
    }

    /// Passes headers to `visit`: their names, in lower case, and their values. It may leave out those that say nothing about the
    /// request's cause.
    ///
    /// The default looks up the eight headers that do: `Origin`, `Sec-Fetch-Site` and their like. A head that can pass all its headers in one go is cheaper.
    fn visit_headers<'h>(&'h self, visit: &mut dyn FnMut(&str, &'h [u8])) {
        for name in CAUSES {
            self.header(name, 0).into_iter().for_each(|value| visit(name, value));
        }
    }

    /// Method, such as `GET`.
    fn method(&self) -> Option<&str> {
        None
    }

    /// Path of the request's target as the client sent it, before any router has removed a prefix.
    fn path(&self) -> Option<&str> {
        None
    }

    /// Name of the host that the client asked, without a port.
    ///
    /// The default is the header `Host`. HTTP/2 and HTTP/3 have `:authority` instead (RFC 9113, 8.3.1).
    fn host(&self) -> Option<&str> {
        self.text("host").map(without_port)
    }

    /// Address of the other end of the connection, which may be a proxy.
    fn peer(&self) -> Option<IpAddr> {
        None
    }

    /// The framework's own request, for a function of the application that knows its type.
    fn as_any(&self) -> Option<&dyn Any> {
        None
    }

    /// First value of the header `name` as text. `None` if it is absent or not UTF-8.
    fn text(&self, name: &str) -> Option<&str> {
        self.header(name, 0).and_then(|value| std::str::from_utf8(value).ok())
    }
}

/// Host of an authority, which may have a port. An IPv6 address keeps its brackets.
fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// Lines of the `Cookie` headers.
impl<const N: usize> RequestHead for [&[u8]; N] {
    fn header(&self, name: &str, nth: usize) -> Option<&[u8]> {
        lines(self, name, nth)
    }
}

/// Lines of the `Cookie` headers.
impl RequestHead for &[&[u8]] {
    fn header(&self, name: &str, nth: usize) -> Option<&[u8]> {
        lines(self, name, nth)
    }
}

/// Lines of the `Cookie` headers.
impl RequestHead for Vec<&[u8]> {
    fn header(&self, name: &str, nth: usize) -> Option<&[u8]> {
        lines(self, name, nth)
    }
}

fn lines<'h>(lines: &[&'h [u8]], name: &str, nth: usize) -> Option<&'h [u8]> {
    if name == "cookie" { lines.get(nth).copied() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_no_port() {
        for (authority, host) in [
            ("example.com", "example.com"),
            ("example.com:80", "example.com"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("127.0.0.1:3000", "127.0.0.1"),
        ] {
            assert_eq!(without_port(authority), host);
        }
    }
}
