//! Files that only their owner may use, and that other processes may replace.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

/// Opens the file at `path` for reading and writing. A file that does not exist is created empty, and only its owner may use it.
///
/// ```
/// use session_store_kit::{is_at, open_private};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("lock");
/// let file = open_private(&path)?;
/// assert!(is_at(&file, &path)?);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// The system's.
pub fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    private(&mut options);
    options.open(path)
}

/// Restricts a file that is created with `options` to its owner, whatever the process's umask. On systems other than Unix it does
/// nothing.
///
/// ```
/// use std::fs::OpenOptions;
///
/// let mut options = OpenOptions::new();
/// options.write(true).create_new(true);
/// session_store_kit::private(&mut options);
/// ```
pub fn private(options: &mut OpenOptions) {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    #[cfg(not(unix))]
    let _ = options;
}

/// Returns whether `path` still names `file`. A lock on a removed file excludes no other process.
///
/// On systems other than Unix it is always so, because an open file keeps its name there.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("lock");
/// let file = session_store_kit::open_private(&path)?;
/// std::fs::remove_file(&path)?;
/// assert!(!session_store_kit::is_at(&file, &path)?);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// The system's, except that a missing file is `false`.
pub fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    if cfg!(not(unix)) {
        return Ok(true);
    }
    let open = file.metadata()?;
    match fs::metadata(path) {
        Ok(named) => Ok(is_same(&named, &open)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(unix)]
fn is_same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same(_: &fs::Metadata, _: &fs::Metadata) -> bool {
    true
}
