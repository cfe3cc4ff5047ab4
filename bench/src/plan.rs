//! What is measured against what.

use std::path::PathBuf;

use place::Kind;
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

/// Who is measured on it: this project first. The peers have no store on DynamoDB, and memory has no driver.
pub(crate) fn subjects_of(kind: Kind) -> Vec<String> {
    let who: &[&str] = match kind {
        Kind::Memory => &["ours/memory", "tower-sessions/memory", "tower-sessions/moka"],
        Kind::Dynamo => &["ours/dynamo", "driver/dynamo"],
        _ => &["ours/", "tower-sessions/", "driver/"],
    };
    who.iter().map(|who| if who.ends_with('/') { format!("{who}{}", kind.name()) } else { (*who).into() }).collect()
}
