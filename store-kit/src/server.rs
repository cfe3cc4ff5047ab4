//! Parser of the URLs of servers.

use std::fmt;

use session_core::Result;

use crate::url::{Query, decode, listed, split};
use crate::wrong;

/// URL of a server, `scheme://user:password@host:port/path`, split into its parts. Its options are in a [`Query`].
///
/// ```
/// use session_store_kit::ServerUrl;
///
/// let (url, query) = ServerUrl::read("x://ann:p%40ss@[::1]:7000/shop?pool=3", &["x"])?;
/// assert_eq!((url.user.as_deref(), url.password.as_deref()), (Some("ann"), Some("p@ss")));
/// assert_eq!((url.hosts, url.path), ("[::1]:7000", "shop"));
/// // An `@` in the password that is not percent-encoded could make a host of its rest.
/// assert!(ServerUrl::read("x://ann:p?a@s@host", &["x"]).is_err());
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct ServerUrl<'u> {
    /// Scheme, one of those that were asked for.
    pub scheme: &'static str,
    /// Everything between the `://` and the options, as written in the URL.
    pub place: &'u str,
    /// User, without percent-encoding.
    pub user: Option<String>,
    /// Password, without percent-encoding.
    pub password: Option<String>,
    /// `host:port` as written in the URL. Several are separated by commas. Empty if the URL names none.
    pub hosts: &'u str,
    /// Part after the host's `/`, as written in the URL.
    pub path: &'u str,
}

impl<'u> ServerUrl<'u> {
    /// Splits `url`, whose scheme must be one of `schemes`, in any case.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) for another scheme, for an `@` after the host or a `#`, which are
    /// the rest of a password that is not percent-encoded, for broken percent-encoding, and the errors of [`split`].
    pub fn read(url: &'u str, schemes: &[&'static str]) -> Result<(Self, Query<'u>)> {
        let (base, query) = split(url)?;
        let scheme = base.split_once("://").and_then(|(given, place)| {
            Some((*schemes.iter().find(|scheme| scheme.eq_ignore_ascii_case(given))?, place))
        });
        let Some((scheme, place)) = scheme else {
            let schemes: Vec<_> = schemes.iter().map(|scheme| format!("{scheme}://")).collect();
            return wrong(format!("a URL of this store begins with {}", listed(&schemes, "or")));
        };
        let (authority, path) = place.split_once('/').unwrap_or((place, ""));
        let options = &url[base.len()..];
        if url.contains('#') || path.contains('@') || options.contains('@') {
            return wrong(
                "the URL has a # or, after its host, an @; percent-encode the characters / ? # @ and % in the user, the \
                 password and the options",
            );
        }
        let (login, hosts) =
            authority.rsplit_once('@').map_or((None, authority), |(login, hosts)| (Some(login), hosts));
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            Some((user, password)) => (given(user)?, given(password)?),
            None => (None, None),
        };
        decode(path)?;
        decode(hosts)?;
        Ok((Self { scheme, place, user, password, hosts, path }, query))
    }
}

impl fmt::Debug for ServerUrl<'_> {
    /// Shows only the scheme, because the other parts may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerUrl").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

fn given(text: &str) -> Result<Option<String>> {
    if text.is_empty() { Ok(None) } else { decode(text).map(Some) }
}

