//! Conversion of SQLite's and the system's errors.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode as Code;
use session_core::{Error, ErrorKind};
#[cfg(unix)]
use session_store_kit::PathError;

use crate::config::{Config, Location};
use crate::files::Refusal;

/// Reason why a connection could not be opened.
pub(crate) enum OpenError {
    Sqlite(rusqlite::Error),
    /// The system refused an operation on a file: what was tried, and on which file.
    Io(&'static str, PathBuf, io::Error),
    /// Other users can change the file or a part of its path.
    #[cfg(unix)]
    Untrusted(PathError),
    /// Another process held the lock on opening for the whole time-out.
    Locked,
    /// The log was removed while other processes use it and this index.
    LogRemoved(PathBuf),
    /// The file was replaced again while it was being opened.
    Moved,
    NoLog(String),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

#[cfg(unix)]
impl From<PathError> for OpenError {
    fn from(error: PathError) -> Self {
        Self::Untrusted(error)
    }
}

impl From<Refusal> for OpenError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Io(what, path, error) => Self::Io(what, path, error),
            Refusal::Locked => Self::Locked,
            Refusal::LogRemoved(index) => Self::LogRemoved(index),
        }
    }
}

impl OpenError {
    /// Converts an error that occurred while the store was opened. It persists until the configuration is changed.
    pub(crate) fn at_open(self, config: &Config) -> Error {
        match self {
            Self::Sqlite(error) => at_open(&error, config),
            Self::Locked | Self::Moved => self.of_kind(ErrorKind::Unavailable),
            Self::Io(_, _, ref error) if is_full(error) => self.of_kind(ErrorKind::Unavailable),
            other => other.of_kind(ErrorKind::Config),
        }
    }

    /// Converts an error that occurred while the store was in use, where a new connection replaces an old one.
    pub(crate) fn in_use(self) -> Error {
        match self {
            Self::Sqlite(error) => in_use(&error),
            other => other.of_kind(ErrorKind::Unavailable),
        }
    }

    fn of_kind(self, kind: ErrorKind) -> Error {
        match self {
            Self::Sqlite(error) => Error::fixed(kind, meaning(&error).1).with_source(&error),
            Self::Io(what, path, error) => refusal(kind, what, &path, &error),
            #[cfg(unix)]
            Self::Untrusted(error) => Error::new(kind, format!("the database is not safe from other users: {error}")),
            Self::Locked => Error::fixed(kind, "another process held the database for the whole time-out"),
            Self::Moved => Error::fixed(kind, "the database file was replaced while it was being opened"),
            Self::LogRemoved(index) => Error::new(
                kind,
                format!(
                    "the database's log was removed while programs used it; stop them all, and then remove the index \
                     if it is still there: {}",
                    index.display()
                ),
            ),
            Self::NoLog(mode) => Error::new(
                kind,
                format!("the database needs a write-ahead log but has journal mode `{mode}`; move it to a local disk"),
            ),
        }
    }
}

/// Returns the error for a refusal of the system to do `what` with the file at `path`.
fn refusal(kind: ErrorKind, what: &str, path: &Path, error: &io::Error) -> Error {
    let mend = match error.kind() {
        io::ErrorKind::NotFound => "restore it",
        io::ErrorKind::PermissionDenied => "let the program's user read and write it, and search its folders",
        io::ErrorKind::ReadOnlyFilesystem => "mount the file system for writing",
        io::ErrorKind::Unsupported => "move the database to a local disk",
        _ if is_full(error) => "make room on the disk",
        _ => "mend what the system names",
    };
    Error::new(kind, format!("the system refused to {what} {} ({error}); {mend}", path.display())).with_source(error)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

/// Returns whether the connection may be the cause of `error`, so that a new connection may help.
pub(crate) fn is_fatal(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    !matches!(code, Some(Code::DatabaseBusy | Code::DatabaseLocked | Code::DiskFull | Code::TooBig))
}

/// Returns whether another connection held the lock that was needed.
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(Code::DatabaseBusy | Code::DatabaseLocked))
}

/// Converts an error that occurred while the store was in use.
pub(crate) fn in_use(error: &rusqlite::Error) -> Error {
    let (kind, message) = meaning(error);
    Error::fixed(kind, message).with_source(error)
}

/// Converts an error of SQLite that occurred while the store was opened.
///
/// A refusal of the system is `Config` here, because it persists until the configuration is changed.
pub(crate) fn at_open(error: &rusqlite::Error, config: &Config) -> Error {
    let (kind, message) = match error.sqlite_error_code() {
        Some(Code::CannotOpen | Code::ReadOnly | Code::PermissionDenied) => (
            ErrorKind::Config,
            "SQLite cannot open the database or the files beside it; let the program's user write to all of them",
        ),
        Some(Code::NotADatabase) => {
            (ErrorKind::Config, "the file is not an SQLite database or is encrypted; choose another")
        }
        Some(Code::Unknown) => (
            ErrorKind::Config,
            "the database refused a statement that prepares it; restore the tables, or choose another namespace",
        ),
        _ => meaning(error),
    };
    let code = error.sqlite_error().map_or(0, |error| error.extended_code);
    match &config.location {
        Location::File(path) => {
            Error::new(kind, format!("{message} (SQLite's code {code}): {}", path.display())).with_source(error)
        }
        Location::Memory => Error::fixed(kind, message).with_source(error),
    }
}

fn meaning(error: &rusqlite::Error) -> (ErrorKind, &'static str) {
    use ErrorKind::{Config, Corrupt, Other, TooLarge, Unavailable};
    match error.sqlite_error_code() {
        Some(Code::DatabaseBusy | Code::DatabaseLocked) => {
            (Unavailable, "another process held the database for the whole time-out")
        }
        Some(Code::DiskFull) => (Unavailable, "the disk or the database is full"),
        Some(Code::SystemIoFailure) => (Unavailable, "reading or writing the database file failed"),
        Some(Code::CannotOpen) => (Unavailable, "the database file cannot be opened"),
        Some(Code::ReadOnly | Code::PermissionDenied) => (Unavailable, "the database file cannot be written to"),
        Some(Code::FileLockingProtocolFailed) => (Unavailable, "the database file cannot be locked"),
        Some(Code::OutOfMemory) => (Unavailable, "SQLite has no memory left"),
        Some(Code::OperationInterrupted | Code::OperationAborted) => (Unavailable, "the statement was interrupted"),
        Some(Code::DatabaseCorrupt) => (Corrupt, "the database file is damaged; restore it"),
        Some(Code::NotADatabase) => (Corrupt, "the file is not an SQLite database; choose another"),
        Some(Code::TooBig) => (TooLarge, "the session is larger than SQLite allows"),
        Some(Code::Unknown) => {
            (Config, "the database refused a statement, because its tables were changed; restore them")
        }
        _ => (Other, "SQLite failed for an unknown reason"),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn kind(code: i32) -> ErrorKind {
        in_use(&rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)).kind()
    }

    #[test]
    fn an_outage_is_unavailable_and_damage_is_corrupt() {
        for code in
            [ffi::SQLITE_BUSY, ffi::SQLITE_FULL, ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_CANTOPEN, ffi::SQLITE_READONLY]
        {
            assert_eq!(kind(code), ErrorKind::Unavailable, "{code}");
        }
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB] {
            assert_eq!(kind(code), ErrorKind::Corrupt, "{code}");
        }
        assert_eq!(kind(ffi::SQLITE_TOOBIG), ErrorKind::TooLarge);
    }
}
