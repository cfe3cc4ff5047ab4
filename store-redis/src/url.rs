//! Parser of `redis:` and `valkey:` URLs.

use redis::Client;
use session_core::Result;
use session_store_kit::{ServerUrl, split, wrong};

use crate::RedisStore;
use crate::builder::RedisStoreBuilder;
use crate::exposure::{EXPOSED, is_exposed};

const SCHEMES: [&str; 4] = ["redis", "rediss", "valkey", "valkeys"];

const CLUSTER_SCHEMES: [&str; 4] = ["redis+cluster", "rediss+cluster", "valkey+cluster", "valkeys+cluster"];

impl RedisStore {
    /// Opens the store that `url` describes.
    ///
    /// The form is `redis://user:password@host:port/database`; everything but the host is optional.
    /// `rediss` uses TLS. `valkey` and `valkeys` are aliases of `redis` and `rediss`.
    /// Without TLS the host must be this machine, unless `tls=false` says that the network is trusted.
    /// With the feature `cluster`, the URL of a cluster is `redis+cluster://user:password@host:port,host:port`.
    /// One node is enough; several let the store open while one is down.
    /// Options: `namespace`, `timeout` and `wait` in ms, `connections`, `queue`, which [`RedisStoreBuilder`] explains, and `tls` (`true`, `false`).
    ///
    /// ```no_run
    /// use session_store_redis::RedisStore;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> session_core::Result<()> {
    /// let store = RedisStore::connect("redis://:secret@localhost/?namespace=web_sessions&timeout=2000").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) for an invalid URL, and the errors of [`RedisStoreBuilder::open`].
    pub async fn connect(url: &str) -> Result<Self> {
        parse(url)?.open().await
    }

    /// Returns a builder for the store that `url` describes.
    ///
    /// ```no_run
    /// use session_core::seconds;
    /// use session_store_redis::RedisStore;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> session_core::Result<()> {
    /// let store = RedisStore::builder("redis://localhost")?.namespace("web_sessions").timeout(seconds(2)).open().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) for an invalid URL.
    pub fn builder(url: &str) -> Result<RedisStoreBuilder> {
        parse(url)
    }
}

/// Parses `url` into a builder. Removes the store's options and passes the rest to the driver.
pub(crate) fn parse(url: &str) -> Result<RedisStoreBuilder> {
    ServerUrl::read(url.strip_suffix("#insecure").unwrap_or(url), &[SCHEMES, CLUSTER_SCHEMES].concat())?;
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    let Some((scheme, cluster)) = scheme.and_then(driver_scheme) else {
        return wrong(
            "the URL is not for this store: a URL for it begins with redis://, rediss://, valkey:// or valkeys://, or with redis+cluster:// for a cluster",
        );
    };
    #[cfg(not(feature = "cluster"))]
    if cluster {
        return wrong(crate::builder::NOT_COMPILED_IN);
    }
    let (url, fragment) = url.split_once('#').map_or((url, None), |(url, fragment)| (url, Some(fragment)));
    let (base, mut query) = split(url)?;
    let tls = query.truth("tls")?;
    let encrypted = matches!(scheme, "rediss" | "valkeys");
    if encrypted && tls == Some(false) {
        return wrong("the URL's scheme requires TLS, and its option `tls=false` forbids it: leave one of them out");
    }
    let encrypted = encrypted || tls == Some(true);
    if encrypted && cfg!(not(feature = "tls")) {
        return wrong(
            "the URL requires TLS, which needs the feature `tls` of session-store-redis; it is not compiled in",
        );
    }
    if fragment.is_some() && !encrypted {
        return wrong(if cluster { CLUSTER_FORM } else { FORM });
    }
    let scheme = if encrypted { "rediss" } else { "redis" };
    let rest = base.split_once("://").map_or("", |(_, rest)| rest);
    let mut clients = Vec::new();
    for node in if cluster { node_addresses(rest)? } else { vec![rest.to_owned()] } {
        let fragment = fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
        // The driver's error is not passed on, because it may quote the URL with its password.
        let Ok(client) = Client::open(format!("{scheme}://{node}{fragment}")) else {
            return wrong(if cluster { CLUSTER_FORM } else { FORM });
        };
        clients.push(client);
    }
    if tls != Some(false) && clients.iter().any(|client| is_exposed(client.get_connection_info().addr())) {
        return wrong(EXPOSED);
    }
    let mut clients = clients.into_iter();
    let Some(first) = clients.next() else { return wrong(CLUSTER_FORM) };
    let mut builder = RedisStoreBuilder::at(first).and_at(clients).cluster(cluster).exposed(tls == Some(false));
    builder.settings.read(&mut query)?;
    builder.settings.read_wait(&mut query)?;
    if let Some(connections) = query.number("connections")? {
        builder = builder.connections(connections);
    }
    query.finish()?;
    Ok(builder)
}

const FORM: &str =
    "the URL is not of the form redis://user:password@host:port/database; with TLS, `#insecure` may follow";

const CLUSTER_FORM: &str =
    "the URL is not of the form redis+cluster://user:password@host:port,host:port; with TLS, `#insecure` may follow";

/// Returns the scheme for the driver, and whether the URL is that of a cluster.
fn driver_scheme(scheme: &str) -> Option<(&'static str, bool)> {
    let (base, cluster) = scheme.strip_suffix("+cluster").map_or((scheme, false), |base| (base, true));
    SCHEMES.into_iter().find(|known| *known == base).map(|known| (known, cluster))
}

