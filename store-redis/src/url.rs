//! Parser of `redis:` and `valkey:` URLs.

use redis::{Client, ConnectionAddr, IntoConnectionInfo as _, RedisConnectionInfo};
use session_core::Result;
use session_store_kit::{Query, ServerUrl, decode, split, wrong};

use crate::RedisStore;
use crate::builder::RedisStoreBuilder;
use crate::exposure::{EXPOSED, is_exposed};

const SCHEMES: [&str; 4] = ["redis", "rediss", "valkey", "valkeys"];

const CLUSTER_SCHEMES: [&str; 4] = ["redis+cluster", "rediss+cluster", "valkey+cluster", "valkeys+cluster"];

const SENTINEL_SCHEMES: [&str; 4] = ["redis+sentinel", "rediss+sentinel", "valkey+sentinel", "valkeys+sentinel"];

const SOCKET_SCHEMES: [&str; 3] = ["redis+unix", "valkey+unix", "unix"];

/// What a URL names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Server,
    /// Nodes of a cluster.
    Cluster,
    /// Sentinels, and the name of a master.
    Sentinel,
    /// A socket file.
    Socket,
}

impl RedisStore {
    /// Opens the store that `url` describes.
    ///
    /// The form is `redis://user:password@host:port/database`; everything but the host is optional.
    /// `rediss` uses TLS. `valkey` and `valkeys` are aliases of `redis` and `rediss`.
    /// Without TLS the host must be this machine, unless `tls=false` says that the network is trusted.
    /// With the feature `cluster`, the URL of a cluster is `redis+cluster://user:password@host:port,host:port`.
    /// One node is enough; several let the store open while one is down.
    /// By Redis Sentinel it is `redis+sentinel://user:password@sentinel:port,sentinel:port/master/database`, with the options `sentinel-user`
    /// and `sentinel-password` for the sentinels' own login, and by a Unix socket `redis+unix:///path?db=0&user=shop&pass=secret`.
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
    let schemes = [&SCHEMES[..], &CLUSTER_SCHEMES, &SENTINEL_SCHEMES, &SOCKET_SCHEMES].concat();
    let (parts, _) = ServerUrl::read(url.strip_suffix("#insecure").unwrap_or(url), &schemes)?;
    let (scheme, kind) = kind(parts.scheme);
    #[cfg(not(feature = "cluster"))]
    if kind == Kind::Cluster {
        return wrong(crate::topology::NOT_COMPILED_IN);
    }
    let (url, fragment) = url.split_once('#').map_or((url, None), |(url, fragment)| (url, Some(fragment)));
    let (base, mut query) = split(url)?;
    let tls = query.truth("tls")?;
    let encrypted = matches!(scheme, "rediss" | "valkeys");
    if encrypted && tls == Some(false) {
        return wrong("the URL's scheme requires TLS, and its option `tls=false` forbids it: leave one of them out");
    }
    let encrypted = encrypted || tls == Some(true);
    if encrypted && kind == Kind::Socket {
        return wrong("the URL names a socket file, which has no TLS: omit `tls=true`");
    }
    if encrypted && cfg!(not(feature = "tls")) {
        return wrong(
            "the URL requires TLS, which needs the feature `tls` of session-store-redis; it is not compiled in",
        );
    }
    if fragment.is_some() && !encrypted {
        return wrong(form(kind));
    }
    let scheme = if encrypted { "rediss" } else { "redis" };
    let rest = base.split_once("://").map_or("", |(_, rest)| rest);
    let addresses = match kind {
        Kind::Server => vec![rest.to_owned()],
        Kind::Cluster => node_addresses(rest)?,
        Kind::Sentinel => vec![master_address(rest)?],
        Kind::Socket => Vec::new(),
    };
    let fragment = fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
    let mut clients = Vec::new();
    for address in addresses {
        // The driver's error is not passed on, because it may quote the URL with its password.
        let Ok(client) = Client::open(format!("{scheme}://{address}{fragment}")) else { return wrong(form(kind)) };
        clients.push(client);
    }
    if kind == Kind::Socket {
        clients.push(socket(&parts, &mut query)?);
    }
    if tls != Some(false) && clients.iter().any(|client| is_exposed(client.get_connection_info().addr())) {
        return wrong(EXPOSED);
    }
    let mut clients = clients.into_iter();
    let Some(first) = clients.next() else { return wrong(form(kind)) };
    let mut builder =
        RedisStoreBuilder::at(first).and_at(clients).cluster(kind == Kind::Cluster).exposed(tls == Some(false));
    if kind == Kind::Sentinel {
        let master = decode(parts.path.split('/').next().unwrap_or_default())?;
        builder = builder.sentinels(&master, parts.hosts.split(','));
        if let Some(sentinel) = &mut builder.sentinel {
            sentinel.login = (query.text("sentinel-user"), query.text("sentinel-password"));
        }
    }
    builder.settings.read(&mut query)?;
    builder.settings.read_wait(&mut query)?;
    if let Some(connections) = query.number("connections")? {
        builder = builder.connections(connections);
    }
    query.finish()?;
    Ok(builder)
}

