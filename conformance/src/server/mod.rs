//! Servers to test against, each in a container of its own. Feature `containers`.
//!
//! ```no_run
//! # async fn example() -> session_core::Result<()> {
//! use conformance::{Subject, server};
//!
//! let server = server::postgres().await?;
//! let subject = Subject::new("store-mine", "0.1.0").address(server.address()).secret(server.password());
//! println!("open the store on {}", server.url());
//! # Ok(())
//! # }
//! ```
//!
//! A harness starts its server in [`subject`](crate::Harness::subject) and keeps it:
//! when the harness goes, after the last clause, so does the container.
//! Several servers of a kind may be had at once; each call starts another.
//! Tests of one program that can do with one hold it by a [`Shared`].
//!
//! # Where a server comes from
//!
//! 1. `CONFORMANCE_<NAME>_URL`, such as `CONFORMANCE_POSTGRES_URL`: a server that is there already is used as it is,
//!    and stays. Whoever names it says where the suite may leave its tables, and gives a user who may make them.
//! 2. A container of the image in `CONFORMANCE_<NAME>_IMAGE`, which takes the environment and the command of the
//!    official one.
//! 3. A container of the official image with the tag that this crate pins, pulled if need be.
//!
//! A server that cannot be had is an error and never a reason to skip anything.

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
use kind::Kind;
use url::Url;

/// How long a server that is said to be there already may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// A server that answers. One that was started for this value is removed with it.
pub struct Server {
    kind: &'static Kind,
    url: Url,
    container: Option<Container>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("name", &self.kind.name).field("address", &self.address()).finish()
    }
}

/// A PostgreSQL server, with an empty database.
///
/// # Errors
/// If none can be had, or it does not answer.
pub async fn postgres() -> Result<Server> {
    Server::of(&kind::POSTGRES).await
}

/// A MySQL server, with an empty database.
///
/// # Errors
/// If none can be had, or it does not answer.
pub async fn mysql() -> Result<Server> {
    Server::of(&kind::MYSQL).await
}

/// A MariaDB server, with an empty database.
///
/// # Errors
/// If none can be had, or it does not answer.
pub async fn mariadb() -> Result<Server> {
    Server::of(&kind::MARIADB).await
}

/// A Redis server.
///
/// # Errors
/// If none can be had, or it does not answer.
pub async fn redis() -> Result<Server> {
    Server::of(&kind::REDIS).await
}

/// A Redis cluster of three masters. Its URL, `redis+cluster://:password@host:port,host:port,host:port/`, names them all,
/// and has to in `CONFORMANCE_REDIS_CLUSTER_URL` too. Its image is that of Redis, from `CONFORMANCE_REDIS_IMAGE` if that is set.
///
/// In a container the nodes announce themselves on 127.0.0.1, so Docker has to be on this machine.
///
/// # Errors
/// If none can be had, or its nodes do not serve all slots.
pub async fn redis_cluster() -> Result<Server> {
    Server::of(&kind::REDIS_CLUSTER).await
}

/// A Valkey server.
///
/// # Errors
/// If none can be had, or it does not answer.
pub async fn valkey() -> Result<Server> {
    Server::of(&kind::VALKEY).await
}

/// A Valkey cluster of three masters, as [`redis_cluster`] is one: `CONFORMANCE_VALKEY_CLUSTER_URL`, or the image of Valkey.
///
/// # Errors
/// If none can be had, or its nodes do not serve all slots.
pub async fn valkey_cluster() -> Result<Server> {
    Server::of(&kind::VALKEY_CLUSTER).await
}

/// A MongoDB server, or another that speaks its protocol, with an empty database: a single one, without replicas.
///
/// # Errors
/// If none can be had, or it does not answer.
pub async fn mongo() -> Result<Server> {
    Server::of(&kind::MONGO).await
}

/// DynamoDB Local, which keeps its tables in memory: they are gone after a [`stop`](Server::stop).
/// It takes any credentials; those in the URL are the access key's id and its secret, the path is the region.
///
/// # Errors
/// If none can be had, or it does not answer.
pub async fn dynamo() -> Result<Server> {
    Server::of(&kind::DYNAMO).await
}

