//! The file that a path names, or a new one that is put in its place once it is a database.
//!
//! A process that is killed while redb writes a new file leaves one that redb does not know. So a new file has another name at first.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use session_store_kit::{is_at, open_private, private};

use crate::access;
use crate::error::OpenError;

/// The file for a database.
pub(crate) struct Found {
    file: File,
    /// Path without links.
    path: PathBuf,
    /// Path of a new file until it is put in place.
    new: Option<PathBuf>,
}

impl Found {
    /// Opens the file at `path` for reading and writing. A missing file is created if `create` says so. It is its owner's alone,
    /// whatever the process's umask.
    pub(crate) fn at(path: &Path, create: bool) -> Result<Self, OpenError> {
        let path = access::check(path)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        private(&mut options);
        match options.open(&path) {
            Ok(file) => {
                let len = file.metadata().map_err(|error| OpenError::Io("examine", path.clone(), error))?.len();
                lock(&file, &path)?;
                file.unlock().map_err(|error| OpenError::Io("unlock", path.clone(), error))?;
                // redb makes a database in an empty file.
                if len == 0 && !create { Err(OpenError::Missing) } else { Ok(Self { file, path, new: None }) }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && create => Self::new(path),
            Err(error) => Err(OpenError::Io("open", path, error)),
        }
    }

    /// Returns an empty file, to be put in place at `path`.
    ///
    /// It may lie in a folder in which other users make files, such as `/tmp`. So a file of its name that is there already is used only
    /// if it is this user's own, and has no other name.
    fn new(path: PathBuf) -> Result<Self, OpenError> {
        let mut name = OsString::from(&path);
        name.push(".new");
        let new = PathBuf::from(name);
        let failed = |error| OpenError::Io("create", new.clone(), error);
        check_own(&new)?;
        let file = open_private(&new).map_err(failed)?;
        // It may have been made, or have become a link, meanwhile.
        check_own(&new)?;
        lock(&file, &new)?;
        // Another process may have put it in place before it was locked here.
        if !is_at(&file, &new).map_err(failed)? {
            return Err(OpenError::locked());
        }
        let found = Self { file, path, new: Some(new.clone()) };
        if found.path.exists() {
            return Err(OpenError::locked());
        }
        // What a process that was killed has left.
        found.file.set_len(0).map_err(failed)?;
        if cfg!(windows) {
            // There redb's own lock would meet this one.
            found.file.unlock().map_err(failed)?;
        }
        Ok(found)
    }

    /// Returns the file twice.
    pub(crate) fn file(&self) -> Result<(File, File), OpenError> {
        let twice = self.file.try_clone().and_then(|file| Ok((file, self.file.try_clone()?)));
        twice.map_err(|error| OpenError::Io("open", self.path.clone(), error))
    }

    /// Gives a new file, in which there is a database now, its name.
    pub(crate) fn put_in_place(mut self) -> Result<(), OpenError> {
        // Something else, such as a backup, may have come to the path meanwhile. A rename would replace it.
        if self.new.is_some() && self.path.exists() {
            return Err(OpenError::locked());
        }
        let Some(new) = self.new.take() else { return Ok(()) };
        let named = fs::rename(new, &self.path).and_then(|()| sync_folder(&self.path));
        named.map_err(|error| OpenError::Io("create", self.path.clone(), error))
    }
}

impl Drop for Found {
    /// Removes a new file that has not become a database.
    fn drop(&mut self) {
        if let Some(new) = self.new.take()
            && let Err(error) = fs::remove_file(&new)
        {
            tracing::warn!(path = %new.display(), %error, "a file that did not become a database could not be removed");
        }
    }
}

/// Checks that the file at `path`, if there is one, is this user's own, no link, and has no other name.
#[cfg(unix)]
fn check_own(path: &Path) -> Result<(), OpenError> {
    use std::os::unix::fs::MetadataExt as _;

    let same = access::check(path)? == path;
    let names = match fs::symlink_metadata(path) {
        Ok(found) => found.nlink(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 1,
        Err(error) => return Err(OpenError::Io("examine", path.to_owned(), error)),
    };
    if same && names == 1 {
        return Ok(());
    }
    let error = io::Error::new(io::ErrorKind::AlreadyExists, "a link has the name of the new file; remove the link");
    Err(OpenError::Io("create", path.to_owned(), error))
}

#[cfg(not(unix))]
fn check_own(_: &Path) -> Result<(), OpenError> {
    Ok(())
}

/// Locks the file. redb itself would go on without locks, and two processes could damage the file.
fn lock(file: &File, path: &Path) -> Result<(), OpenError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(OpenError::locked()),
        Err(TryLockError::Error(error)) => Err(OpenError::Io("lock", path.to_owned(), error)),
    }
}

/// Makes the file's name durable.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
