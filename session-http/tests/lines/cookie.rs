//! Cookies that `CookieOptions` can describe.

use std::time::Duration;

use session_http::{CookieOptions, SameSite};

use super::Knowledge;
use super::request::{Cause, Request};

/// A cookie that an application configures.
#[derive(Clone, Debug)]
pub(crate) struct Cookie {
    prefix: &'static str,
    /// Makes the name unique.
    number: usize,
    pub(crate) place: Place,
    pub(crate) secure: bool,
    http_only: bool,
    same_site: SameSite,
    /// Lifetime of a persistent cookie.
    pub(crate) lifetime: Option<Duration>,
}

/// What distinguishes cookies of one name from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) domain: Option<&'static str>,
    pub(crate) path: &'static str,
    pub(crate) partitioned: bool,
}

/// Lifetime of every persistent cookie.
const HOUR: Duration = Duration::from_secs(3_600);

const BOOL: [bool; 2] = [false, true];

impl Cookie {
    /// Every combination that [`CookieOptions::check`] accepts.
    pub(crate) fn all() -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for place in Place::all() {
            for prefix in ["", "__Secure-", "__Host-", "__Http-", "__Host-Http-"] {
                for same_site in [SameSite::Strict, SameSite::Lax, SameSite::None] {
                    for lifetime in [None, Some(HOUR)] {
                        for (secure, http_only) in BOOL.into_iter().flat_map(|one| BOOL.map(|other| (one, other))) {
                            let cookie =
                                Self { prefix, number: all.len(), place, secure, http_only, same_site, lifetime };
                            if cookie.options().check("id").is_ok() {
                                all.push(cookie);
                            }
                        }
                    }
                }
            }
        }
        all
    }

    /// A cookie at `place`, as most applications have it.
    pub(crate) fn at(place: Place, number: usize) -> Self {
        let (secure, http_only, same_site) = (true, true, SameSite::Lax);
        Self { prefix: "__Secure-", number, place, secure, http_only, same_site, lifetime: None }
    }

    pub(crate) fn name(&self) -> String {
        format!("{}id{}", self.prefix, self.number)
    }

    pub(crate) fn options(&self) -> CookieOptions {
        let Place { domain, path, partitioned } = self.place;
        let options = CookieOptions::new().name(self.name()).path(path).partitioned(partitioned);
        let options = options.http_only(self.http_only).same_site(self.same_site);
        let options = domain.into_iter().fold(options, |options, domain| options.domain(domain));
        let options = self.lifetime.into_iter().fold(options, |options, lifetime| options.max_age(lifetime));
        if self.secure { options } else { options.insecure() }
    }

    /// Whether the cookie goes with `request`, if a response of [`SETTER`](super::request::SETTER) has set it (RFC 6265bis, 5.8.3).
    pub(crate) fn is_sent(&self, request: &Request, knows: Knowledge) -> bool {
        let (scheme, host, path) = request.parts();
        let is_below =
            |domain: &str| host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        let by_host = self.place.domain.map_or(host == "shop.example.com", is_below);
        let by_path = path
            .strip_prefix(self.place.path)
            .is_some_and(|rest| rest.is_empty() || self.place.path.ends_with('/') || rest.starts_with('/'));
        let by_site = match request.cause {
            Cause::Here | Cause::Script => true,
            Cause::Link => self.same_site != SameSite::Strict,
            Cause::Embedded => self.same_site == SameSite::None && !(self.place.partitioned && knows.partitions),
        };
        by_host
            && by_path
            && by_site
            && (!self.secure || scheme == "https")
            && !(self.http_only && request.cause == Cause::Script)
            && self.lifetime.is_none_or(|lifetime| request.after < lifetime)
    }
}

impl Place {
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for domain in [None, Some("shop.example.com"), Some("example.com")] {
            for path in ["/", "/app", "/app/"] {
                all.extend(BOOL.map(|partitioned| Self { domain, path, partitioned }));
            }
        }
        all
    }

    /// Whether a jar keeps cookies of both places beside each other.
    pub(crate) fn differs(&self, other: &Self, knows: Knowledge) -> bool {
        let domain = |place: &Self| if knows.hosts { place.domain } else { place.domain.or(Some("shop.example.com")) };
        (domain(self), self.path) != (domain(other), other.path)
            || (knows.partitions && self.partitioned != other.partitioned)
    }
}
