//! What the system's errors mean to a caller. No path of a session gets into them: its name is the session's key.

use std::io;
use std::path::Path;

use session_core::{Error, ErrorKind};

pub(crate) const TIMED_OUT: Error = Error::fixed(ErrorKind::Unavailable, "no answer within the time-out");
pub(crate) const PANICKED: Error = Error::fixed(ErrorKind::Other, "work on session files panicked");
pub(crate) const LOCKED: Error =
    Error::fixed(ErrorKind::Unavailable, "another process held the lock for the whole time-out");
pub(crate) const GONE: Error = Error::fixed(ErrorKind::Unavailable, "the session folder is gone");
pub(crate) const NO_FILE: Error =
    Error::fixed(ErrorKind::Corrupt, "something that is no file lies under a session's name");

/// An error of a store that is in use: whatever the system refuses is an outage, and may pass.
pub(crate) fn in_use(error: &io::Error) -> Error {
    let message = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => return GONE.with_source(error),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk is full",
        io::ErrorKind::FileTooLarge => "the system allows no file that large",
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only",
        io::ErrorKind::PermissionDenied => "access to the session folder is denied",
        _ => "reading or writing a session file failed",
    };
    Error::fixed(ErrorKind::Unavailable, message).with_source(error)
}

/// An error while a store is opened: what the system refuses then, it will refuse until somebody changes something.
pub(crate) fn at_open(error: &io::Error, what: &str, path: &Path) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Unavailable,
        _ => ErrorKind::Config,
    };
    Error::new(kind, format!("{what}: {}", path.display())).with_source(error)
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
