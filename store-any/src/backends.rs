//! Table of this workspace's stores and their URL schemes.

use session_core::{NullStore, Result};
use session_store_kit::{split, wrong};

use crate::registry::{Connect, boxed};

/// Store of this workspace, compiled in by a feature of this crate.
pub(crate) struct Backend {
    pub(crate) schemes: &'static [&'static str],
    pub(crate) feature: &'static str,
    /// Returns `None` if the feature is off.
    pub(crate) connect: fn() -> Option<Connect>,
}

macro_rules! backend {
    ($feature:literal, $store:ident :: $type:ident, $($scheme:literal),+) => {
        Backend {
            schemes: &[$($scheme),+],
            feature: $feature,
            #[cfg(feature = $feature)]
            connect: || Some(boxed(|url: String| async move { $store::$type::connect(&url).await })),
            #[cfg(not(feature = $feature))]
            connect: || None,
        }
    };
}

pub(crate) const BACKENDS: &[Backend] = &[
    Backend { schemes: &["null"], feature: "", connect: || Some(boxed(|url: String| async move { null(&url) })) },
    backend!("memory", session_store_memory::MemoryStore, "memory"),
    backend!("file", session_store_file::FileStore, "file"),
    backend!("sqlite", session_store_sqlite::SqliteStore, "sqlite"),
    backend!("postgres", session_store_postgres::PostgresStore, "postgres", "postgresql"),
    backend!("mysql", session_store_mysql::MysqlStore, "mysql", "mariadb"),
    backend!("dynamo", session_store_dynamo::DynamoStore, "dynamodb"),
    backend!(
        "redis",
        session_store_redis::RedisStore,
        "redis",
        "rediss",
        "valkey",
        "valkeys",
        "redis+cluster",
        "rediss+cluster",
        "valkey+cluster",
        "valkeys+cluster"
    ),
    backend!("mongo", session_store_mongo::MongoStore, "mongodb", "mongodb+srv"),
];

/// Opens the null store. It needs no feature, because `session-core` has it.
fn null(url: &str) -> Result<NullStore> {
    let (place, query) = split(url)?;
    if !matches!(place, "null:" | "null://") {
        return wrong("`null:` keeps nothing, so nothing comes after it");
    }
    query.finish()?;
    Ok(NullStore)
}
