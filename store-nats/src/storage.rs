//! Where a bucket is kept.

/// Where a new bucket is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Storage {
    /// In files. Sessions outlive the servers.
    File,
    /// In the servers' memory. Sessions are lost when too many servers stop at a time, or the only one.
    Memory,
}
