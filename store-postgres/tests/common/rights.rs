//! Rights that the README grants to a role.

use session_conformance::testing::block_of;
use session_store_postgres::PostgresStore;

use super::Server;

/// Role with the least rights. It has the password of the server's user.
pub(crate) const ROLE: &str = "shop_sessions";

/// Returns the statements of the README's section on rights, for a table of the suite.
pub(crate) fn least_rights(namespace: &str) -> Vec<String> {
    let block = block_of(include_str!("../../README.md"), "Least rights", "sql");
    let statements =
        block.replace("database shop ", "database conformance ").replace("\"sessions\"", &format!("\"{namespace}\""));
    statements.lines().filter(|line| !line.starts_with("create role")).map(str::to_owned).collect()
}

/// Makes the role, without the rights that each role has by default.
pub(crate) async fn make_role(server: &Server) {
    server
        .sql(&format!(
            "revoke all on database conformance from public; revoke all on schema public from public;
             do $$ begin create role {ROLE} login password '{}'; exception when duplicate_object or unique_violation then end $$",
            server.password()
        ))
        .await;
}

/// Makes the tables of `namespace`, and grants the rights on them.
pub(crate) async fn grant_least_rights(server: &Server, namespace: &str) {
    make_role(server).await;
    server.sql(&(PostgresStore::schema(namespace).expect("a namespace") + &least_rights(namespace).concat())).await;
}
