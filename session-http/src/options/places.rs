//! Places of cookies: a browser keeps one cookie for each name, domain, path and partition.

use std::borrow::Cow;

use super::{CookieOptions, has_prefix};
use crate::options::validate::is_path;
use crate::{RequestHead, SetCookie};

/// Maximum number of lines that clear cookies in one response.
const MOST: usize = 16;

impl CookieOptions {
    /// Names options under which the cookie was set before, so that a change of its domain, path or partition signs out no user.
    ///
    /// A browser keeps the cookie of each place, and sends both. The request then uses the newer session, and the response sets its
    /// cookie at today's place and clears the former one. It does so only if both sessions belong to the same principal, or if neither
    /// has one, because another host of the domain can plant a newer session.
    ///
    /// It can be called several times. The former cookie must have the same name. Remove the call after the longest lifetime of a cookie.
    ///
    /// ```
    /// use session_http::CookieOptions;
    ///
    /// let before = CookieOptions::new().name("__Secure-id");
    /// let today = CookieOptions::new().name("__Secure-id").domain("example.com").formerly(before);
    /// today.check("id")?;
    /// assert!(today.formerly(CookieOptions::new().name("other")).check("id").is_err());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn formerly(mut self, before: Self) -> Self {
        self.former.push(before);
        self
    }

    /// Returns the lines that clear the cookie `name` at its former places.
    pub(crate) fn clear_former(&self, name: &str) -> Vec<SetCookie> {
        clear_all(name, &self.other_places(self.former.clone()))
    }

    /// Returns the lines that clear the cookie `name` wherever the request could have got it from, except at its own place.
    ///
    /// The places are the host alone and each parent domain, `/` and each prefix of the path, in a partition and not.
    /// A browser that knows no partitions, or takes the host alone and its domain for one place (RFC 6265), also clears the own place.
    /// Its user signs in again, because it is unknown which of the values came from there.
    ///
    /// If there are too many places for one response, `turn` chooses some of them, or a neighbouring host could plant a cookie where no
    /// response clears it. Then those that such a browser takes for the own one are left out. It would lose the own cookie and
    /// keep the planted one.
    pub(crate) fn clear_elsewhere(&self, name: &str, head: &dyn RequestHead, turn: usize) -> Vec<SetCookie> {
        let host_only = has_prefix(name, "__Host-");
        let paths = if host_only { vec!["/".to_owned()] } else { paths(&self.path, head.path().unwrap_or("/")) };
        let domains = if host_only { vec![None] } else { domains(self.domain.as_deref(), head.host()) };
        let mut places = self.former.clone();
        for partitioned in [self.partitioned, !self.partitioned] {
            for path in &paths {
                for domain in &domains {
                    let mut place = self.clone();
                    place.path = Cow::Owned(path.clone());
                    place.domain = domain.clone().map(Cow::Owned);
                    place.partitioned = partitioned;
                    places.push(place);
                }
            }
        }
        let host = head.host().map(str::to_ascii_lowercase);
        let domain = |place: &Self| place.domain.as_deref().map(str::to_owned).or(host.clone());
        let is_like_own = |place: &Self| place.path == self.path && domain(place) == domain(self);
        let (like_own, mut places): (Vec<_>, Vec<_>) = self.other_places(places).into_iter().partition(is_like_own);
        if places.len() + like_own.len() <= MOST {
            places.extend(like_own);
        } else {
            let start = turn.wrapping_mul(MOST) % places.len().max(1);
            places.rotate_left(start);
        }
        clear_all(name, &places)
    }

    /// Returns options like these for each of the `places` that a cookie can have, without its own place.
    fn other_places(&self, places: Vec<Self>) -> Vec<Self> {
        let mut others: Vec<Self> = Vec::new();
        for place in places {
            // A browser takes no partitioned cookie without `Secure`, so there is none.
            let possible = self.secure || !place.partitioned;
            let is_known = |known: &Self| known.place() == place.place();
            if possible && !is_known(self) && !others.iter().any(is_known) {
                let Self { path, domain, partitioned, .. } = place;
                others.push(Self { path, domain, partitioned, ..self.clone() });
            }
        }
        others
    }

    fn place(&self) -> (Option<&str>, &str, bool) {
        (self.domain.as_deref(), &self.path, self.partitioned)
    }
}

/// Returns the lines that clear the cookie `name` at the first of these places.
fn clear_all(name: &str, places: &[CookieOptions]) -> Vec<SetCookie> {
    places.iter().take(MOST).filter_map(|place| SetCookie::clear(name, place).ok()).collect()
}

/// Paths of cookies that a browser sends with a request for `path`: `/` and each prefix (RFC 6265bis, 5.1.4). `own` comes first.
fn paths(own: &str, path: &str) -> Vec<String> {
    let mut paths = vec![own.to_owned(), "/".to_owned()];
    let ends = path.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0).chain([path.len()]);
    let prefixes: Vec<_> = ends.map(|end| path[..end].to_owned()).collect();
    // A path that ends with a slash is another place.
    let with_slash: Vec<_> =
        prefixes.iter().filter(|prefix| !prefix.ends_with('/')).map(|prefix| format!("{prefix}/")).collect();
    for path in prefixes.into_iter().chain(with_slash) {
        if is_path(&path) && !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths.dedup();
    paths
}

