//! Helpers for the tests of this store: a server of one kind, and the conformance suite over the store on it.
#![allow(dead_code, unused_imports, reason = "each test binary uses its own part")]

mod galera;
mod rights;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use galera::{Cluster, NODES, OnNodes};
pub(crate) use rights::{ACCOUNT, grant_least_rights, least_rights};
use session_conformance::server::{self, Shared, Start};
use session_conformance::{Harness, Subject};
use session_core::{Namespace, Result, Store, async_trait};
use session_store_mysql::MysqlStore;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySqlConnection, Row as _};
use tokio::sync::{Mutex, OnceCell};

/// Time-out of the suite's stores.
pub(crate) const TIME_OUT: Duration = Duration::from_secs(5);

/// Kind of server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Mysql,
    Mariadb,
}

impl Kind {
    const fn start(self) -> Start {
        match self {
            Self::Mysql => || Box::pin(server::mysql()),
            Self::Mariadb => || Box::pin(server::mariadb()),
        }
    }
}

/// Both kinds of server.
pub(crate) const KINDS: [Kind; 2] = [Kind::Mysql, Kind::Mariadb];

/// The server under test.
pub(crate) struct Server(Arc<server::Server>);

impl Deref for Server {
    type Target = server::Server;

    fn deref(&self) -> &server::Server {
        &self.0
    }
}

impl Server {
    /// Returns the server of this kind. Tests that run at the same time share it, and it is removed when the last of them drops it.
    pub(crate) fn get(kind: Kind) -> Self {
        Self::shared(kind).expect("a server")
    }

    pub(crate) fn shared(kind: Kind) -> Result<Self> {
        static SERVERS: [Shared; 2] = [Shared::new(Kind::Mysql.start()), Shared::new(Kind::Mariadb.start())];
        SERVERS[kind as usize].get().map(Self)
    }

    /// Starts a server for a test that changes its settings.
    pub(crate) fn own(kind: Kind) -> Self {
        Self(Arc::new(server::blocking(kind.start()).expect("a server")))
    }

    /// Returns the URL for another account with the suite's password.
    pub(crate) fn url_of(&self, account: &str, options: &str) -> String {
        let url = self.url_with(options);
        let begin = url.find("://").expect("a scheme") + 3;
        let end = begin + url[begin..].find(':').expect("a password");
        format!("{}{account}{}", &url[..begin], &url[end..])
    }

    /// Opens a connection that does not belong to a store.
    pub(crate) async fn foreign(&self) -> MySqlConnection {
        MySqlConnection::connect(self.url()).await.expect("a connection")
    }

    /// Opens a connection of `root`.
    pub(crate) async fn root(&self) -> MySqlConnection {
        MySqlConnection::connect(&self.url_of("root", "")).await.expect("an account `root`")
    }

    /// Runs statements in order as `root`, an account with all rights in the suite's containers.
    pub(crate) async fn as_root(&self, sql: &str) {
        let done = self.root().await.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await;
        done.unwrap_or_else(|error| panic!("a statement of the test: {error}"));
    }

    /// Runs statements in order on a connection that does not belong to a store.
    pub(crate) async fn sql(&self, sql: &str) {
        let done = self.foreign().await.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await;
        done.unwrap_or_else(|error| panic!("a statement of the test: {error}"));
    }

    pub(crate) async fn version(&self) -> String {
        let row = self.foreign().await.fetch_one("select version()").await;
        let version: String = row.expect("a version").get(0);
        let number = version.split('-').next().unwrap_or_default();
        format!("{} {number}", if version.contains("MariaDB") { "MariaDB" } else { "MySQL" })
    }

    /// Removes the table and the layout of `namespace`, if the name is valid.
    pub(crate) async fn clean(&self, namespace: &str) {
        if Namespace::new(namespace).is_ok() {
            self.sql(&format!(
                "drop table if exists `{namespace}`; delete from `session.layouts` where namespace = '{namespace}'"
            ))
            .await;
        }
    }
}

/// Test subject on one kind of server. All its namespaces share one database, where they must not see each other.
pub(crate) struct Suite {
    /// Name in the table of all stores.
    name: &'static str,
    kind: Kind,
    server: OnceCell<Server>,
}

impl Suite {
    pub(crate) const fn on(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, server: OnceCell::const_new() }
    }

    async fn server(&self) -> Result<&Server> {
        self.server.get_or_try_init(async || Server::shared(self.kind)).await
    }
}

/// Opens a store on `namespace` of the server at `url`.
pub(crate) async fn open(url: &str, namespace: &str) -> Result<Arc<dyn Store>> {
    let url = server::with(url, &server::options(namespace, TIME_OUT));
    Ok(Arc::new(MysqlStore::connect(&url).await?))
}

#[async_trait]
impl Harness for Suite {
    async fn subject(&self) -> Result<Subject> {
        let server = self.server().await?;
        let subject = Subject::new(self.name, env!("CARGO_PKG_VERSION")).server(server.version().await);
        Ok(subject.address(server.address()).secret(server.password()).time_out(TIME_OUT))
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>> {
        open(self.server().await?.url(), namespace).await
    }

    async fn open_through(&self, proxy: SocketAddr, namespace: &str) -> Result<Arc<dyn Store>> {
        open(&self.server().await?.url_through(proxy), namespace).await
    }

    async fn clean(&self, namespace: &str) {
        if let Ok(server) = self.server().await {
            server.clean(namespace).await;
        }
    }
}

/// Test subject on a server that a test has prepared, and whose tables may be changed before a store is opened on them.
pub(crate) struct Prepared {
    server: Server,
    /// Returns statements that change the table of a namespace.
    change: Option<fn(&str) -> String>,
    changed: Mutex<HashSet<String>>,
}

impl Prepared {
    pub(crate) fn on(server: &Server, change: Option<fn(&str) -> String>) -> Self {
        Self { server: Server(Arc::clone(&server.0)), change, changed: Mutex::default() }
    }
}

#[async_trait]
impl Harness for Prepared {
    async fn subject(&self) -> Result<Subject> {
        Ok(Subject::new("prepared", env!("CARGO_PKG_VERSION")).time_out(TIME_OUT))
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>> {
        if let (Some(change), Ok(schema)) = (self.change, MysqlStore::schema(namespace)) {
            let mut changed = self.changed.lock().await;
            if changed.insert(namespace.to_owned()) {
                self.server.sql(&(schema + &change(namespace))).await;
            }
        }
        open(self.server.url(), namespace).await
    }
}
