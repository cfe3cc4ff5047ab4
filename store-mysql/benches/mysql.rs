//! What `cargo bench -p store-mysql` measures, on MySQL and then on MariaDB: the servers of `CONFORMANCE_MYSQL_URL` and
//! `CONFORMANCE_MARIADB_URL`, or in containers; see `conformance::bench`.

use std::sync::Arc;

use conformance::bench;
use conformance::server::{self, Server};
use session_core::Result;
use store_mysql::MysqlStore;

fn main() {
    measure("mysql", async || server::mysql().await);
    measure("mariadb", async || server::mariadb().await);
}

fn measure(name: &str, start: impl AsyncFnOnce() -> Result<Server>) {
    let mut held = None;
    bench::run(name, async || {
        let server = held.insert(start().await?);
        let separator = if server.url().contains('?') { '&' } else { '?' };
        // A namespace of its own: the server may be somebody's.
        let namespace = format!("bench_{:x}", rand::random::<u64>());
        let url = format!("{}{separator}namespace={namespace}", server.url());
        Ok(Arc::new(MysqlStore::connect(&url).await?) as _)
    });
}
