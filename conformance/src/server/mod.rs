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
mod instance;
mod kind;
mod nats_servers;
mod probe;
mod shared;
mod url;

use session_core::Result;

pub use instance::{Server, Start};
pub use nats_servers::{nats, nats_cluster, nats_with};
pub use shared::{Shared, blocking};
pub use url::{options, with};

/// Returns a PostgreSQL server, with an empty database if it runs in a container.
///
/// ```no_run
/// # async fn example() -> session_core::Result<()> {
/// let server = session_conformance::server::postgres().await?;
/// println!("open the store on {}", server.url());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If no server is available, or it does not answer.
pub async fn postgres() -> Result<Server> {
    Server::of(&kind::POSTGRES).await
}

/// Returns a PostgreSQL primary with a standby, which replicates it asynchronously. The primary is the first node.
///
/// Both are in one container. `select pg_promote()` promotes the standby.
///
/// ```no_run
/// # async fn example() -> session_core::Result<()> {
/// let servers = session_conformance::server::postgres_pair().await?;
/// println!("open the store on {}", servers.url());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If no server is available, or one of them does not answer.
pub async fn postgres_pair() -> Result<Server> {
    Server::of(&kind::POSTGRES_PAIR).await
}

/// Returns three PgBouncers before `postgres`, which must be in a container: one in transaction mode without prepared statements, one
/// in transaction mode with them, and one in session mode. [`Server::url_of`] has the URL of each.
///
/// The first and the last refuse the options of a client's start-up message, and the second one drops them. The container is
/// removed with its value, and has to be dropped before that of `postgres`.
///
/// ```no_run
/// # async fn example() -> session_core::Result<()> {
/// use session_conformance::server;
///
/// let postgres = server::postgres().await?;
/// let pooler = server::pgbouncer(&postgres).await?;
/// println!("open the store on {}", pooler.url_of(0));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If PgBouncer is not available, or it does not answer.
pub async fn pgbouncer(postgres: &Server) -> Result<Server> {
    Server::before(&kind::PGBOUNCER, postgres).await
}

/// Returns a MySQL server, with an empty database if it runs in a container.
///
/// ```no_run
/// # async fn example() -> session_core::Result<()> {
/// let server = session_conformance::server::mysql().await?;
/// println!("open the store on {}", server.url());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If no server is available, or it does not answer.
pub async fn mysql() -> Result<Server> {
    Server::of(&kind::MYSQL).await
}

/// Returns HAProxy in TCP mode before `mysql`, which must be in a container. It ends connections that were idle for six seconds.
///
/// The container is removed with its value, and has to be dropped before that of `mysql`.
///
/// ```no_run
/// # async fn example() -> session_core::Result<()> {
/// use session_conformance::server;
///
/// let mysql = server::mysql().await?;
/// let proxy = server::haproxy(&mysql).await?;
/// println!("open the store on {}", proxy.url());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If HAProxy is not available, or the server behind it does not answer.
pub async fn haproxy(mysql: &Server) -> Result<Server> {
    Server::before(&kind::HAPROXY, mysql).await
}

/// Returns a MariaDB server, with an empty database if it runs in a container.
///
/// ```no_run
/// # async fn example() -> session_core::Result<()> {
/// let server = session_conformance::server::mariadb().await?;
/// println!("open the store on {}", server.url());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If no server is available, or it does not answer.
pub async fn mariadb() -> Result<Server> {
    Server::of(&kind::MARIADB).await
}

/// Returns three nodes of a MariaDB Galera cluster, each with all the data. Its URL names all of them:
/// `mariadb://user:password@host:port,host:port,host:port/database`.
///
/// So must the URL in `CONFORMANCE_MARIADB_GALERA_URL`. The image is that of MariaDB, which `CONFORMANCE_MARIADB_IMAGE` overrides. A node may
/// still be joining the others, and then refuses statements with error 1047.
///
/// The process of a node is in the file `/tmp/galera/<port>.pid` of the container, for [`Server::run`], and `sh /tmp/galera/start <port>` starts it
/// again.
///
/// ```no_run
/// # async fn example() -> session_core::Result<()> {
/// let server = session_conformance::server::mariadb_galera().await?;
/// println!("open the store on {}", server.url());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If no cluster is available, or a node does not answer.
pub async fn mariadb_galera() -> Result<Server> {
    Server::of(&kind::MARIADB_GALERA).await
}

/// Returns a Redis server.
///
/// ```no_run
/// # async fn example() -> session_core::Result<()> {
/// let server = session_conformance::server::redis().await?;
/// println!("open the store on {}", server.url());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If no server is available, or it does not answer.
pub async fn redis() -> Result<Server> {
    Server::of(&kind::REDIS).await
}

/// Returns a Redis server that is started with these arguments, such as `["--rename-command", "EVAL", ""]`.
///
/// ```no_run
/// # async fn example() -> session_core::Result<()> {
/// let server = session_conformance::server::redis_with(&["--databases", "1"]).await?;
/// println!("open the store on {}", server.url());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If no server is available, it is an external one, or it does not answer.
pub async fn redis_with(arguments: &[&str]) -> Result<Server> {
    Server::with(&kind::REDIS, arguments).await
}

