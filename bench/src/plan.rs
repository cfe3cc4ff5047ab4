//! Plan of a run, and the subjects that it compares.

use std::path::PathBuf;

use targets::Kind;
use work::Work;

/// Plan of a run.
pub(crate) struct Plan {
    pub(crate) stores: Vec<Kind>,
    pub(crate) work: Vec<Work>,
    pub(crate) tasks: Vec<u64>,
    pub(crate) sizes: Vec<usize>,
    pub(crate) seconds: f64,
    pub(crate) rounds: usize,
    /// Whether applications over HTTP are measured, too.
    pub(crate) http: bool,
    /// Whether this project is compared with an earlier state of itself, in place of the peers and drivers.
    pub(crate) with_itself: bool,
    /// Folder for results, which are written after each store.
    pub(crate) out: PathBuf,
}

/// Name of an earlier state of this project.
pub(crate) const BEFORE: &str = "before";
/// Name of the peers.
pub(crate) const PEERS: &str = "tower-sessions";

/// Whether tower-sessions has a store of this kind.
pub(crate) const fn has_peer(kind: Kind) -> bool {
    !matches!(kind, Kind::SqliteFull | Kind::Redb | Kind::Memcached | Kind::Nats | Kind::Dynamo)
}

/// Returns the subjects for a kind of store, this project first. Memory has no driver.
pub(crate) fn subjects_of(kind: Kind, with_itself: bool) -> Vec<String> {
    let who: &[&str] = match kind {
        _ if with_itself => &["ours/", "before/"],
        Kind::Memory => &["ours/memory", "tower-sessions/memory", "tower-sessions/moka"],
        _ if !has_peer(kind) => &["ours/", "driver/"],
        _ => &["ours/", "tower-sessions/", "driver/"],
    };
    who.iter().map(|who| if who.ends_with('/') { format!("{who}{}", kind.name()) } else { (*who).into() }).collect()
}
