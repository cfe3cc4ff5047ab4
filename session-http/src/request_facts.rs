//! What a request's head says about its cause.

use crate::{RequestHead, SameSite};

/// What a request's head says about its cause. The default is that of a head that says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RequestFacts {
    /// Set if no person sees the response: `HEAD`, or a prefetch.
    pub(crate) quiet: bool,
    /// Set if the browser fetches the page in advance. It may show the page later without asking again.
    pub(crate) prefetch: bool,
    /// Set if the response becomes the document of a tab or frame.
    pub(crate) document: bool,
    /// Set if another site's page caused the request.
    cross_site: bool,
    /// Set if the request is a top-level navigation by a safe method, with which browsers send `Lax` cookies.
    top_level_get: bool,
    /// Set if the browser itself says that the page was loaded by plain HTTP.
    pub(crate) says_plain: bool,
}

impl RequestFacts {
    pub(crate) fn of(head: &dyn RequestHead) -> Self {
        let is = |name: &str, value: &str| head.text(name).is_some_and(|found| found.eq_ignore_ascii_case(value));
        let method = head.method();
        let prefetch = ["sec-purpose", "purpose", "x-moz"].iter().any(|name| is_prefetch(head, name));
        let document = is("sec-fetch-dest", "document");
        let cross_site = is("sec-fetch-site", "cross-site");
        let safe = method.is_none_or(|method| matches!(method, "GET" | "HEAD"));
        Self {
            quiet: prefetch || method == Some("HEAD"),
            prefetch,
            document,
            cross_site,
            top_level_get: cross_site && safe && document && is("sec-fetch-mode", "navigate"),
            says_plain: says_plain(head),
        }
    }

    /// Whether the browser has withheld a cookie with this `SameSite` from the request (RFC 6265bis, 5.8.3; W3C Fetch Metadata).
    pub(crate) const fn withholds(self, same_site: SameSite) -> bool {
        self.cross_site
            && match same_site {
                SameSite::Strict => true,
                SameSite::Lax => !self.top_level_get,
                SameSite::None => false,
            }
    }
}

/// Whether the first token of the header `name` is `prefetch`, as in `prefetch;prerender`.
fn is_prefetch(head: &dyn RequestHead, name: &str) -> bool {
    let token =
        |value: &str| value.split([';', ',', ' ']).next().is_some_and(|first| first.eq_ignore_ascii_case("prefetch"));
    head.text(name).is_some_and(|value| token(value.trim_start()))
}

/// Whether the browser says that its page is plain HTTP. Behind a proxy that terminates TLS, only the browser knows.
///
/// It says so by an `Origin` off the loopback, or by asking for secure resources without Fetch Metadata, which browsers send only to
/// origins that they trust (W3C Fetch Metadata, 2; Upgrade Insecure Requests, 3.2.1).
fn says_plain(head: &dyn RequestHead) -> bool {
    if let Some(host) = head.text("origin").and_then(|origin| origin.strip_prefix("http://")) {
        return !is_loopback(host);
    }
    let fetches = |name: &&str| head.header(name, 0).is_some();
    head.text("upgrade-insecure-requests") == Some("1")
        && !["sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest"].iter().any(fetches)
}

fn is_loopback(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    let v4 = host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback());
    v4 || host == "[::1]" || host == "localhost" || host.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Head(&'static str, Vec<(&'static str, &'static str)>);

    impl RequestHead for Head {
        fn header(&self, name: &str, nth: usize) -> Option<&[u8]> {
            self.1.iter().filter(|(own, _)| *own == name).map(|(_, value)| value.as_bytes()).nth(nth)
        }

        fn method(&self) -> Option<&str> {
            Some(self.0)
        }
    }

    fn facts(method: &'static str, headers: &[(&'static str, &'static str)]) -> RequestFacts {
        RequestFacts::of(&Head(method, headers.to_vec()))
    }

    #[test]
    fn head_and_prefetches_are_quiet() {
        assert!(facts("HEAD", &[]).quiet && !facts("HEAD", &[]).prefetch);
        for (name, value) in [
            ("sec-purpose", "prefetch"),
            ("sec-purpose", "prefetch;prerender"),
            ("sec-purpose", "prefetch; anonymous-client-ip"),
            ("purpose", "prefetch"),
            ("x-moz", "prefetch"),
        ] {
            let facts = facts("GET", &[(name, value)]);
            assert!(facts.quiet && facts.prefetch, "{name}: {value}");
        }
        for value in ["", "prefetching", "preview", "x;prefetch"] {
            assert!(!facts("GET", &[("sec-purpose", value)]).quiet, "{value}");
        }
        assert!(!facts("GET", &[]).quiet);
    }

    #[test]
    fn a_browser_withholds_what_same_site_says() {
        let cross = ("sec-fetch-site", "cross-site");
        let link = [cross, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        let frame = [cross, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
        for (facts, lax, strict) in [
            (facts("GET", &link), false, true),
            (facts("POST", &link), true, true),
            (facts("GET", &frame), true, true),
            (facts("GET", &[cross]), true, true),
            (facts("GET", &[("sec-fetch-site", "same-site")]), false, false),
            (facts("POST", &[("sec-fetch-site", "none")]), false, false),
            (facts("POST", &[]), false, false),
        ] {
            assert_eq!(facts.withholds(SameSite::Lax), lax, "{facts:?}");
            assert_eq!(facts.withholds(SameSite::Strict), strict, "{facts:?}");
            assert!(!facts.withholds(SameSite::None));
        }
    }

    #[test]
    fn only_the_browsers_own_word_says_that_a_page_is_plain() {
        let upgrade = ("upgrade-insecure-requests", "1");
        assert!(facts("GET", &[upgrade]).says_plain);
        assert!(facts("POST", &[("origin", "http://shop:3000")]).says_plain);
        assert!(!facts("GET", &[upgrade, ("sec-fetch-mode", "navigate")]).says_plain);
        assert!(!facts("GET", &[("x-forwarded-proto", "http")]).says_plain);
        assert!(!facts("GET", &[]).says_plain);
        for origin in [
            "http://localhost:3000",
            "http://127.0.0.1",
            "http://[::1]:80",
            "http://a.localhost",
            "https://shop",
            "null",
        ] {
            assert!(!facts("POST", &[("origin", origin)]).says_plain, "{origin}");
        }
    }
}
