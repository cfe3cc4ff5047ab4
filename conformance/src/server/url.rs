//! URLs of servers: a parser that finds the address, so that a proxy can replace it, and options for stores.

use std::time::Duration;

/// `scheme://[user[:password]@]host[:port][,host[:port]…][/…]`
#[derive(Clone)]
pub(super) struct Url {
    text: String,
    /// `host:port` of each node, with the kind's default port if the URL has none.
    addresses: Vec<String>,
    /// Range of the hosts within the text.
    place: (usize, usize),
    password: String,
}

impl Url {
    /// Parses a URL. The error does not repeat the text, because it may hold a password.
    pub(super) fn parse(text: &str, port: u16) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or("it has no `://`")?;
        let begin = scheme.len() + "://".len();
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        let (user, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        let addresses = place.split(',').map(|one| address(one, port)).collect::<Result<_, _>>()?;
        let end = begin + authority.len();
        let password = user.split_once(':').map_or("", |(_, password)| password);
        Ok(Self { text: text.to_owned(), addresses, place: (end - place.len(), end), password: password.to_owned() })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn address(&self) -> &str {
        &self.addresses[0]
    }

    pub(super) fn addresses(&self) -> &[String] {
        &self.addresses
    }

    pub(super) fn password(&self) -> &str {
        &self.password
    }

    /// Returns the URL with other hosts and ports.
    pub(super) fn at(&self, address: &str) -> String {
        format!("{}{address}{}", &self.text[..self.place.0], &self.text[self.place.1..])
    }
}

/// Returns `host:port` for `host[:port]`.
fn address(place: &str, port: u16) -> Result<String, String> {
    let (host, port) = match place.rsplit_once(':') {
        // Colons within brackets are part of an IPv6 address.
        Some((host, digits)) if !digits.contains(']') => (host, digits.parse().map_err(|_| "its port is no number")?),
        _ => (place, port),
    };
    if host.is_empty() { Err("it names no host".into()) } else { Ok(format!("{host}:{port}")) }
}

/// Appends `options` to the options of `url`. Returns `url` unchanged if `options` is empty.
///
/// ```
/// use session_conformance::server::with;
///
/// assert_eq!(with("mine://host/db", "pool=2"), "mine://host/db?pool=2");
/// assert_eq!(with("mine://host/db?tls=true", "pool=2"), "mine://host/db?tls=true&pool=2");
/// assert_eq!(with("mine://host/db", ""), "mine://host/db");
/// ```
pub fn with(url: &str, options: &str) -> String {
    match options {
        "" => url.to_owned(),
        _ => format!("{url}{}{options}", if url.contains('?') { '&' } else { '?' }),
    }
}

/// Returns the URL options for a clause's namespace and the harness's [time-out](crate::Subject::time_out).
///
/// For stores that take them from their URL as `namespace` and `timeout`, the latter in milliseconds.
/// Each byte of the name is percent-encoded, so that names which the store must refuse reach it unchanged.
///
/// ```
/// use std::time::Duration;
///
/// use session_conformance::server::options;
///
/// assert_eq!(options("a&b", Duration::from_secs(2)), "namespace=%61%26%62&timeout=2000");
/// ```
pub fn options(namespace: &str, time_out: Duration) -> String {
    let namespace: String = namespace.bytes().map(|byte| format!("%{byte:02x}")).collect();
    format!("namespace={namespace}&timeout={}", time_out.as_millis())
}

#[cfg(test)]
mod tests {
    use super::Url;

    fn url(text: &str) -> Url {
        Url::parse(text, 5432).map_err(|why| panic!("{text}: {why}")).unwrap()
    }

    #[test]
    fn an_address_is_found_and_replaced() {
        let full = url("postgres://ann:se@cret@db.internal:6000/shop?sslmode=disable");
        assert_eq!(full.address(), "db.internal:6000");
        assert_eq!(full.password(), "se@cret");
        assert_eq!(full.at("127.0.0.1:9"), "postgres://ann:se@cret@127.0.0.1:9/shop?sslmode=disable");
    }

    #[test]
    fn what_is_left_out_has_its_usual_value() {
        let bare = url("postgres://localhost");
        assert_eq!((bare.address(), bare.password()), ("localhost:5432", ""));
        assert_eq!(bare.at("[::1]:9"), "postgres://[::1]:9");
        assert_eq!(url("redis://:pw@h?x=a:1@b").at("p:1"), "redis://:pw@p:1?x=a:1@b");
        assert_eq!(url("postgres://[::1]/db").address(), "[::1]:5432");
        assert_eq!(url("postgres://[::1]:7/db").address(), "[::1]:7");
    }

    #[test]
    fn several_nodes_are_all_found() {
        let cluster = url("redis+cluster://:pw@a:1,b,[::1]:3/");
        assert_eq!(cluster.addresses(), ["a:1", "b:5432", "[::1]:3"]);
        assert_eq!((cluster.address(), cluster.password()), ("a:1", "pw"));
        assert_eq!(cluster.at("p:1,p:2"), "redis+cluster://:pw@p:1,p:2/");
    }

    #[test]
    fn what_is_none_is_refused_without_its_password() {
        for bad in
            ["localhost:5432", "postgres://", "postgres://u:pw@/db", "postgres://u:pw@h:x/db", "m://u:pw@a,,b/db"]
        {
            let Err(why) = Url::parse(bad, 5432) else { panic!("{bad} passes") };
            assert!(!why.contains("pw"), "{why}");
        }
    }
}
