//! Options of a store, and of the file that it opens.

use std::path::PathBuf;
use std::time::Duration;

/// Point at which a commit is on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Durability {
    /// Flushes each commit to disk before it is reported. Neither a kill nor a loss of power undoes it.
    #[default]
    Immediate,
    /// Keeps commits in memory and writes them to disk once a second, and when the store is closed.
    ///
    /// A crash of the process, including `kill -9`, undoes the commits of the last second, in order, and leaves an intact file.
    Delayed,
}

/// Options of a file, which all stores of this process on the file share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileOptions {
    pub(crate) path: PathBuf,
    /// Size of redb's page cache in bytes.
    pub(crate) cache: usize,
    /// Maximum length of the file in bytes.
    pub(crate) max_len: u64,
}

/// Returns how long to wait for another process's lock.
///
/// Slightly less than the caller waits, so that the caller learns the reason.
pub(crate) fn lock_timeout(timeout: Duration) -> Duration {
    timeout - (timeout / 10).min(Duration::from_millis(100))
}