/// Returns a Redis cluster of three masters.
///
/// Its URL names all of them: `redis+cluster://:password@host:port,host:port,host:port/`.
/// So must the URL in `CONFORMANCE_REDIS_CLUSTER_URL`. The image is that of Redis, which `CONFORMANCE_REDIS_IMAGE`
/// overrides.
///
/// In a container the nodes announce themselves on 127.0.0.1, so Docker must run on this machine.
///
/// ```no_run
/// # async fn example() -> session_core::Result<()> {
/// let server = session_conformance::server::redis_cluster().await?;
/// println!("open the store on {}", server.url());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If no cluster is available, or its nodes do not serve all slots.
pub async fn redis_cluster() -> Result<Server> {
    Server::of(&kind::REDIS_CLUSTER).await
}

/// Returns three sentinels of Redis with the master `main` and two replicas.
///
/// Its URL names the sentinels: `redis+sentinel://:password@host:port,host:port,host:port/main?sentinel-password=password`.
/// The image is that of Redis, which `CONFORMANCE_REDIS_IMAGE` overrides. A failover begins a second after the master is silent.
///
/// In a container they announce themselves on 127.0.0.1, so Docker must run on this machine. The processes of the servers are in the files
/// `<port>.pid` of the container's folder, for [`Server::run`], and `<port>.conf` starts one again.
///
/// ```no_run
/// # async fn example() -> session_core::Result<()> {
/// let server = session_conformance::server::redis_sentinel().await?;
/// println!("open the store on {}", server.url());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If no sentinels are available, or they do not know each other and the replicas.
pub async fn redis_sentinel() -> Result<Server> {
    Server::of(&kind::REDIS_SENTINEL).await
}

/// Returns a Valkey server.
///
/// ```no_run
/// # async fn example() -> session_core::Result<()> {
/// let server = session_conformance::server::valkey().await?;
/// println!("open the store on {}", server.url());
/// # Ok(())
/// # }
/// ```
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
/// ```no_run
/// # async fn example() -> session_core::Result<()> {
/// let server = session_conformance::server::valkey_cluster().await?;
/// println!("open the store on {}", server.url());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If no cluster is available, or its nodes do not serve all slots.
pub async fn valkey_cluster() -> Result<Server> {
    Server::of(&kind::VALKEY_CLUSTER).await
}

/// Returns three sentinels of Valkey with the master `main` and two replicas, like [`redis_sentinel`].
///
/// Its URL names the sentinels: `valkey+sentinel://:password@host:port,host:port,host:port/main?sentinel-password=password`.
/// The image is that of Valkey, which `CONFORMANCE_VALKEY_IMAGE` overrides. A failover begins a second after the master is silent.
///
/// ```no_run
/// # async fn example() -> session_core::Result<()> {
/// let server = session_conformance::server::valkey_sentinel().await?;
/// println!("open the store on {}", server.url());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If no sentinels are available, or they do not know each other and the replicas.
pub async fn valkey_sentinel() -> Result<Server> {
    Server::of(&kind::VALKEY_SENTINEL).await
}

/// Returns a Memcached server with 512 MB of memory. Its sessions are lost after a [`stop`](Server::stop).
///
/// ```no_run
/// # async fn example() -> session_core::Result<()> {
/// let server = session_conformance::server::memcached().await?;
/// println!("open the store on {}", server.url());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If no server is available, or it does not answer.
pub async fn memcached() -> Result<Server> {
    Server::of(&kind::MEMCACHED).await
}

/// Returns three Memcached servers, which know nothing of each other. Their URL names all of them:
/// `memcached://user:password@host:port,host:port,host:port/`.
///
/// So must the URL in `CONFORMANCE_MEMCACHED_SEVERAL_URL`. The image is that of Memcached, which `CONFORMANCE_MEMCACHED_IMAGE` overrides.
///
/// ```no_run
/// # async fn example() -> session_core::Result<()> {
/// let server = session_conformance::server::memcached_several().await?;
/// println!("open the store on {}", server.url());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If they are not available, or do not answer.
pub async fn memcached_several() -> Result<Server> {
    Server::of(&kind::MEMCACHED_SEVERAL).await
}

/// Returns a Memcached server that is started with these further arguments, such as `["-M"]`.
///
/// ```no_run
/// # async fn example() -> session_core::Result<()> {
/// let server = session_conformance::server::memcached_with(&["-M"]).await?;
/// println!("open the store on {}", server.url());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If no server is available, it is an external one, or it does not answer.
pub async fn memcached_with(arguments: &[&str]) -> Result<Server> {
    Server::with(&kind::MEMCACHED, arguments).await
}

/// Returns a MongoDB server, or another that speaks its protocol: a single node without replicas.
/// Its database is empty if it runs in a container.
///
/// ```no_run
/// # async fn example() -> session_core::Result<()> {
/// let server = session_conformance::server::mongo().await?;
/// println!("open the store on {}", server.url());
/// # Ok(())
/// # }
/// ```
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
/// ```no_run
/// # async fn example() -> session_core::Result<()> {
/// let server = session_conformance::server::dynamo().await?;
/// println!("open the store on {}", server.url());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If no server is available, or it does not answer.
pub async fn dynamo() -> Result<Server> {
    Server::of(&kind::DYNAMO).await
}

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
    ("memcached", || Box::pin(memcached())),
    ("nats", || Box::pin(nats())),
    ("nats_cluster", || Box::pin(nats_cluster())),
    ("mongo", || Box::pin(mongo())),
    ("dynamo", || Box::pin(dynamo())),
];
