//! Kinds of stores.

use clap::ValueEnum;
use serde::Serialize;

/// Lock file, from which the versions of the packages are taken.
const LOCK: &str = include_str!("../../peers/Cargo.lock");

/// A store of tower-sessions, on a kind of server if it needs one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Memory,
    Moka,
    Sqlite,
    Postgres,
    Mysql,
    Mariadb,
    Redis,
    Valkey,
    Mongo,
}

impl Kind {
    pub(crate) const ALL: &[Self] = &[
        Self::Memory,
        Self::Moka,
        Self::Sqlite,
        Self::Postgres,
        Self::Mysql,
        Self::Mariadb,
        Self::Redis,
        Self::Valkey,
        Self::Mongo,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Moka => "moka",
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Mariadb => "mariadb",
            Self::Redis => "redis",
            Self::Valkey => "valkey",
            Self::Mongo => "mongo",
        }
    }

    /// Returns the name and version of the store's crate.
    pub(crate) fn package(self) -> (&'static str, &'static str) {
        let name = match self {
            Self::Memory => "tower-sessions-memory-store",
            Self::Moka => "tower-sessions-moka-store",
            Self::Sqlite | Self::Postgres | Self::Mysql | Self::Mariadb => "tower-sessions-sqlx-store",
            Self::Redis | Self::Valkey => "tower-sessions-redis-store",
            Self::Mongo => "tower-sessions-mongodb-store",
        };
        let entry = LOCK.split_once(&format!("name = \"{name}\"\nversion = \""));
        let version = entry.and_then(|(_, rest)| rest.split_once('"')).map_or("", |(version, _)| version);
        (name, version)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
