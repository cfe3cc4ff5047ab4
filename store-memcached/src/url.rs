//! Parser of `memcached:` URLs.

use session_core::Result;
use session_store_kit::{ServerUrl, wrong};

use crate::MemcachedStore;
use crate::address::Address;
use crate::builder::MemcachedStoreBuilder;
use crate::connection::Login;

impl MemcachedStore {
    /// Opens the store that `url` describes.
    ///
    /// The form is `memcached://user:password@host:port,host:port`; user and password are optional, and the port is 11211 unless given.
    /// With several servers each keeps its share of the sessions. The list must be the same in every process.
    /// Options: `namespace`, `timeout` and `wait` in ms, `queue`, `pool`, `tls` (`true`, `false`) and `tls-ca` (the path of a PEM file),
    /// which [`MemcachedStoreBuilder`] explains.
    ///
    /// ```no_run
    /// use session_store_memcached::MemcachedStore;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> session_core::Result<()> {
    /// let store = MemcachedStore::connect("memcached://localhost?namespace=web_sessions&timeout=2000").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) for an invalid URL, and the errors of [`MemcachedStoreBuilder::open`].
    pub async fn connect(url: &str) -> Result<Self> {
        parse(url)?.open().await
    }

    /// Returns a builder for the store that `url` describes.
    ///
    /// ```no_run
    /// use session_core::seconds;
    /// use session_store_memcached::MemcachedStore;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> session_core::Result<()> {
    /// let store = MemcachedStore::builder("memcached://localhost")?.namespace("web_sessions").timeout(seconds(2)).open().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) for an invalid URL.
    pub fn builder(url: &str) -> Result<MemcachedStoreBuilder> {
        parse(url)
    }
}

/// Parses `url` into a builder.
fn parse(url: &str) -> Result<MemcachedStoreBuilder> {
    let (parts, mut query) = ServerUrl::read(url, &["memcached"])?;
    if !parts.path.is_empty() {
        return wrong(
            "Memcached has no databases, so nothing may follow the servers in the URL; set `namespace` instead",
        );
    }
    let login = match (parts.user, parts.password) {
        (Some(user), Some(password)) => Some(Login::new(user, password)?),
        (None, None) => None,
        _ => return wrong("Memcached needs a user and a password, or neither: memcached://user:password@host"),
    };
    let mut addresses: Vec<Address> = Vec::new();
    for place in parts.hosts.split(',') {
        let address = Address::parse(place)?;
        if addresses.iter().any(|other| (&other.host, other.port) == (&address.host, address.port)) {
            return wrong("the URL names one server twice; name each once");
        }
        addresses.push(address);
    }
    let mut builder = MemcachedStoreBuilder::at(addresses, login);
    builder.settings.read(&mut query)?;
    builder.settings.read_wait(&mut query)?;
    if let Some(pool) = query.number("pool")? {
        builder = builder.pool(pool);
    }
    let (tls, authorities) = (query.truth("tls")?, query.text("tls-ca"));
    query.finish()?;
    match (tls, authorities) {
        (Some(false), Some(_)) => {
            wrong("the URL's option tls-ca requires TLS, and `tls=false` forbids it: leave one of them out")
        }
        (_, Some(path)) => builder.tls_ca(path),
        (Some(tls), None) => Ok(builder.tls(tls)),
        (None, None) => Ok(builder),
    }
}

#[cfg(test)]
mod tests {
    use session_core::ErrorKind;

    use super::*;

    #[test]
    fn every_option_is_known() {
        for url in [
            "memcached://localhost",
            "memcached://ann:secret@localhost:7000,[::1]:7001,127.0.0.1/?namespace=web&timeout=2000&wait=10&queue=9&pool=8&tls=true",
            "memcached://db.example?tls=false",
        ] {
            assert!(parse(url).is_ok(), "{url}: {:?}", parse(url));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (url, part) in [
            ("redis://localhost", "begins with memcached://"),
            ("memcached://", "names no server"),
            ("memcached://a,,b", "names no server"),
            ("memcached://a,b,a:11211", "names one server twice"),
            ("memcached://localhost/1", "nothing may follow the servers"),
            ("memcached://ann@localhost", "a user and a password"),
            ("memcached://:secret@localhost", "a user and a password"),
            ("memcached://an%20n:secret@localhost", "white space"),
            ("memcached://ann:se%0Acret@localhost", "white space"),
            ("memcached://localhost?name=a", "unknown option in the URL; known are namespace"),
            ("memcached://localhost?pool=many", "a number"),
            ("memcached://localhost?tls=maybe", "true or false"),
            ("memcached://localhost?tls-ca=/nowhere/secret.pem", "does not exist"),
            ("memcached://localhost?tls=false&tls-ca=/nowhere/secret.pem", "leave one of them out"),
            ("memcached://ann:pa?secret&x@localhost", "percent-encode the characters"),
        ] {
            let error = parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(error.to_string().contains(part), "{url}: {error}");
            assert!(!format!("{error} {error:?}").contains("secret"), "{url}");
        }
    }
}
