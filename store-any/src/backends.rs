//! Table of this workspace's stores and their URL schemes.

use std::pin::Pin;
use std::sync::Arc;

use session_core::{NullStore, Result, Store};
use session_store_kit::{split, wrong};

/// Opens the store of one URL.
pub(crate) type Connect = Arc<dyn Fn(String) -> Opening + Send + Sync>;
type Opening = Pin<Box<dyn Future<Output = Result<Arc<dyn Store>>> + Send>>;

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
    backend!("redb", session_store_redb::RedbStore, "redb"),
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
        "valkeys+cluster",
        "redis+sentinel",
        "rediss+sentinel",
        "valkey+sentinel",
        "valkeys+sentinel",
        "redis+unix",
        "valkey+unix",
        "unix"
    ),
    backend!("memcached", session_store_memcached::MemcachedStore, "memcached"),
    backend!("nats", session_store_nats::NatsStore, "nats"),
    backend!("mongo", session_store_mongo::MongoStore, "mongodb", "mongodb+srv"),
];

/// Makes a [`Connect`] of a function that opens one kind of store.
pub(crate) fn boxed<C, F, S>(connect: C) -> Connect
where
    C: Fn(String) -> F + Send + Sync + 'static,
    F: Future<Output = Result<S>> + Send + 'static,
    S: Store,
{
    Arc::new(move |url| {
        let opening = connect(url);
        Box::pin(async move { Ok(Arc::new(opening.await?) as Arc<dyn Store>) })
    })
}

/// Opens the null store. It needs no feature, because `session-core` has it.
fn null(url: &str) -> Result<NullStore> {
    let (path, query) = split(url)?;
    if !matches!(path, "null:" | "null://") {
        return wrong("`null:` keeps nothing, so it takes no options; remove what follows it");
    }
    query.finish()?;
    Ok(NullStore)
}
