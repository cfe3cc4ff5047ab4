//! Kinds of stores.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Memory,
    Sqlite,
    /// SQLite with `synchronous=full`, where a commit waits for the disk. It is measured beside redb, whose commits do.
    SqliteFull,
    Redb,
    Postgres,
    Mysql,
    Mariadb,
    Redis,
    Valkey,
    Memcached,
    Mongo,
    Nats,
    Dynamo,
}

impl Kind {
    pub const ALL: [Self; 13] = [
        Self::Memory,
        Self::Sqlite,
        Self::SqliteFull,
        Self::Redb,
        Self::Postgres,
        Self::Mysql,
        Self::Mariadb,
        Self::Redis,
        Self::Valkey,
        Self::Memcached,
        Self::Mongo,
        Self::Nats,
        Self::Dynamo,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "sqlite",
            Self::SqliteFull => "sqlite-full",
            Self::Redb => "redb",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Mariadb => "mariadb",
            Self::Redis => "redis",
            Self::Valkey => "valkey",
            Self::Memcached => "memcached",
            Self::Mongo => "mongo",
            Self::Nats => "nats",
            Self::Dynamo => "dynamo",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