/// Returns the form of a URL of this kind, for an error.
const fn form(kind: Kind) -> &'static str {
    match kind {
        Kind::Server => {
            "the URL is not of the form redis://user:password@host:port/database; with TLS, `#insecure` may follow"
        }
        Kind::Cluster => {
            "the URL is not of the form redis+cluster://user:password@host:port,host:port; with TLS, `#insecure` may follow"
        }
        Kind::Sentinel => {
            "the URL is not of the form redis+sentinel://user:password@host:port,host:port/master/database; the hosts are those \
             of the sentinels, the user and the password those of the master; with TLS, `#insecure` may follow"
        }
        Kind::Socket => "the URL is not of the form redis+unix:///path?db=0&user=shop&pass=secret",
    }
}

/// Returns the scheme for the driver, and what the URL names.
fn kind(scheme: &'static str) -> (&'static str, Kind) {
    match scheme.split_once('+') {
        Some((base, "cluster")) => (base, Kind::Cluster),
        Some((base, "sentinel")) => (base, Kind::Sentinel),
        Some((base, _)) => (base, Kind::Socket),
        None if scheme == "unix" => (scheme, Kind::Socket),
        None => (scheme, Kind::Server),
    }
}

/// Returns the client of a socket file, with the options that the driver has for it.
fn socket(parts: &ServerUrl<'_>, query: &mut Query<'_>) -> Result<Client> {
    // Their places in other URLs would be taken for a part of the path.
    if !parts.hosts.is_empty() || parts.user.is_some() || parts.password.is_some() || parts.path.is_empty() {
        return wrong(form(Kind::Socket));
    }
    let mut settings = RedisConnectionInfo::default().set_db(query.number("db")?.unwrap_or(0));
    if let Some(user) = query.text("user") {
        settings = settings.set_username(user);
    }
    if let Some(password) = query.text("pass") {
        settings = settings.set_password(password);
    }
    let address = ConnectionAddr::Unix(format!("/{}", decode(parts.path)?).into());
    let client = address.into_connection_info().and_then(|info| Client::open(info.set_redis_settings(settings)));
    client.or_else(|_| wrong(form(Kind::Socket)))
}

/// Returns `user:password@host:port/database` of `user:password@host:port,host:port/master/database`. The host is that of a sentinel.
fn master_address(rest: &str) -> Result<String> {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (master, database) = path.split_once('/').unwrap_or((path, ""));
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    if master.is_empty() || hosts.split(',').any(str::is_empty) {
        return wrong(form(Kind::Sentinel));
    }
    let first = authority.split_at(authority.len() - hosts.len()).0;
    Ok(format!("{first}{}/{database}", hosts.split(',').next().unwrap_or_default()))
}

/// Splits `user:password@host:port,host:port/` into one `user:password@host:port` for each node.
fn node_addresses(rest: &str) -> Result<Vec<String>> {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if !path.is_empty() {
        return wrong(form(Kind::Cluster));
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
    fn sentinels_and_a_socket_have_schemes_of_their_own() {
        for url in [
            "redis+sentinel://localhost/main",
            "valkey+sentinel://shop:secret@127.0.0.1:5000,[::1]:5001,localhost/my%20main/3?sentinel-user=a&sentinel-password=b&timeout=9",
        ] {
            let builder = parse(url).unwrap();
            let sentinel = builder.sentinel.as_ref().expect("sentinels");
            assert!(["main", "my main"].contains(&&*sentinel.master), "{}", sentinel.master);
            assert_eq!(sentinel.addresses.len(), url.split(',').count());
            assert!(!format!("{builder:?}").contains("secret"));
        }
        for url in [
            "redis+sentinel://",
            "redis+sentinel://:secret@localhost",
            "redis+sentinel://localhost/",
            "redis+sentinel://localhost,/main",
            "redis+sentinel://localhost/main/three",
            "redis+sentinel://localhost/main/3/secret",
        ] {
            let error = parse(url).unwrap_err();
            assert!(error.to_string().contains("of the form redis+sentinel://"), "{url}: {error}");
        }
        for url in [
            "redis+unix:///run/a%20b.sock?db=3&user=shop&pass=%40secret",
            "valkey+unix:///a",
            "unix:///a?queue=3&tls=false",
        ] {
            assert!(parse(url).is_ok(), "{url}: {:?}", parse(url));
        }
        for url in ["redis+unix://", "redis+unix://shop:secret@/a", "redis+unix://localhost/a"] {
            let error = parse(url).unwrap_err();
            assert!(error.to_string().contains("of the form redis+unix://"), "{url}: {error}");
        }
        assert!(parse("unix:///a?db=three").unwrap_err().to_string().contains("a number"));
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
            "redis+sentinel://localhost,127.0.0.1/main",
            "redis+sentinel://a,b/main?tls=false",
            #[cfg(feature = "tls")]
            "rediss+sentinel://a,b/main",
            #[cfg(feature = "tls")]
            "redis://db.example?tls=true",
            #[cfg(feature = "tls")]
            "redis://db.example?tls=true#insecure",
            #[cfg(feature = "tls")]
            "rediss://db.example?tls=true",
        ] {
            assert!(parse(url).is_ok(), "{url}: {:?}", parse(url));
        }
        let exposed = [
            "redis://db.example",
            "valkey://:secret@10.0.0.7:6390/1",
            "redis://localhost.example",
            "redis+sentinel://a/main",
        ];
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
            ("redis+sentinel://db", "of the form redis+sentinel://"),
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
