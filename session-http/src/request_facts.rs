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
        let mut told = Told::default();
        head.visit_headers(&mut |name, value| told.note(name, value));
        let method = head.method();
        let prefetch = [told.sec_purpose, told.purpose, told.x_moz].into_iter().flatten().any(is_prefetch);
        let document = is(told.sec_fetch_dest, b"document");
        let cross_site = is(told.sec_fetch_site, b"cross-site");
        let safe = method.is_none_or(|method| matches!(method, "GET" | "HEAD"));
        Self {
            quiet: prefetch || method == Some("HEAD"),
            prefetch,
            document,
            cross_site,
            top_level_get: cross_site && safe && document && is(told.sec_fetch_mode, b"navigate"),
            says_plain: told.says_plain(),
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

/// First values of the headers that say something about a request's cause.
#[derive(Default)]
struct Told<'h> {
    origin: Option<&'h [u8]>,
    purpose: Option<&'h [u8]>,
    sec_fetch_dest: Option<&'h [u8]>,
    sec_fetch_mode: Option<&'h [u8]>,
    sec_fetch_site: Option<&'h [u8]>,
    sec_purpose: Option<&'h [u8]>,
    upgrade_insecure_requests: Option<&'h [u8]>,
    x_moz: Option<&'h [u8]>,
}

impl<'h> Told<'h> {
    fn note(&mut self, name: &str, value: &'h [u8]) {
        let first = match name {
            "origin" => &mut self.origin,
            "purpose" => &mut self.purpose,
            "sec-fetch-dest" => &mut self.sec_fetch_dest,
            "sec-fetch-mode" => &mut self.sec_fetch_mode,
            "sec-fetch-site" => &mut self.sec_fetch_site,
            "sec-purpose" => &mut self.sec_purpose,
            "upgrade-insecure-requests" => &mut self.upgrade_insecure_requests,
            "x-moz" => &mut self.x_moz,
            _ => return,
        };
        first.get_or_insert(value);
    }

    /// Whether the browser says that its page is plain HTTP. Behind a proxy that terminates TLS, only the browser knows.
    ///
    /// It says so by an `Origin` off the loopback, or by asking for secure resources without Fetch Metadata, which browsers send only to
    /// origins that they trust (W3C Fetch Metadata, 2; Upgrade Insecure Requests, 3.2.1).
    fn says_plain(&self) -> bool {
        if let Some(host) = self.origin.and_then(|origin| origin.strip_prefix(b"http://")) {
            return !std::str::from_utf8(host).is_ok_and(is_loopback);
        }
        let fetches = [self.sec_fetch_site, self.sec_fetch_mode, self.sec_fetch_dest];
        self.upgrade_insecure_requests == Some(b"1") && fetches.iter().all(Option::is_none)
    }
}

fn is(told: Option<&[u8]>, expected: &[u8]) -> bool {
    told.is_some_and(|told| told.eq_ignore_ascii_case(expected))
}

/// Whether the first token of a header's value is `prefetch`, as in `prefetch;prerender`.
fn is_prefetch(value: &[u8]) -> bool {
    let first = value.trim_ascii_start().split(|b| b";, ".contains(b)).next();
    first.is_some_and(|first| first.eq_ignore_ascii_case(b"prefetch"))
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
    use std::collections::BTreeSet;

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

    /// A head that passes no headers in one go is asked for these names only.
    #[test]
    fn each_header_about_the_cause_is_noted() {
        let noted = |name: &str| {
            let mut told = Told::default();
            told.note(name, b"1");
            let Told { origin, purpose, sec_fetch_dest, sec_fetch_mode, sec_fetch_site, .. } = told;
            let Told { sec_purpose, upgrade_insecure_requests, x_moz, .. } = told;
            let first = [origin, purpose, sec_fetch_dest, sec_fetch_mode];
            let second = [sec_fetch_site, sec_purpose, upgrade_insecure_requests, x_moz];
            first.into_iter().chain(second).position(|value| value.is_some())
        };
        let places: BTreeSet<_> = crate::request_head::CAUSES.into_iter().map(noted).collect();
        assert_eq!(places, (0..crate::request_head::CAUSES.len()).map(Some).collect());
        assert_eq!(noted("accept"), None);
    }
}