/// Domains of cookies that a browser sends to `host`: none, the host and each parent below its public suffix. `own` comes first.
fn domains(own: Option<&str>, host: Option<&str>) -> Vec<Option<String>> {
    let mut domains = vec![own.map(str::to_owned), None];
    let host = host.unwrap_or_default().to_ascii_lowercase();
    let is_name = !host.starts_with('[') && host.parse::<std::net::Ipv4Addr>().is_err();
    let suffix = psl::suffix_str(&host).unwrap_or(&host);
    if is_name {
        let mut rest = Some(&*host);
        while let Some(domain) = rest.filter(|domain| !domain.is_empty() && *domain != suffix) {
            let domain_is_new = !domains.iter().any(|known| known.as_deref() == Some(domain));
            if domain_is_new {
                domains.push(Some(domain.to_owned()));
            }
            rest = domain.split_once('.').map(|(_, parent)| parent);
        }
    }
    domains.dedup();
    domains
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Head(&'static str, &'static str);

    impl RequestHead for Head {
        fn header(&self, _: &str, _: usize) -> Option<&[u8]> {
            None
        }

        fn host(&self) -> Option<&str> {
            Some(self.0)
        }

        fn path(&self) -> Option<&str> {
            Some(self.1)
        }
    }

    /// Attributes that say which place a line clears.
    fn cleared(options: &CookieOptions, host: &'static str, path: &'static str) -> Vec<String> {
        cleared_in_turn(options, host, path, 0)
    }

    fn cleared_in_turn(options: &CookieOptions, host: &'static str, path: &'static str, turn: usize) -> Vec<String> {
        let name = options.cookie_name("id");
        let lines = options.clear_elsewhere(&name, &Head(host, path), turn);
        let place = |line: SetCookie| {
            let is_place = |part: &&str| ["Path", "Domain", "Partitioned"].iter().any(|name| part.starts_with(name));
            assert!(line.as_str().starts_with(&format!("{name}=; ")) && line.as_str().contains("; Max-Age=0; "));
            line.as_str().split("; ").filter(is_place).collect::<Vec<_>>().join(" ")
        };
        lines.into_iter().map(place).collect()
    }

    #[test]
    fn a_host_prefix_has_two_places() {
        let options = CookieOptions::new();
        assert_eq!(cleared(&options, "shop.example.com", "/a/b"), ["Partitioned Path=/"]);
        assert_eq!(cleared(&options.partitioned(true), "shop.example.com", "/a/b"), ["Path=/"]);
    }

    #[test]
    fn every_domain_path_and_partition_is_cleared_but_the_own_place() {
        let options = CookieOptions::new().name("__Secure-id");
        let lines = cleared(&options, "Shop.Example.com", "/");
        assert_eq!(
            lines,
            [
                "Path=/ Domain=example.com",
                "Partitioned Path=/ Domain=example.com",
                "Path=/ Domain=shop.example.com",
                "Partitioned Path=/",
                "Partitioned Path=/ Domain=shop.example.com"
            ]
        );
        let options = options.domain("example.com").path("/app");
        let lines = cleared(&options, "shop.example.com", "/app/x");
        for place in ["Path=/app", "Path=/", "Path=/ Domain=example.com", "Path=/app/x Domain=shop.example.com"] {
            assert!(lines.iter().any(|line| line == place), "{place} in {lines:?}");
        }
        assert!(!lines.iter().any(|line| line == "Path=/app Domain=example.com"), "{lines:?}");
    }

    #[test]
    fn at_most_sixteen_lines_are_sent() {
        let options = CookieOptions::new().name("__Secure-id");
        let lines = cleared(&options, "a.b.c.d.example.co.uk", "/1/2/3/4/5/6/7/8");
        assert_eq!(lines.len(), 16);
        assert!(lines.iter().all(|line| !line.ends_with("co.uk") || line.ends_with("example.co.uk")), "{lines:?}");
    }

    #[test]
    fn what_one_response_cannot_clear_the_next_ones_do() {
        let options = CookieOptions::new().name("__Secure-id");
        let mut all: Vec<_> =
            (0..2).flat_map(|turn| cleared_in_turn(&options, "shop.example.com", "/app/page", turn)).collect();
        all.sort();
        all.dedup();
        // Five paths, three domains, in a partition and not, without those that some browsers take for the own place.
        assert_eq!(all.len(), 5 * 3 * 2 - 4);
        for like_own in ["Path=/", "Partitioned Path=/", "Path=/ Domain=shop.example.com"] {
            assert!(!all.iter().any(|line| line == like_own), "{like_own} in {all:?}");
        }
        assert_eq!(cleared_in_turn(&options, "shop.example.com", "/app/page", usize::MAX).len(), 16);
    }

    #[test]
    fn addresses_and_strange_paths_have_no_places_of_their_own() {
        let options = CookieOptions::new().name("id").insecure();
        for host in ["127.0.0.1", "[::1]", "localhost", "com", ""] {
            assert!(cleared(&options, host, "/").is_empty(), "{host}");
        }
        assert!(cleared(&options, "localhost", "/a;b/c").iter().all(|line| !line.contains(';')));
    }
}
