//! Servers for tests, each in its own container. Requires the feature `containers`.
//!
//! ```no_run
//! # async fn example() -> session_core::Result<()> {
//! use session_conformance::{Subject, server};
//!
//! let server = server::postgres().await?;
//! let subject = Subject::new("store-mine", "0.1.0").address(server.address()).secret(server.password());
//! println!("open the store on {}", server.url());
//! # Ok(())
//! # }
//! ```
//!
//! A harness starts its server in [`subject`](crate::Harness::subject) and keeps it.
//! The container is removed when the harness is dropped, after the last clause.
//! Each call starts another server, so several of a kind can run at once.
//! Tests of one program can share one server with [`Shared`].
//!
//! # Where a server comes from
//!
//! 1. The server in `CONFORMANCE_<NAME>_URL`, such as `CONFORMANCE_POSTGRES_URL`. It is used as it is, and never
//!    stopped. Its URL must name a database in which the suite may leave tables, and a user who may create them.
//! 2. A container of the image in `CONFORMANCE_<NAME>_IMAGE`. The image must take the environment and the command of
//!    the official one.
//! 3. A container of the official image with the tag that this crate pins. The image is pulled if necessary.
//!
//! If no server is available, the call fails, and no test is skipped.

mod container;
mod kind;
mod probe;
mod shared;
mod url;

use std::env;
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use session_core::{Error, ErrorKind, Result};

pub use shared::{Shared, blocking};

use container::Container;
use kind::ServerKind;
use url::Url;

/// Time in which an external server must answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// A server that answers. If it was started for this value, it is removed when the value is dropped.
pub struct Server {
    kind: &'static ServerKind,
    url: Url,
    container: Option<Container>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("name", &self.kind.name).field("address", &self.address()).finish()
    }
}

/// Returns a PostgreSQL server, with an empty database if it runs in a container.
///
/// # Errors
/// If no server is available, or it does not answer.
pub async fn postgres() -> Result<Server> {
    Server::of(&kind::POSTGRES).await
}

/// Returns a MySQL server, with an empty database if it runs in a container.
///
/// # Errors
/// If no server is available, or it does not answer.
pub async fn mysql() -> Result<Server> {
    Server::of(&kind::MYSQL).await
}

/// Returns a MariaDB server, with an empty database if it runs in a container.
///
/// # Errors
/// If no server is available, or it does not answer.
pub async fn mariadb() -> Result<Server> {
    Server::of(&kind::MARIADB).await
}

/// Returns a Redis server.
///
/// # Errors
/// If no server is available, or it does not answer.
pub async fn redis() -> Result<Server> {
    Server::of(&kind::REDIS).await
}

/// Returns a Redis cluster of three masters.
///
/// Its URL names all of them: `redis+cluster://:password@host:port,host:port,host:port/`.
/// So must the URL in `CONFORMANCE_REDIS_CLUSTER_URL`. The image is that of Redis, which `CONFORMANCE_REDIS_IMAGE`
/// overrides.
///
/// In a container the nodes announce themselves on 127.0.0.1, so Docker must run on this machine.
///
/// # Errors
/// If no cluster is available, or its nodes do not serve all slots.
pub async fn redis_cluster() -> Result<Server> {
    Server::of(&kind::REDIS_CLUSTER).await
}

/// Returns a Valkey server.
///
/// # Errors
/// If no server is available, or it does not answer.
pub async fn valkey() -> Result<Server> {
    Server::of(&kind::VALKEY).await
}

/// Returns a Valkey cluster of three masters, like [`redis_cluster`].
///
/// Its variables are `CONFORMANCE_VALKEY_CLUSTER_URL` and `CONFORMANCE_VALKEY_IMAGE`.
///
/// # Errors
/// If no cluster is available, or its nodes do not serve all slots.
pub async fn valkey_cluster() -> Result<Server> {
    Server::of(&kind::VALKEY_CLUSTER).await
}

/// Returns a MongoDB server, or another that speaks its protocol: a single node without replicas.
/// Its database is empty if it runs in a container.
///
/// # Errors
/// If no server is available, or it does not answer.
pub async fn mongo() -> Result<Server> {
    Server::of(&kind::MONGO).await
}

/// Returns a DynamoDB Local server. It keeps its tables in memory, so they are lost after a [`stop`](Server::stop).
///
/// It accepts any credentials. Those in the URL are the access key's id and its secret; the path is the region.
///
/// # Errors
/// If no server is available, or it does not answer.
pub async fn dynamo() -> Result<Server> {
    Server::of(&kind::DYNAMO).await
}

/// Function that starts a server: one of this module's, as `|| Box::pin(server::postgres())`.
pub type Start = fn() -> Pin<Box<dyn Future<Output = Result<Server>> + Send>>;

/// Start functions of all kinds of servers, by name.
///
/// ```no_run
/// # async fn example() -> session_core::Result<()> {
/// for (name, start) in session_conformance::server::ALL {
///     println!("{name} is at {}", start().await?.address());
/// }
/// # Ok(())
/// # }
/// ```
pub const ALL: &[(&str, Start)] = &[
    ("postgres", || Box::pin(postgres())),
    ("mysql", || Box::pin(mysql())),
    ("mariadb", || Box::pin(mariadb())),
    ("redis", || Box::pin(redis())),
    ("valkey", || Box::pin(valkey())),
    ("redis_cluster", || Box::pin(redis_cluster())),
    ("valkey_cluster", || Box::pin(valkey_cluster())),
    ("mongo", || Box::pin(mongo())),
    ("dynamo", || Box::pin(dynamo())),
];

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

