//! Lua scripts that the server runs.

use redis::Value;
use session_core::{Outcome, Result};

use crate::error::UNEXPECTED_REPLY;
use crate::record::OTHER_LAYOUT;

/// Maximum number of entries that one script checks, because the server does nothing else meanwhile.
pub(crate) const HEAL_BATCH: usize = 500;

/// Text of the function that saves one record, shared by the scripts for one key and for many.
macro_rules! save {
    () => {
        include_str!("scripts/save.lua")
    };
}

/// Scripts of a store.
pub(crate) struct Scripts {
    pub(crate) create: Script,
    pub(crate) save: Script,
    pub(crate) touch: Script,
    pub(crate) delete: Script,
    pub(crate) index: IndexScripts,
}

/// Scripts for index entries.
pub(crate) enum IndexScripts {
    /// Scripts for a single server, which holds a record and its entry.
    Single(SingleIndex),
    /// Scripts for a cluster, where a record and its entry may be on different nodes.
    #[cfg(feature = "cluster")]
    Cluster(ClusterIndex),
}

/// Scripts for a single server.
pub(crate) struct SingleIndex {
    pub(crate) list: Script,
    pub(crate) heal: Script,
    pub(crate) delete_all: Script,
    /// Saves one record for each key.
    pub(crate) save_many: Script,
}

/// Scripts for the nodes of a cluster.
#[cfg(feature = "cluster")]
pub(crate) struct ClusterIndex {
    pub(crate) enter: Script,
    pub(crate) list: Script,
    pub(crate) heal: Script,
    pub(crate) remove: Script,
}

/// Times that the scripts for a cluster compare. `cluster/index.rs` explains them.
#[cfg(feature = "cluster")]
pub(crate) struct EntryTimes {
    pub(crate) lease: std::time::Duration,
    pub(crate) margin: std::time::Duration,
    pub(crate) grace: std::time::Duration,
}

impl Scripts {
    /// Returns the scripts for a single server.
    pub(crate) fn single() -> Self {
        Self::new(
            include_str!("scripts/single/index.lua"),
            IndexScripts::Single(SingleIndex {
                list: Script::new("", include_str!("scripts/single/list.lua")),
                heal: Script::new("", include_str!("scripts/single/heal.lua")),
                delete_all: Script::new("", include_str!("scripts/single/delete_all.lua")),
                save_many: Script::new(
                    include_str!("scripts/single/index.lua"),
                    concat!(save!(), include_str!("scripts/save_many.lua")),
                ),
            }),
        )
    }

    /// Returns the scripts for a cluster.
    #[cfg(feature = "cluster")]
    pub(crate) fn cluster(times: &EntryTimes) -> Self {
        let [lease, margin, grace] = [times.lease, times.margin, times.grace].map(|time| time.as_millis());
        let times = format!("local LEASE, MARGIN, GRACE = {lease}, {margin}, {grace}\n");
        Self::new(
            &[&times, include_str!("scripts/cluster/index.lua")].concat(),
            IndexScripts::Cluster(ClusterIndex {
                enter: Script::new("", include_str!("scripts/cluster/enter.lua")),
                list: Script::new("", include_str!("scripts/cluster/list.lua")),
                heal: Script::new(&times, include_str!("scripts/cluster/heal.lua")),
                remove: Script::new("", include_str!("scripts/cluster/remove.lua")),
            }),
        )
    }

    /// Creates the scripts for writes, whose own text is the same for both kinds of server.
    ///
    /// `entries` holds the functions that maintain index entries.
    fn new(entries: &str, index: IndexScripts) -> Self {
        Self {
            create: Script::new(entries, include_str!("scripts/create.lua")),
            save: Script::new(entries, concat!(save!(), include_str!("scripts/save_one.lua"))),
            touch: Script::new(entries, include_str!("scripts/touch.lua")),
            delete: Script::new(entries, include_str!("scripts/delete.lua")),
            index,
        }
    }
}

/// A script with the hash by which the server identifies it.
#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) text: String,
    pub(crate) hash: String,
}

impl Script {
    fn new(entries: &str, body: &str) -> Self {
        let text = [include_str!("scripts/common.lua"), entries, body].concat();
        let hash = redis::Script::new(&text).get_hash().to_owned();
        Self { text, hash }
    }
}

/// Converts the answer of a script that writes a record.
pub(crate) fn outcome(answer: Value) -> Result<Outcome> {
    match answer {
        Value::Int(0) => Ok(Outcome::Done),
        Value::Int(1) => Ok(Outcome::Exists),
        Value::Int(2) => Ok(Outcome::Conflict),
        Value::Int(3) => Ok(Outcome::Missing),
        Value::Int(4) => Err(OTHER_LAYOUT),
        _ => Err(UNEXPECTED_REPLY),
    }
}
