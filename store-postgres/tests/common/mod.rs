//! Helpers for the tests of this store.
#![allow(dead_code, unused_imports, reason = "each test binary uses its own part")]

mod pair;
mod rights;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use pair::Pair;
pub(crate) use rights::{ROLE, grant_least_rights, least_rights, make_role};
use session_conformance::server::{self, Shared};
use session_conformance::{Harness, Subject};
use session_core::{Namespace, Result, Store, async_trait};
use session_store_postgres::PostgresStore;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};
use tokio::sync::{Mutex, OnceCell};

/// Time-out of the suite's stores.
pub(crate) const TIME_OUT: Duration = Duration::from_secs(5);

/// The server under test. Tests that run at the same time share it, and it is removed when the last of them drops it.
pub(crate) struct Server(Arc<server::Server>);

impl Deref for Server {
    type Target = server::Server;

    fn deref(&self) -> &server::Server {
        &self.0
    }
}

impl Server {
    pub(crate) fn get() -> Self {
        Self::start().expect("a PostgreSQL server")
    }

    pub(crate) fn start() -> Result<Self> {
        static SERVER: Shared = Shared::new(|| Box::pin(server::postgres()));
        SERVER.get().map(Self)
    }

    /// Starts a server for a test that changes its settings.
    pub(crate) fn own() -> Self {
        Self(Arc::new(server::blocking(|| Box::pin(server::postgres())).expect("a PostgreSQL server")))
    }

    /// Opens a connection that does not belong to a store.
    pub(crate) async fn foreign(&self) -> PgConnection {
        PgConnection::connect(self.url()).await.expect("a connection")
    }

    /// Runs statements in order on a connection that does not belong to a store.
    pub(crate) async fn sql(&self, sql: &str) {
        let mut foreign = self.foreign().await;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut foreign).await.expect("a statement of the test");
    }

    pub(crate) async fn version(&self) -> String {
        let row = sqlx::query("select current_setting('server_version')").fetch_one(&mut self.foreign().await).await;
        let version: String = row.expect("a version").get(0);
        format!("PostgreSQL {}", version.split(' ').next().unwrap_or_default())
    }

    /// Removes the table and the layout of `namespace`, if the name is valid.
    pub(crate) async fn clean(&self, namespace: &str) {
        if Namespace::new(namespace).is_ok() {
            self.sql(&format!(
                r#"drop table if exists "{namespace}"; delete from "session.layouts" where namespace = '{namespace}'"#
            ))
            .await;
        }
    }
}

/// A server with PgBouncers before it; see [`server::pgbouncer`].
pub(crate) struct Pooled {
    // Dropped first.
    pub(crate) pooler: server::Server,
    pub(crate) server: Server,
}

impl Pooled {
    pub(crate) async fn start() -> Result<Self> {
        let server = Server::start()?;
        Ok(Self { pooler: server::pgbouncer(&server).await?, server })
    }

    /// Opens a connection to a PgBouncer that does not belong to a store.
    pub(crate) async fn foreign(&self, node: usize, database: &str) -> PgConnection {
        let options: PgConnectOptions = self.pooler.url_of(node).parse().expect("a URL");
        let options = options.database(database).extra_float_digits(None);
        PgConnection::connect_with(&options).await.expect("a connection")
    }

    pub(crate) async fn version(&self) -> String {
        let row = self.foreign(0, "pgbouncer").await.fetch_one(sqlx::raw_sql("show version")).await;
        let version: String = row.expect("a version").get(0);
        format!("{version}, {}", self.server.version().await)
    }
}

/// Test subject. All its namespaces share one database, where they must not see each other.
#[derive(Default)]
pub(crate) struct Suite(OnceCell<Server>);

impl Suite {
    async fn server(&self) -> Result<&Server> {
        self.0.get_or_try_init(async || Server::start()).await
    }
}

/// Opens a store on `namespace` of the server at `url`.
pub(crate) async fn open(url: &str, namespace: &str) -> Result<Arc<dyn Store>> {
    let url = server::with(url, &server::options(namespace, TIME_OUT));
    Ok(Arc::new(PostgresStore::connect(&url).await?))
}

#[async_trait]
impl Harness for Suite {
    async fn subject(&self) -> Result<Subject> {
        let server = self.server().await?;
        let subject = Subject::new("postgres", env!("CARGO_PKG_VERSION")).server(server.version().await);
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

/// Test subject on a server that a test has prepared, and whose tables may be made before a store is opened on them.
pub(crate) struct Prepared {
    server: Server,
    /// Returns statements that make the table of a namespace.
    make: Option<fn(&str) -> String>,
    made: Mutex<HashSet<String>>,
}

impl Prepared {
    pub(crate) fn on(server: &Server, make: Option<fn(&str) -> String>) -> Self {
        Self { server: Server(Arc::clone(&server.0)), make, made: Mutex::default() }
    }
}

#[async_trait]
impl Harness for Prepared {
    async fn subject(&self) -> Result<Subject> {
        Ok(Subject::new("prepared", env!("CARGO_PKG_VERSION")).time_out(TIME_OUT))
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>> {
        if let (Some(make), Ok(_)) = (self.make, PostgresStore::schema(namespace)) {
            let mut made = self.made.lock().await;
            if made.insert(namespace.to_owned()) {
                self.server.sql(&make(namespace)).await;
            }
        }
        open(self.server.url(), namespace).await
    }
}
