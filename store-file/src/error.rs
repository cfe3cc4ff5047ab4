//! Conversion of the system's errors. Errors never contain the path of a session's file, because its name is the session's key.

use std::io;
use std::path::Path;

use session_core::{Error, ErrorKind};

pub(crate) const PANICKED: Error =
    Error::fixed(ErrorKind::Other, "work on session files panicked; this is a fault of the store, please report it");
pub(crate) const LOCKED: Error =
    Error::fixed(ErrorKind::Unavailable, "another process held the lock of a session folder for the whole time-out");
pub(crate) const GONE: Error = Error::fixed(ErrorKind::Unavailable, "the session folder was removed; restore it");
pub(crate) const REPLACED: Error =
    Error::fixed(ErrorKind::Unavailable, "the session folder was replaced while a call wrote to it");
pub(crate) const NOT_A_FILE: Error =
    Error::fixed(ErrorKind::Corrupt, "the name of a session's file is taken by a folder or a device; remove that");

/// Converts an error that occurred while the store was in use. Every refusal of the system is an outage, because it may pass.
pub(crate) fn in_use(error: &io::Error) -> Error {
    let message = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => return GONE.with_source(error),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk of the session folder is full",
        io::ErrorKind::FileTooLarge => "a session file is larger than the system allows",
        io::ErrorKind::ReadOnlyFilesystem => "the file system of the session folder is read-only",
        io::ErrorKind::PermissionDenied => "access to the session folder is denied",
        _ => "reading or writing a session file failed",
    };
    Error::fixed(ErrorKind::Unavailable, message).with_source(error)
}

/// Converts an error that occurred while the store was opened.
///
/// A refusal of the system is `Config` here, because it persists until the configuration is changed. A full disk is `Unavailable`.
pub(crate) fn at_open(error: &io::Error, what: &str, path: &Path) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Unavailable,
        _ => ErrorKind::Config,
    };
    Error::new(kind, format!("{what} ({error}): {}", path.display())).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_refuses_is_an_outage() {
        for kind in [
            io::ErrorKind::StorageFull,
            io::ErrorKind::QuotaExceeded,
            io::ErrorKind::ReadOnlyFilesystem,
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::NotFound,
            io::ErrorKind::StaleNetworkFileHandle,
            io::ErrorKind::Other,
        ] {
            assert_eq!(in_use(&kind.into()).kind(), ErrorKind::Unavailable, "{kind:?}");
        }
    }

    #[test]
    fn a_refusal_at_open_is_configuration_and_a_full_disk_is_not() {
        let kind = |kind: io::ErrorKind| at_open(&kind.into(), "it cannot be made", Path::new("/x")).kind();
        assert_eq!(kind(io::ErrorKind::PermissionDenied), ErrorKind::Config);
        assert_eq!(kind(io::ErrorKind::ReadOnlyFilesystem), ErrorKind::Config);
        assert_eq!(kind(io::ErrorKind::StorageFull), ErrorKind::Unavailable);
    }
}
