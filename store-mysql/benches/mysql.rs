//! Benchmark of the store, run by `cargo bench -p store-mysql` on MySQL and then on MariaDB. It uses the servers of
//! `CONFORMANCE_MYSQL_URL` and `CONFORMANCE_MARIADB_URL`, or containers; see `conformance::bench`.

use conformance::{bench, server};
use store_mysql::MysqlStore;

fn main() {
    bench::run_on("mysql", || Box::pin(server::mysql()), MysqlStore::connect);
    bench::run_on("mariadb", || Box::pin(server::mariadb()), MysqlStore::connect);
}
