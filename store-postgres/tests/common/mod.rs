//! Helpers for the tests of this store.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::ops::Deref;
use std::sync::Arc;

use session_conformance::server::{self, Shared};
use session_core::{Namespace, Result};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

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