/// Splits `user:password@host:port,host:port/` into one `user:password@host:port` for each node.
fn node_addresses(rest: &str) -> Result<Vec<String>> {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if !path.is_empty() {
        return wrong(CLUSTER_FORM);
    }
    let (user, nodes) = authority.rsplit_once('@').map_or((None, authority), |(user, nodes)| (Some(user), nodes));
    let user = user.map(|user| format!("{user}@")).unwrap_or_default();
    Ok(nodes.split(',').map(|node| format!("{user}{node}")).collect())
}

#[cfg(test)]
mod tests {
    use session_core::ErrorKind;

    use super::*;

    #[test]
    fn every_scheme_and_option_is_known() {
        for url in [
            "redis://localhost",
            "redis://user:secret@localhost:6390/3?namespace=web&timeout=2000&connections=2&queue=100",
            "valkey://:secret@[::1]:6390/?namespace=w%65b",
        ] {
            assert!(parse(url).is_ok(), "{url}");
        }
        #[cfg(feature = "tls")]
        for url in ["rediss://db.example", "valkeys://db.example/1?timeout=100", "rediss://localhost/?queue=9#insecure"]
        {
            assert!(parse(url).is_ok(), "{url}");
        }
    }

    #[cfg(feature = "cluster")]
    #[test]
    fn a_cluster_has_a_scheme_of_its_own_and_several_nodes() {
        for url in [
            "redis+cluster://localhost",
            "redis+cluster://user:secret@10.0.0.1:7000,10.0.0.2:7000,[::1]:7001/?namespace=web&timeout=2000&tls=false",
            "valkey+cluster://:secret@a,b,c?connections=2&tls=false",
        ] {
            let builder = parse(url).unwrap();
            assert!(format!("{builder:?}").contains("cluster: true"), "{url}");
        }
        assert!(format!("{:?}", parse("redis://localhost").unwrap()).contains("cluster: false"));
        #[cfg(feature = "tls")]
        for url in ["rediss+cluster://a,b", "valkeys+cluster://a:1,b:2#insecure"] {
            assert!(parse(url).is_ok(), "{url}");
        }
        for url in ["redis+cluster://", "redis+cluster://a,", "redis+cluster://:secret@a,,b", "redis+cluster://a,b/1"] {
            let error = parse(url).unwrap_err();
            assert!(error.to_string().contains("of the form redis+cluster://"), "{url}: {error}");
        }
    }

    #[test]
    fn off_loopback_the_connection_is_encrypted_unless_the_url_says_otherwise() {
        for url in [
            "redis://localhost",
            "redis://127.0.0.1:6390/3",
            "valkey://[::1]",
            "redis://db.example?tls=false",
            "valkey://10.0.0.7?tls=false&timeout=100",
            #[cfg(feature = "cluster")]
            "redis+cluster://localhost,127.0.0.1:7000",
            #[cfg(feature = "cluster")]
            "redis+cluster://a,b?tls=false",
            #[cfg(feature = "tls")]
            "redis://db.example?tls=true",
            #[cfg(feature = "tls")]
            "redis://db.example?tls=true#insecure",
            #[cfg(feature = "tls")]
            "rediss://db.example?tls=true",
        ] {
            assert!(parse(url).is_ok(), "{url}: {:?}", parse(url));
        }
        let exposed = ["redis://db.example", "valkey://:secret@10.0.0.7:6390/1", "redis://localhost.example"];
        let exposed_cluster = ["redis+cluster://localhost,10.0.0.7", "valkey+cluster://a"];
        for url in exposed.into_iter().chain(exposed_cluster.into_iter().filter(|_| cfg!(feature = "cluster"))) {
            let error = parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            for word in ["rediss://", "`tls=false`"] {
                assert!(error.to_string().contains(word), "{url}: {error}");
            }
        }
        #[cfg(feature = "tls")]
        assert!(parse("rediss://db.example?tls=false").unwrap_err().to_string().contains("leave one of them out"));
        assert!(parse("redis://localhost#insecure").unwrap_err().to_string().contains("of the form"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (url, part) in [
            ("postgres://db", "begins with redis://"),
            ("redis:db", "begins with redis://"),
            ("redis+sentinel://db", "begins with redis://"),
            ("postgres+cluster://db", "begins with redis://"),
            ("redis://:secret@a:1,b:2", "of the form"),
            ("redis://", "of the form"),
            ("redis://:secret@host:port", "of the form"),
            ("redis://:secret@host/db", "of the form"),
            (
                "redis://localhost?name=a",
                "unknown option in the URL; known are tls (true or false), namespace, timeout",
            ),
            ("redis://:pa?secret&x@localhost", "percent-encode the characters"),
            ("redis://:pa#secret@localhost", "percent-encode the characters"),
            ("redis://localhost?timeout=5s", "milliseconds"),
            ("redis://localhost?connections=many", "a number"),
            ("redis://localhost?queue=-1", "a number"),
            ("redis://localhost?namespace=%ff", "not UTF-8"),
        ] {
            let error = parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(error.to_string().contains(part), "{url}: {error}");
            assert!(!format!("{error} {error:?}").contains("secret"), "{url}");
        }
    }
}
