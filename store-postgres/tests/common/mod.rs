//! What the tests of this store share.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::net::SocketAddr;
use std::sync::OnceLock;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

/// The server under test.
pub(crate) struct Server {
    url: String,
}

impl Server {
    pub(crate) fn get() -> &'static Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(|| {
            let url = std::env::var("CONFORMANCE_POSTGRES_URL")
                .expect("CONFORMANCE_POSTGRES_URL names the server, as postgres://user:password@host:port/database");
            Self { url }
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn address(&self) -> String {
        let rest = self.url.split_once("://").expect("a scheme").1;
        let authority = rest.split(['/', '?']).next().expect("an authority");
        let host = authority.rsplit('@').next().expect("a host");
        if host.contains(':') { host.to_owned() } else { format!("{host}:5432") }
    }

    pub(crate) fn password(&self) -> String {
        let rest = self.url.split_once("://").expect("a scheme").1;
        let user = rest.rsplit_once('@').map_or("", |(user, _)| user);
        user.split_once(':').map_or("no password", |(_, password)| password).to_owned()
    }

    pub(crate) fn url_through(&self, proxy: SocketAddr) -> String {
        let (scheme, rest) = self.url.split_once("://").expect("a scheme");
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let user = authority.rsplit_once('@').map_or(String::new(), |(user, _)| format!("{user}@"));
        format!("{scheme}://{user}{proxy}/{path}")
    }

    /// A connection of somebody else's.
    pub(crate) async fn foreign(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.expect("a connection")
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
