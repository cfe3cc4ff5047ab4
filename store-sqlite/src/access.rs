//! Checks of the files' owners and permissions before SQLite opens them, because its own errors do not name the file.

use std::path::{Path, PathBuf};

use crate::error::OpenError;
use crate::files::Paths;

/// Checks that only root and this process's user can change what `path` names. Returns the path without links.
///
/// A user who can write to the database, or replace it, can make a session of any principal.
#[cfg(unix)]
pub(crate) fn check(path: &Path) -> Result<PathBuf, OpenError> {
    Ok(session_store_kit::check_owners(path)?)
}

/// Checks that this process may write to the files and their directory, and that other users may not.
#[cfg(unix)]
pub(crate) fn check_files(paths: &Paths) -> Result<(), OpenError> {
    let files = [&paths.database, &paths.log, &paths.index];
    for path in files.into_iter().filter(|path| path.exists()) {
        check(path)?;
    }
    let directory = paths.database.parent().map(Path::to_owned);
    for path in directory.iter().chain(files) {
        match session_store_kit::check_access(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(OpenError::Io("let this program read and write", path.clone(), error));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn check(path: &Path) -> Result<PathBuf, OpenError> {
    Ok(path.to_owned())
}

#[cfg(not(unix))]
pub(crate) fn check_files(_: &Paths) -> Result<(), OpenError> {
    Ok(())
}
