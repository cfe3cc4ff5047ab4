//! Paths of files that a store or its driver opens.

use std::path::{Path, PathBuf, absolute as absolute_from_here};

use session_core::{Error, ErrorKind, Result};

/// Returns `path` from the root of the file system on, without resolving links or looking the path up.
///
/// A store does so when it is opened, because a relative path means another file after the process has changed its working directory.
/// An empty path stays empty.
///
/// ```
/// use std::path::Path;
///
/// let here = std::env::current_dir().unwrap();
/// assert_eq!(session_store_kit::absolute(Path::new("sessions.db")).unwrap(), here.join("sessions.db"));
/// assert_eq!(session_store_kit::absolute(Path::new("")).unwrap(), Path::new(""));
/// ```
///
/// # Errors
/// [`ErrorKind::Config`] if the path is relative and the working directory is unknown, for example because it was removed.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    if path.as_os_str().is_empty() {
        return Ok(PathBuf::new());
    }
    absolute_from_here(path).map_err(|error| {
        let text = "the path is relative and the working directory is not known; write the path from the root on";
        Error::new(ErrorKind::Config, format!("{text}: {}", path.display())).with_source(&error)
    })
}
