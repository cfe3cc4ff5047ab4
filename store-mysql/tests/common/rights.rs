//! Rights that the README grants to an account.

use session_conformance::testing::block_of;
use session_store_mysql::MysqlStore;

use super::Server;

/// Account with the least rights. It has the password of the server's other accounts.
pub(crate) const ACCOUNT: &str = "shop_sessions";

/// Returns the statements of the README's section on rights, for a table of the suite.
pub(crate) fn least_rights(namespace: &str) -> Vec<String> {
    let block = block_of(include_str!("../../README.md"), "Least rights", "sql");
    let statements = block.replace(" on shop.", " on conformance.").replace("`sessions`", &format!("`{namespace}`"));
    statements.lines().filter(|line| !line.starts_with("create user")).map(str::to_owned).collect()
}

/// Makes the tables of `namespace`, and grants the rights on them.
pub(crate) async fn grant_least_rights(server: &Server, namespace: &str) {
    let account = format!("create user if not exists {ACCOUNT} identified by '{}'; ", server.password());
    server.sql(&MysqlStore::schema(namespace).expect("a namespace")).await;
    server.as_root(&(account + &least_rights(namespace).concat())).await;
}
