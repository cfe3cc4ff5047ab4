//! Conversion of SQLite's and the system's errors.

use std::io;
use std::path::Path;

use rusqlite::ErrorCode as Code;
use session_core::{Error, ErrorKind};

/// Returns whether the connection may be the cause of `error`, so that a new connection may help.
pub(crate) fn is_fatal(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    !matches!(code, Some(Code::DatabaseBusy | Code::DatabaseLocked | Code::DiskFull | Code::TooBig))
}

/// Returns whether another connection held the lock that was needed.
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(Code::DatabaseBusy | Code::DatabaseLocked))
}

pub(crate) const LOCKED: Error =
    Error::fixed(ErrorKind::Unavailable, "another process held the database for the whole time-out");

/// Converts a refusal of the system to do `what` with the file at `path` while the store was opened.
///
/// It persists until the configuration is changed, so it is `Config`. A full disk is `Unavailable`.
pub(crate) fn io_at_open(what: &str, path: &Path, error: &io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Unavailable,
        _ => ErrorKind::Config,
    };
    refusal(kind, what, path, error)
}

/// Converts a refusal of the system to do `what` with the file at `path` while the store was in use.
pub(crate) fn io_in_use(what: &str, path: &Path, error: &io::Error) -> Error {
    refusal(ErrorKind::Unavailable, what, path, error)
}

fn refusal(kind: ErrorKind, what: &str, path: &Path, error: &io::Error) -> Error {
    let mend = match error.kind() {
        io::ErrorKind::NotFound => "restore it",
        io::ErrorKind::PermissionDenied => "let the program's user read and write it, and search its folders",
        io::ErrorKind::ReadOnlyFilesystem => "mount the file system for writing",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on the disk",
        io::ErrorKind::Unsupported => "move the database to a local disk",
        _ => "see the system's error",
    };
    Error::new(kind, format!("the system refused to {what} {} ({error}); {mend}", path.display())).with_source(error)
}

/// Converts an error that occurred while the store was in use.
pub(crate) fn in_use(error: &rusqlite::Error) -> Error {
    let (kind, message) = meaning(error);
    Error::fixed(kind, message).with_source(error)
}

/// Converts an error that occurred while the store was opened.
///
/// A refusal of the system is `Config` here, because it persists until the configuration is changed.
pub(crate) fn at_open(error: &rusqlite::Error) -> Error {
    let (kind, message) = match error.sqlite_error_code() {
        Some(Code::CannotOpen) => {
            (ErrorKind::Config, "the database file cannot be opened or created; check its directory's permissions")
        }
        Some(Code::ReadOnly) => (ErrorKind::Config, "the database file or its directory cannot be written to"),
        Some(Code::PermissionDenied) => (ErrorKind::Config, "access to the database file is denied"),
        Some(Code::Unknown) => (
            ErrorKind::Config,
            "the database refused a statement that prepares it; restore the tables, or choose another namespace",
        ),
        _ => meaning(error),
    };
    Error::fixed(kind, message).with_source(error)
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

    #[test]
    fn what_the_system_refuses_at_open_is_config() {
        for code in [ffi::SQLITE_CANTOPEN, ffi::SQLITE_READONLY_DIRECTORY, ffi::SQLITE_PERM] {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            assert_eq!(at_open(&error).kind(), ErrorKind::Config, "{code}");
        }
    }
}