impl Server {
    async fn of(kind: &'static ServerKind) -> Result<Self> {
        let variable = |what: &str| {
            let of = if what == "IMAGE" { kind.image_of } else { kind.name };
            let name = format!("CONFORMANCE_{}_{what}", of.to_uppercase());
            env::var(&name).ok().filter(|value| !value.is_empty()).map(|value| (name, value))
        };
        if let Some((name, text)) = variable("URL") {
            let url = Url::parse(&text, kind.port)
                .map_err(|why| Error::new(ErrorKind::Config, format!("{name} is no URL of a server: {why}")))?;
            kind.probe.all_answered(url.addresses(), url.password(), PATIENCE).await.map_err(|why| {
                let text = format!("{} at {}, where {name} says that it is: {why}", kind.name, url.address());
                Error::new(ErrorKind::Unavailable, text)
            })?;
            return Ok(Self { kind, url, container: None });
        }
        let image = variable("IMAGE").map_or_else(|| kind.image.to_owned(), |(_, image)| image);
        let password = format!("{:016x}", rand::random::<u64>());
        let container = Container::start(kind, &image, &password).await.map_err(|why| {
            let text = format!(
                "{} in a container of {image}: {why}. CONFORMANCE_{}_IMAGE names another image, \
                 CONFORMANCE_{}_URL a server that is there already",
                kind.name,
                kind.image_of.to_uppercase(),
                kind.name.to_uppercase(),
            );
            Error::new(ErrorKind::Unavailable, text)
        })?;
        let url = kind.url(&container.addresses().join(","), &password);
        let url = Url::parse(&url, kind.port).map_err(|why| Error::new(ErrorKind::Other, why))?;
        Ok(Self { kind, url, container: Some(container) })
    }

    /// Returns the name of the server's kind: `postgres`, `redis`, …
    pub fn name(&self) -> &'static str {
        self.kind.name
    }

    /// Returns the URL for stores, with the password.
    pub fn url(&self) -> &str {
        self.url.text()
    }

    /// Returns the URL with the container's own address if this machine can reach it, otherwise the same as
    /// [`url`](Self::url).
    ///
    /// Use it for measurements, because Docker's port forwarding takes more processor time than a fast server.
    /// After a [`stop`](Self::stop) the address may belong to another container.
    ///
    /// ```no_run
    /// # async fn example() -> session_core::Result<()> {
    /// let server = session_conformance::server::redis().await?;
    /// println!("measure the store on {}", server.direct_url());
    /// # Ok(())
    /// # }
    /// ```
    pub fn direct_url(&self) -> String {
        let direct = self.container.as_ref().and_then(Container::direct);
        direct.map_or_else(|| self.url().to_owned(), |address| self.url.at(address))
    }

    /// Returns the [`url`](Self::url) with these options appended.
    ///
    /// ```no_run
    /// # async fn example() -> session_core::Result<()> {
    /// let server = session_conformance::server::mongo().await?;
    /// println!("open the store on {}", server.url_with("namespace=mine&timeout=500"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn url_with(&self, options: &str) -> String {
        with(self.url(), options)
    }

    /// Returns `host:port` for [`Subject::address`](crate::Subject::address), of the first node if there are several.
    pub fn address(&self) -> &str {
        self.url.address()
    }

    /// Returns `host:port` of each node.
    pub fn addresses(&self) -> &[String] {
        self.url.addresses()
    }

    /// Returns the [`url`](Self::url) with the addresses of the server or of all its nodes replaced by a proxy's.
    pub fn url_through(&self, proxy: SocketAddr) -> String {
        self.url.at(&proxy.to_string())
    }

    /// Returns the URL's password for [`Subject::secret`](crate::Subject::secret), or an empty text if there is none.
    /// Every container has a random one, so that a text does not contain it by accident.
    pub fn password(&self) -> &str {
        self.url.password()
    }

    /// Stops the server, like an operator. Data on its disk remains for [`start`](Self::start).
    ///
    /// # Errors
    /// If the server is external, or its container does not stop.
    pub async fn stop(&self) -> Result<()> {
        self.own("be stopped")?.stop().await.map_err(|why| self.failed("stopping", &why))
    }

    /// Starts the server again at its old address, and waits until it answers.
    ///
    /// # Errors
    /// If the server is external, or it does not answer.
    pub async fn start(&self) -> Result<()> {
        self.own("be started")?.resume().await.map_err(|why| self.failed("starting", &why))
    }

    fn own(&self, what: &str) -> Result<&Container> {
        self.container.as_ref().ok_or_else(|| {
            let text = format!("{} at {} is not ours: it cannot {what} here", self.name(), self.address());
            Error::new(ErrorKind::Unsupported, text)
        })
    }

    fn failed(&self, what: &str, why: &str) -> Error {
        Error::new(ErrorKind::Unavailable, format!("{what} {}: {why}", self.name()))
    }
}
