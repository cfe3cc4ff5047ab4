//! Benchmark of the store, run by `cargo bench -p session-store-mysql` on MySQL and then on MariaDB. It uses the servers of
//! `CONFORMANCE_MYSQL_URL` and `CONFORMANCE_MARIADB_URL`, or containers; see `session_conformance::bench`.

use session_conformance::{bench, server};
use session_store_mysql::MysqlStore;

fn main() {
    bench::run_on("mysql", || Box::pin(server::mysql()), MysqlStore::connect);
    bench::run_on("mariadb", || Box::pin(server::mariadb()), MysqlStore::connect);
}
