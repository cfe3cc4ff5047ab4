//! What is measured against what.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use work::Work;

/// What a run measures.
pub(crate) struct Plan {
    pub(crate) stores: Vec<Kind>,
    pub(crate) work: Vec<Work>,
    pub(crate) tasks: Vec<u64>,
    pub(crate) sizes: Vec<usize>,
    pub(crate) seconds: f64,
    pub(crate) rounds: usize,
    /// Whether applications are served over HTTP, too.
    pub(crate) http: bool,
    /// Where results go, those of each store as soon as they are there.
    pub(crate) out: PathBuf,
}

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Memory,
    Sqlite,
    Postgres,
    Mysql,
    Mariadb,
    Redis,
    Valkey,
    Mongo,
    Dynamo,
}

impl Kind {
    pub(crate) const ALL: [Self; 9] = [
        Self::Memory,
        Self::Sqlite,
        Self::Postgres,
        Self::Mysql,
        Self::Mariadb,
        Self::Redis,
        Self::Valkey,
        Self::Mongo,
        Self::Dynamo,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Mariadb => "mariadb",
            Self::Redis => "redis",
            Self::Valkey => "valkey",
            Self::Mongo => "mongo",
            Self::Dynamo => "dynamo",
        }
    }

    /// Who is measured on it: this project first. The peers have no store on DynamoDB, and memory has no driver.
    pub(crate) fn subjects(self) -> Vec<String> {
        let who: &[&str] = match self {
            Self::Memory => &["ours/memory", "tower-sessions/memory", "tower-sessions/moka"],
            Self::Dynamo => &["ours/dynamo"],
            _ => &["ours/", "tower-sessions/", "driver/"],
        };
        who.iter().map(|who| if who.ends_with('/') { format!("{who}{}", self.name()) } else { (*who).into() }).collect()
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