/// How a server is started: one of the functions of this module, as `|| Box::pin(server::postgres())`.
pub type Start = fn() -> Pin<Box<dyn Future<Output = Result<Server>> + Send>>;

/// Every kind of server that there is, by name.
///
/// ```no_run
/// # async fn example() -> session_core::Result<()> {
/// for (name, start) in conformance::server::ALL {
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

/// `url` with these options behind whatever options it has; as it is, if they are none.
///
/// ```
/// use conformance::server::with;
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

/// The options by which a store is told a clause's namespace and the [time-out](crate::Subject::time_out) that its harness states,
/// where it takes them from its URL as `namespace` and `timeout`.
///
/// Each byte of the name is percent-encoded: one that the store has to refuse gets to it as it is.
///
/// ```
/// use std::time::Duration;
///
/// use conformance::server::options;
///
/// assert_eq!(options("a&b", Duration::from_secs(2)), "namespace=%61%26%62&timeout=2000");
/// ```
pub fn options(namespace: &str, time_out: Duration) -> String {
    let namespace: String = namespace.bytes().map(|byte| format!("%{byte:02x}")).collect();
    format!("namespace={namespace}&timeout={}", time_out.as_millis())
}

impl Server {
    async fn of(kind: &'static Kind) -> Result<Self> {
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

    /// What kind of server it is: `postgres`, `redis`, …
    pub fn name(&self) -> &'static str {
        self.kind.name
    }

    /// Where stores connect, password included.
    pub fn url(&self) -> &str {
        self.url.text()
    }

    /// [`url`](Self::url) with the container's own address, where this machine reaches it, and else as it is.
    /// For measurements: what Docker's forwarding takes of a processor is more than what a fast server takes.
    /// After a [`stop`](Self::stop) the address may be another's.
    ///
    /// ```no_run
    /// # async fn example() -> session_core::Result<()> {
    /// let server = conformance::server::redis().await?;
    /// println!("measure the store on {}", server.direct_url());
    /// # Ok(())
    /// # }
    /// ```
    pub fn direct_url(&self) -> String {
        let direct = self.container.as_ref().and_then(Container::direct);
        direct.map_or_else(|| self.url().to_owned(), |address| self.url.at(address))
    }

    /// [`url`](Self::url) with these options behind whatever options it has.
    ///
    /// ```no_run
    /// # async fn example() -> session_core::Result<()> {
    /// let server = conformance::server::mongo().await?;
    /// println!("open the store on {}", server.url_with("namespace=mine&timeout=500"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn url_with(&self, options: &str) -> String {
        with(self.url(), options)
    }

    /// `host:port`, for [`Subject::address`](crate::Subject::address): the first node's, if there are several.
    pub fn address(&self) -> &str {
        self.url.address()
    }

    /// `host:port` of each node.
    pub fn addresses(&self) -> &[String] {
        self.url.addresses()
    }

    /// [`url`](Self::url) with the server's address, or those of all nodes, replaced by a proxy's.
    pub fn url_through(&self, proxy: SocketAddr) -> String {
        self.url.at(&proxy.to_string())
    }

    /// The password in the URL, for [`Subject::secret`](crate::Subject::secret); empty if there is none.
    /// It is drawn anew for every container, so a text that holds it holds it for no other reason.
    pub fn password(&self) -> &str {
        self.url.password()
    }

    /// Stops the server, as an operator does: what it keeps on disk is there after [`start`](Self::start).
    ///
    /// # Errors
    /// If it is not a container of this value's own, or the container does not stop.
    pub async fn stop(&self) -> Result<()> {
        self.own("be stopped")?.stop().await.map_err(|why| self.failed("stopping", &why))
    }

    /// Starts the server again, at the address that it had, and waits until it answers.
    ///
    /// # Errors
    /// If it is not a container of this value's own, or it does not answer.
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
