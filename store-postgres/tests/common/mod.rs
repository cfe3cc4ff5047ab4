//! What the tests of this store share.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use conformance::server;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

/// The server under test: one for all tests that run at the time, removed when the last of them lets it go.
pub(crate) struct Server(server::Server);

impl Server {
    pub(crate) fn get() -> Arc<Self> {
        static SERVER: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut shared = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            // A thread of its own, for the caller may be on a runtime already.
            let starting = thread::spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(server::postgres())
            });
            let started = Arc::new(Self(starting.join().expect("no panic").expect("a PostgreSQL server")));
            *shared = Arc::downgrade(&started);
            started
        })
    }

    pub(crate) fn url(&self) -> &str {
        self.0.url()
    }

    pub(crate) fn address(&self) -> &str {
        self.0.address()
    }

    pub(crate) fn password(&self) -> &str {
        self.0.password()
    }

    pub(crate) fn url_through(&self, proxy: SocketAddr) -> String {
        self.0.url_through(proxy)
    }

    /// A connection of somebody else's.
    pub(crate) async fn foreign(&self) -> PgConnection {
        PgConnection::connect(self.url()).await.expect("a connection")
    }

    /// Runs statements in turn, as somebody else.
    pub(crate) async fn sql(&self, sql: &str) {
        let mut foreign = self.foreign().await;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut foreign).await.expect("a statement of the test");
    }

    pub(crate) async fn version(&self) -> String {
        let row = sqlx::query("select current_setting('server_version')").fetch_one(&mut self.foreign().await).await;
        let version: String = row.expect("a version").get(0);
        format!("PostgreSQL {}", version.split(' ').next().unwrap_or_default())
    }

    /// Removes what is in `namespace`, if it is one.
    pub(crate) async fn clean(&self, namespace: &str) {
        if session_core::Namespace::new(namespace).is_ok() {
            self.sql(&format!(
                r#"drop table if exists "{namespace}"; delete from "session.layouts" where namespace = '{namespace}'"#
            ))
            .await;
        }
    }
}
