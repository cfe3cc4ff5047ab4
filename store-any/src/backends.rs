//! The stores of this workspace, by scheme.

use crate::registry::Connect;

/// A store that a feature of this crate compiles in.
pub(crate) struct Backend {
    pub(crate) schemes: &'static [&'static str],
    pub(crate) feature: &'static str,
    /// `None` without the feature.
    pub(crate) connect: fn() -> Option<Connect>,
}

macro_rules! backend {
    ($feature:literal, $store:ident :: $type:ident, $($scheme:literal),+) => {
        Backend {
            schemes: &[$($scheme),+],
            feature: $feature,
            #[cfg(feature = $feature)]
            connect: || Some(crate::registry::boxed(|url: String| async move { $store::$type::connect(&url).await })),
            #[cfg(not(feature = $feature))]
            connect: || None,
        }
    };
}

pub(crate) const BACKENDS: &[Backend] = &[
    backend!("memory", store_memory::MemoryStore, "memory"),
    backend!("file", store_file::FileStore, "file"),
    backend!("sqlite", store_sqlite::SqliteStore, "sqlite"),
    backend!("postgres", store_postgres::PostgresStore, "postgres", "postgresql"),
    backend!("mysql", store_mysql::MysqlStore, "mysql", "mariadb"),
    backend!("dynamo", store_dynamo::DynamoStore, "dynamodb"),
    backend!(
        "redis",
        store_redis::RedisStore,
        "redis",
        "rediss",
        "valkey",
        "valkeys",
        "redis+cluster",
        "rediss+cluster",
        "valkey+cluster",
        "valkeys+cluster"
    ),
    backend!("mongo", store_mongo::MongoStore, "mongodb", "mongodb+srv"),
];
