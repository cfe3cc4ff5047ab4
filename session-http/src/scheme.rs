//! Whether a request came by TLS.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::RequestHead;

/// How a client reached the server, as far as the server can know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// By `https://`, perhaps through a proxy that terminates TLS.
    Tls,
    /// By `http://`.
    Plain,
    /// It is not known. This counts as [`Tls`](Self::Tls), so that a mistake never leaves out `Secure`.
    #[default]
    Unknown,
}

/// Function that tells how a request came.
#[derive(Clone)]
pub(crate) struct SecureWhen(Arc<SchemeOf>);

type SchemeOf = dyn Fn(&dyn RequestHead) -> Scheme + Send + Sync;

impl SecureWhen {
    pub(crate) fn new(scheme: impl Fn(&dyn RequestHead) -> Scheme + Send + Sync + 'static) -> Self {
        Self(Arc::new(scheme))
    }

    pub(crate) fn scheme(&self, head: &dyn RequestHead) -> Scheme {
        (self.0)(head)
    }
}

impl fmt::Debug for SecureWhen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecureWhen")
    }
}

/// Reads the scheme that a trusted proxy reports, for [`CookieOptions::secure_when`](crate::CookieOptions::secure_when).
///
/// Only a proxy whose address `trusted` accepts is believed, because any client can send these headers.
/// Without the address of the connection ([`RequestHead::peer`]) the scheme is [`Unknown`](Scheme::Unknown).
///
/// The headers are `Forwarded` (RFC 7239) and `X-Forwarded-Proto`. Of each, only the last value counts, which the nearest proxy has
/// added; the others may be the client's. If both headers are there and differ, the scheme is unknown.
///
/// ```
/// use std::net::{IpAddr, Ipv4Addr};
/// use session_http::{CookieOptions, forwarded};
///
/// let proxy = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));
/// CookieOptions::new().secure_when(forwarded(move |peer| peer == proxy)).check("id")?;
/// # Ok::<(), session_core::Error>(())
/// ```
pub fn forwarded(
    trusted: impl Fn(IpAddr) -> bool + Send + Sync + 'static,
) -> impl Fn(&dyn RequestHead) -> Scheme + Send + Sync + 'static {
    move |head| {
        // An IPv4 address of a socket for both families is `::ffff:10.0.0.7`.
        if !head.peer().is_some_and(|peer| trusted(peer.to_canonical())) {
            return Scheme::Unknown;
        }
        let (standard, usual) = (last(head, "forwarded").map(proto), last(head, "x-forwarded-proto").map(scheme));
        match (standard, usual) {
            (Some(one), None) | (None, Some(one)) => one,
            (Some(one), Some(other)) if one == other => one,
            _ => Scheme::Unknown,
        }
    }
}

/// Last element of the comma-separated values of the header `name`.
fn last<'h>(head: &'h dyn RequestHead, name: &str) -> Option<&'h str> {
    let lines = (0..).map_while(|nth| head.header(name, nth));
    let line = std::str::from_utf8(lines.last()?).ok()?;
    line.rsplit(',').next().map(str::trim)
}

/// Scheme of one element of `Forwarded`, such as `for=10.0.0.1;proto=https`.
fn proto(element: &str) -> Scheme {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let mut protos = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("proto"));
    protos.next().map_or(Scheme::Unknown, |(_, value)| scheme(value.trim().trim_matches('"')))
}

fn scheme(text: &str) -> Scheme {
    let is = |names: [&str; 2]| names.iter().any(|name| text.eq_ignore_ascii_case(name));
    match text {
        _ if is(["https", "wss"]) => Scheme::Tls,
        _ if is(["http", "ws"]) => Scheme::Plain,
        _ => Scheme::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    struct Head(Option<IpAddr>, Vec<(&'static str, &'static str)>);

    impl RequestHead for Head {
        fn header(&self, name: &str, nth: usize) -> Option<&[u8]> {
            self.1.iter().filter(|(own, _)| *own == name).map(|(_, value)| value.as_bytes()).nth(nth)
        }

        fn peer(&self) -> Option<IpAddr> {
            self.0
        }
    }

    const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));

    fn seen(peer: Option<IpAddr>, headers: &[(&'static str, &'static str)]) -> Scheme {
        forwarded(|peer| peer == PROXY)(&Head(peer, headers.to_vec()))
    }

    #[test]
    fn only_a_trusted_peer_is_believed() {
        let header = [("x-forwarded-proto", "http")];
        assert_eq!(seen(Some(PROXY), &header), Scheme::Plain);
        let mapped = Ipv4Addr::new(10, 0, 0, 7).to_ipv6_mapped();
        assert_eq!(seen(Some(mapped.into()), &header), Scheme::Plain);
        assert_eq!(seen(Some(Ipv4Addr::new(10, 0, 0, 8).into()), &header), Scheme::Unknown);
        assert_eq!(seen(None, &header), Scheme::Unknown);
    }

    #[test]
    fn only_the_nearest_proxys_value_counts() {
        for (headers, expected) in [
            (vec![("x-forwarded-proto", "http, https")], Scheme::Tls),
            (vec![("x-forwarded-proto", "https,http")], Scheme::Plain),
            (vec![("x-forwarded-proto", "https"), ("x-forwarded-proto", "http")], Scheme::Plain),
            (vec![("forwarded", "for=1.2.3.4;proto=http, for=\"[::1]\";Proto=\"https\"")], Scheme::Tls),
            (vec![("forwarded", "proto=https, for=10.0.0.1")], Scheme::Unknown),
            (vec![("forwarded", "proto=http"), ("x-forwarded-proto", "http")], Scheme::Plain),
            (vec![("forwarded", "proto=http"), ("x-forwarded-proto", "https")], Scheme::Unknown),
            (vec![("x-forwarded-proto", "gopher")], Scheme::Unknown),
            (vec![("x-forwarded-proto", "")], Scheme::Unknown),
            (vec![], Scheme::Unknown),
        ] {
            assert_eq!(seen(Some(PROXY), &headers), expected, "{headers:?}");
        }
    }
}
