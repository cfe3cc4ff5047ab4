//! Conversion of redb's and the system's errors.

use std::io;
use std::path::{Path, PathBuf};

use redb::DatabaseError;
use session_core::{Error, ErrorKind};
#[cfg(unix)]
use session_store_kit::PathError;

/// Reason why a file could not be opened.
pub(crate) enum OpenError {
    Redb(redb::Error),
    /// The system refused an operation on a file: what was tried, and on which file.
    Io(&'static str, PathBuf, io::Error),
    /// Other users can change the file or a part of its path.
    #[cfg(unix)]
    Untrusted(PathError),
    /// There is no file, or an empty one, where there was a database before.
    Missing,
    /// redb panicked. Its message may be all that tells of damage.
    Panicked,
}

impl From<redb::Error> for OpenError {
    fn from(error: redb::Error) -> Self {
        Self::Redb(error)
    }
}

impl From<DatabaseError> for OpenError {
    fn from(error: DatabaseError) -> Self {
        Self::Redb(error.into())
    }
}

#[cfg(unix)]
impl From<PathError> for OpenError {
    fn from(error: PathError) -> Self {
        Self::Untrusted(error)
    }
}

impl OpenError {
    /// Returns the error of a file that another process, or another store of this one, is about to open.
    pub(crate) const fn locked() -> Self {
        Self::Redb(redb::Error::DatabaseAlreadyOpen)
    }

    /// Converts an error that occurred while the store was opened. It persists until the configuration is changed.
    pub(crate) fn at_open(self, path: &Path) -> Error {
        match self {
            Self::Redb(error) => at_open(&error, path),
            Self::Io(_, _, ref error) if is_full(error) => self.of_kind(ErrorKind::Unavailable),
            Self::Missing => Error::new(ErrorKind::Config, format!("{MISSING}: {}", path.display())),
            Self::Panicked => Error::new(ErrorKind::Corrupt, format!("{PANICKED}: {}", path.display())),
            other => other.of_kind(ErrorKind::Config),
        }
    }

    /// Converts an error that occurred while the store was in use, where it opens the file again.
    pub(crate) fn in_use(self) -> Error {
        match self {
            Self::Redb(error) => in_use(&error),
            other => other.of_kind(ErrorKind::Unavailable),
        }
    }

