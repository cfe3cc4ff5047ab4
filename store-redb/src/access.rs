//! Checks of the file's owner and permissions before it is opened, because the system's own errors name neither rule nor mend.

use std::path::{Path, PathBuf};

use crate::error::OpenError;

/// Checks that only root and this process's user can change what `path` names. Returns the path without links.
///
/// A user who can write to the database, or replace it, can make a session of any principal.
#[cfg(unix)]
pub(crate) fn check(path: &Path) -> Result<PathBuf, OpenError> {
    let path = session_store_kit::check_owners(path)?;
    let parent = path.parent().map(Path::to_owned);
    for part in parent.iter().chain([&path]) {
        match session_store_kit::check_access(part) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(OpenError::Io("let this program read and write", part.clone(), error));
            }
            _ => {}
        }
    }
    Ok(path)
}

#[cfg(not(unix))]
pub(crate) fn check(path: &Path) -> Result<PathBuf, OpenError> {
    Ok(path.to_owned())
}
