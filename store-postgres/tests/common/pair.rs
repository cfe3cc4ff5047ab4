//! A primary with its standby, and what an operator does to them.

use std::ops::Deref;
use std::sync::Arc;

use session_conformance::server::{self, Shared};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// A primary and a standby.
pub(crate) struct Pair(Arc<server::Server>);

impl Deref for Pair {
    type Target = server::Server;

    fn deref(&self) -> &server::Server {
        &self.0
    }
}

const PRIMARY: usize = 0;
const STANDBY: usize = 1;

impl Pair {
    /// Returns the servers of the tests that leave them as they are.
    pub(crate) fn get() -> Self {
        static SERVERS: Shared = Shared::new(|| Box::pin(server::postgres_pair()));
        Self(SERVERS.get().expect("a PostgreSQL server and its standby"))
    }

    /// Starts servers for one test, because a promotion cannot be undone.
    pub(crate) async fn start() -> Self {
        Self(Arc::new(server::postgres_pair().await.expect("a PostgreSQL server and its standby")))
    }

    /// Returns `host:port` of the first primary and of its standby.
    pub(crate) fn both(&self) -> [String; 2] {
        [PRIMARY, STANDBY].map(|node| self.addresses()[node].clone())
    }

    pub(crate) async fn connect(&self, node: usize) -> PgConnection {
        PgConnection::connect(&self.url_of(node)).await.expect("a connection")
    }

    async fn run(&self, node: usize, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut self.connect(node).await)
            .await
            .expect("a statement of the test");
    }

    /// Waits until the standby has all that the primary has.
    pub(crate) async fn replicated(&self) {
        let mut primary = self.connect(PRIMARY).await;
        let behind = "select count(*) from pg_stat_replication where replay_lsn >= pg_current_wal_lsn()";
        while sqlx::query_scalar::<_, i64>(behind).fetch_one(&mut primary).await.expect("a count") == 0 {}
    }

    /// Makes the standby a primary, and waits until it is.
    pub(crate) async fn promote(&self) {
        self.run(STANDBY, "select pg_promote()").await;
    }

    /// Makes the primary wait for the standby before it confirms a write.
    pub(crate) async fn synchronize(&self) {
        self.set(PRIMARY, "synchronous_standby_names = '*'").await;
        let synchronous = "select count(*) from pg_stat_replication where sync_state = 'sync'";
        let mut primary = self.connect(PRIMARY).await;
        while sqlx::query_scalar::<_, i64>(synchronous).fetch_one(&mut primary).await.expect("a count") == 0 {}
    }

    /// Stops sending to the standby, without ending the connection to it.
    pub(crate) async fn hold_back_standby(&self) {
        let mut primary = self.connect(PRIMARY).await;
        let sender: i32 =
            sqlx::query_scalar("select pid from pg_stat_replication").fetch_one(&mut primary).await.expect("a sender");
        // A program that ends before it has read what is copied fails the statement.
        let stop = format!("copy (select) to program 'cat > /dev/null && kill -STOP {sender}'");
        sqlx::raw_sql(AssertSqlSafe(stop)).execute(&mut primary).await.expect("the sender is stopped");
    }

    /// Waits until a write waits for the standby.
    pub(crate) async fn wait_for_standby(&self) {
        let waiting = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'";
        let mut primary = self.connect(PRIMARY).await;
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut primary).await.expect("a count") == 0 {}
    }

    /// Makes the first primary read-only. Its connections stay.
    pub(crate) async fn fence(&self) {
        self.set(PRIMARY, "default_transaction_read_only = on").await;
    }

    /// Undoes [`fence`](Self::fence).
    pub(crate) async fn unfence(&self) {
        self.set(PRIMARY, "default_transaction_read_only = off").await;
    }

    /// Changes a setting of a server, and waits until its sessions have it.
    async fn set(&self, node: usize, setting: &str) {
        let mut server = self.connect(node).await;
        let sql = format!("set default_transaction_read_only = off; alter system set {setting}");
        for sql in sql.split("; ") {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut server).await.expect("a setting");
        }
        let before = "select pg_conf_load_time()::text";
        let loaded: String = sqlx::query_scalar(before).fetch_one(&mut server).await.expect("a time");
        sqlx::raw_sql("select pg_reload_conf()").execute(&mut server).await.expect("the file is read again");
        while sqlx::query_scalar::<_, String>(before).fetch_one(&mut server).await.expect("a time") == loaded {}
    }

    /// Stops the first primary at once, like a crash.
    pub(crate) async fn stop_primary(&self) {
        let stop = "copy (select) to program 'pg_ctl stop --mode=immediate --no-wait -D .'";
        // The server may end before it has answered.
        let _ = sqlx::raw_sql(stop).execute(&mut self.connect(PRIMARY).await).await;
    }
}