    fn of_kind(self, kind: ErrorKind) -> Error {
        match self {
            Self::Redb(error) => Error::fixed(kind, meaning(&error).1).with_source(&error),
            Self::Io(what, path, error) => refusal(kind, what, &path, &error),
            #[cfg(unix)]
            Self::Untrusted(error) => Error::new(kind, format!("the database is not safe from other users: {error}")),
            Self::Missing => Error::fixed(kind, MISSING),
            Self::Panicked => Error::fixed(ErrorKind::Corrupt, PANICKED),
        }
    }
}

const MISSING: &str = "the database file is missing or empty; restore it";
const PANICKED: &str = "redb panicked while it opened the file; restore it";

/// Returns the error for a refusal of the system to do `what` with the file at `path`.
fn refusal(kind: ErrorKind, what: &str, path: &Path, error: &io::Error) -> Error {
    let mend = match error.kind() {
        io::ErrorKind::NotFound => "restore it",
        io::ErrorKind::PermissionDenied => "let the program's user read and write it, and search its folders",
        io::ErrorKind::Unsupported => "move the database to a local disk",
        io::ErrorKind::ReadOnlyFilesystem => "mount the file system for writing",
        _ if is_full(error) => "make room on the disk",
        _ => "mend what the system names",
    };
    Error::new(kind, format!("the system refused to {what} {} ({error}); {mend}", path.display())).with_source(error)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

/// Whether the disk, or the bound on the file's length, left no room.
pub(crate) fn is_disk_full(error: &redb::Error) -> bool {
    matches!(error, redb::Error::Io(error) if is_full(error))
}

/// Error of a write that is refused because another one has just found no room.
pub(crate) const FULL: Error = Error::fixed(ErrorKind::Unavailable, DISK_FULL);

/// Error of a batch during which the file was removed or replaced.
pub(crate) const REPLACED: Error =
    Error::fixed(ErrorKind::Unavailable, "the database file was removed or replaced while it was open");

/// Whether another process, or a database of this process that is being closed, holds the file.
pub(crate) fn is_locked(error: &OpenError) -> bool {
    matches!(error, OpenError::Redb(redb::Error::DatabaseAlreadyOpen))
}

/// Converts an error that occurred while the store was in use.
pub(crate) fn in_use(error: &redb::Error) -> Error {
    let (kind, message) = meaning(error);
    Error::fixed(kind, message).with_source(error)
}

/// Converts an error of redb that occurred while the store was opened.
///
/// A refusal of the system is `Config` here, because it persists until the configuration is changed.
fn at_open(error: &redb::Error, path: &Path) -> Error {
    let (kind, message) = match error {
        redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            (ErrorKind::Config, "the file is not a redb database; choose another")
        }
        redb::Error::Io(error) if !is_full(error) => {
            (ErrorKind::Config, "the system refused to read or write the database file; mend what it names")
        }
        _ => meaning(error),
    };
    Error::new(kind, format!("{message}: {}", path.display())).with_source(error)
}

const DISK_FULL: &str = "the disk or the database is full";

fn meaning(error: &redb::Error) -> (ErrorKind, &'static str) {
    use ErrorKind::{Config, Corrupt, Other, TooLarge, Unavailable};
    match error {
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => (
            Unavailable,
            "another process has the database open, or this one by another path, and redb serves one at a time; \
             end that process, or use sqlite: instead",
        ),
        redb::Error::Io(error) if is_full(error) => (Unavailable, DISK_FULL),
        redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            (Corrupt, "the file is not a redb database; restore it")
        }
        redb::Error::Io(_) | redb::Error::PreviousIo => (Unavailable, "reading or writing the database file failed"),
        redb::Error::DatabaseClosed => (Unavailable, "the database file was closed"),
        redb::Error::Corrupted(_) | redb::Error::TransactionPoisoned => {
            (Corrupt, "the database file is damaged; restore it")
        }
        redb::Error::ValueTooLarge(_) => (TooLarge, "the session is larger than redb allows"),
        redb::Error::UpgradeRequired(_) => {
            (Config, "the file has an old format; upgrade it with redb 2.6, or choose another")
        }
        redb::Error::TableDoesNotExist(_) => {
            (Config, "the file has no sessions of this store; restore it, or set `create`")
        }
        redb::Error::TableTypeMismatch { .. }
        | redb::Error::TableIsMultimap(_)
        | redb::Error::TableIsNotMultimap(_)
        | redb::Error::TypeDefinitionChanged { .. } => {
            (Config, "a table of the file has a name of this store but was not made by it; choose another file")
        }
        _ => (Other, "redb failed for an unknown reason"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(error: redb::Error) -> ErrorKind {
        in_use(&error).kind()
    }

    #[test]
    fn an_outage_is_unavailable_and_damage_is_corrupt() {
        for outage in [io::ErrorKind::StorageFull, io::ErrorKind::Other, io::ErrorKind::PermissionDenied] {
            assert_eq!(kind(redb::Error::Io(outage.into())), ErrorKind::Unavailable, "{outage}");
        }
        assert_eq!(kind(redb::Error::PreviousIo), ErrorKind::Unavailable);
        assert_eq!(kind(redb::Error::DatabaseAlreadyOpen), ErrorKind::Unavailable);
        assert_eq!(kind(redb::Error::Io(io::ErrorKind::InvalidData.into())), ErrorKind::Corrupt);
        assert_eq!(kind(redb::Error::Corrupted("x".to_owned())), ErrorKind::Corrupt);
        assert_eq!(kind(redb::Error::ValueTooLarge(1)), ErrorKind::TooLarge);
    }
}