/// Splits `host:port`. An IPv6 address is written in brackets, as in `[::1]:7000`, and returned without them.
///
/// ```
/// use session_store_kit::host_and_port;
///
/// assert_eq!(host_and_port("db.example:7000")?, ("db.example", Some(7000)));
/// assert_eq!(host_and_port("[::1]")?, ("::1", None));
/// assert!(host_and_port("db.example:seven").is_err());
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Config`](session_core::ErrorKind::Config) for a port that is not a number from 1 to 65535, and for several hosts.
pub fn host_and_port(place: &str) -> Result<(&str, Option<u16>)> {
    const PORT: &str =
        "the port in the URL is not a number from 1 to 65535; percent-encode a : or @ in user and password";
    if place.contains(',') {
        return wrong("the URL names several hosts; name one");
    }
    let (host, port) = match place.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((address, ""))) => (address, None),
        Some(Some((address, rest))) => (address, Some(rest.strip_prefix(':').unwrap_or("none"))),
        Some(None) => return wrong("the URL has a [ without a ]; an IPv6 address is written in brackets, as in [::1]"),
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    match port.map(|port| port.parse().ok().filter(|port| *port != 0_u16)) {
        None => Ok((host, None)),
        Some(Some(port)) => Ok((host, Some(port))),
        Some(None) => wrong(PORT),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(url: &str) -> String {
        ServerUrl::read(url, &["x", "y"]).map(drop).unwrap_err().to_string()
    }

    #[test]
    fn every_part_is_found() {
        let (url, mut query) = ServerUrl::read("X://ann:p:w%2F@a:1,b/p%20q/r?n=1", &["w", "x"]).unwrap();
        assert_eq!((url.scheme, url.place), ("x", "ann:p:w%2F@a:1,b/p%20q/r"));
        assert_eq!((url.user.as_deref(), url.password.as_deref()), (Some("ann"), Some("p:w/")));
        assert_eq!((url.hosts, url.path), ("a:1,b", "p%20q/r"));
        assert_eq!(query.text("n").as_deref(), Some("1"));
        let (url, _) = ServerUrl::read("x://", &["x"]).unwrap();
        assert_eq!((url.user, url.password, url.hosts, url.path), (None, None, "", ""));
        let (url, _) = ServerUrl::read("x://:p@/", &["x"]).unwrap();
        assert_eq!((url.user, url.password.as_deref(), url.hosts), (None, Some("p"), ""));
        // The last @ of the authority ends the password, as in browsers.
        let (url, _) = ServerUrl::read("x://ann:p@ss@host", &["x"]).unwrap();
        assert_eq!((url.password.as_deref(), url.hosts), (Some("p@ss"), "host"));
    }

    #[test]
    fn what_could_be_the_rest_of_a_password_is_refused() {
        for url in [
            "x://ann:pa?hunter2&x@host/db",
            "x://ann:12/hunter2@host/db",
            "x://ann:12#hunter2@host/db",
            "x://ann:12#hunter2",
            "x://ann:a@b?hunter2@host",
            "x://ann:a@b/hunter2@host",
        ] {
            let error = refused(url);
            assert!(error.contains("percent-encode the characters / ? # @ and %"), "{url}: {error}");
        }
    }

    #[test]
    fn a_url_that_was_copied_badly_says_how() {
        for (url, part) in [
            ("z://host", "a URL of this store begins with x:// or y://"),
            ("x:/host", "begins with x:// or y://"),
            ("ann:hunter2@host", "begins with x:// or y://"),
            ("", "begins with x:// or y://"),
            ("x://host\n", "white space"),
            (" x://host", "white space"),
            ("\"x://host\"", "quotation marks"),
            ("'x://host'", "quotation marks"),
            ("x://ann:50%off@host", "as %25"),
            ("x://ann@host/50%", "as %25"),
            ("x://host?n=50%", "as %25"),
            ("x://ann:%ff@host", "not UTF-8"),
        ] {
            let error = refused(url);
            assert!(error.contains(part), "{url}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn hosts_and_ports_are_split() {
        for (place, parts) in [
            ("", ("", None)),
            ("db", ("db", None)),
            ("db:5432", ("db", Some(5432))),
            ("[::1]", ("::1", None)),
            ("[fe80::1%25eth0]:9", ("fe80::1%25eth0", Some(9))),
            ("%2Frun%2Fdb", ("%2Frun%2Fdb", None)),
        ] {
            assert_eq!(host_and_port(place).unwrap(), parts, "{place}");
        }
        for (place, part) in [
            ("db:", "the port"),
            ("db:0", "the port"),
            ("db:65536", "the port"),
            ("db:hunter2", "the port"),
            ("::1", "the port"),
            ("[::1]9", "the port"),
            ("[::1", "without a ]"),
            ("a,b", "several hosts"),
        ] {
            let error = host_and_port(place).unwrap_err().to_string();
            assert!(error.contains(part), "{place}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    proptest! {
        /// Letters from a few that no fixed text has beside each other, and all characters with a meaning in URLs.
        #[test]
        fn a_password_written_raw_is_never_part_of_a_host_or_path(password in "[qxzQXZ79é?#/@:&=%+;,.\\[\\]\\\\ '\"!$-]{1,24}") {
            let url = format!("x://ann:{password}@host:1/db?pool=3");
            if let Ok((parts, query)) = ServerUrl::read(&url, &["x"]) {
                prop_assert_eq!((parts.hosts, parts.path), ("host:1", "db"));
                prop_assert_eq!(format!("{query:?}"), "[\"pool\"]");
            }
        }
    }
}
