//! Configuration of a store, shared by its connections.

use std::path::PathBuf;
use std::time::Duration;

use session_core::Namespace;

use crate::schema::Statements;

/// Point at which a commit is flushed to disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Synchronous {
    /// Flushes commits at the next checkpoint. A crash of the process loses nothing.
    /// A loss of power may undo the latest commits, in order, but leaves an intact database.
    #[default]
    Normal,
    /// Flushes each commit before it is reported. A loss of power undoes nothing, but each transaction waits for the disk.
    Full,
}

impl Synchronous {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Full => "full",
        }
    }
}

/// Location of the database.
#[derive(Clone, Debug)]
pub(crate) enum Location {
    File(PathBuf),
    Memory,
}

/// Configuration of all connections of a store.
pub(crate) struct Config {
    pub(crate) location: Location,
    pub(crate) namespace: Namespace,
    pub(crate) statements: Statements,
    pub(crate) timeout: Duration,
    pub(crate) synchronous: Synchronous,
    pub(crate) create: bool,
    pub(crate) max_page_count: Option<u32>,
}

impl Config {
    /// Returns how long to wait for another process's lock.
    ///
    /// Slightly less than the caller waits, so that the caller learns that nothing was written and the call is not executed later.
    pub(crate) fn busy_timeout(&self) -> Duration {
        self.timeout - (self.timeout / 10).min(Duration::from_millis(100))
    }
}
