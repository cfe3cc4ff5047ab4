//! Steps of opening a store: creating, checking and tidying its folders.

use std::fs::{self, Metadata};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use session_core::{Error, ErrorKind, Result};
use session_store_kit::wrong;

use crate::error::{self, at_open};
use crate::folder::{Folder, TEMPORARY, make_private, sync};
use crate::format::LAYOUT;
use crate::lock::{self, LockGuard};
use crate::operations;

/// Text before the number in the file `layout`.
const LAYOUT_PREFIX: &str = "store-file layout ";
/// Pause between attempts to take the lock.
const RETRY: Duration = Duration::from_millis(5);

/// Creates or checks the folders, and removes temporary files of dead processes.
pub(crate) fn prepare(folder: &Folder, above: &Path, create: bool, deadline: Instant) -> Result<()> {
    if above.as_os_str().is_empty() {
        return wrong("the path of the session folder is empty; give one, such as /var/lib/shop");
    }
    // Before anything is made, and again with what was made.
    check_owners(&folder.root)?;
    for path in [above, &folder.root] {
        make(path, create)?;
    }
    check_owners(&folder.root)?;
    let metadata = fs::metadata(&folder.root)
        .map_err(|error| at_open(&error, "the session folder cannot be examined", &folder.root))?;
    make(&folder.locks(), create)?;
    // One process at a time: when several start at once, one creates the folders and the others find them.
    check_owners(&folder.locks())?;
    let _held = lock(&folder.locks().join("open"), deadline)?;
    check_writing(folder, &metadata)?;
    if create {
        make_all(folder)?;
    }
    check_layout(folder)?;
    for path in [folder.records_root(), folder.index_root()] {
        make(&path, false)?;
    }
    check_parts(folder)?;
    tidy(folder);
    Ok(())
}

/// Checks that a folder exists. If it is missing and `create` is set, creates it with access for its owner only.
///
/// The parent must exist, so that nothing is created on a mount point whose disk is not mounted.
fn make(path: &Path, create: bool) -> Result<()> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Ok(()),
        Ok(_) => {
            return wrong(format!("the session folder's path names no folder; choose another: {}", path.display()));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(at_open(&error, "the session folder cannot be examined", path)),
    }
    if !create {
        return wrong(format!("the session folder does not exist; make it, or set `create`: {}", path.display()));
    }
    match make_private(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(at_open(&error, "the folder above the session folder does not exist; make it", path))
        }
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(at_open(&error, "the session folder cannot be created", path))
        }
        _ => Ok(()),
    }
}

/// Refuses a folder that users other than root and this process's can change, or replace in a folder above it.
///
/// A file that they put there would be a session of any principal they choose.
#[cfg(unix)]
fn check_owners(path: &Path) -> Result<()> {
    match session_store_kit::check_owners(path) {
        Ok(_) => Ok(()),
        Err(error) => wrong(format!("the session folder is not safe from other users: {error}")),
    }
}

#[cfg(not(unix))]
fn check_owners(_: &Path) -> Result<()> {
    Ok(())
}

/// Checks that the folders and locks that exist are this store's alone and can be written to, so that no later call finds out first.
#[cfg(unix)]
fn check_parts(folder: &Folder) -> Result<()> {
    for part in folder.parts() {
        match fs::symlink_metadata(&part) {
            Ok(_) => check_owners(&part)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(at_open(&error, "a part of the session folder cannot be examined", &part)),
        }
        session_store_kit::check_access(&part).map_err(|error| {
            at_open(&error, "a part of the session folder cannot be read and written; run chown or chmod on it", &part)
        })?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_parts(_: &Folder) -> Result<()> {
    Ok(())
}

/// Writes a trial file to check that the folder is writable and has the same owner as the files written there.
fn check_writing(folder: &Folder, metadata: &Metadata) -> Result<()> {
    let trial = folder.root.join(TEMPORARY);
    let written = operations::write_new(&trial, b"", false)
        .and_then(|()| fs::metadata(&trial))
        .and_then(|trial_metadata| fs::remove_file(&trial).map(|()| trial_metadata))
        .map_err(|error| at_open(&error, "the session folder cannot be written to", &folder.root))?;
    if same_owner(metadata, &written) {
        return Ok(());
    }
    wrong(format!(
        "the session folder belongs to another user, who could not read new sessions; run this program as that user, \
         or run chown on the folder: {}",
        folder.root.display()
    ))
}

#[cfg(unix)]
fn same_owner(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    one.uid() == other.uid()
}

#[cfg(not(unix))]
fn same_owner(_: &Metadata, _: &Metadata) -> bool {
    true
}

/// Creates the folders and the file `layout`. The file is written last, so a folder that has it is complete.
fn make_all(folder: &Folder) -> Result<()> {
    let layout = folder.layout();
    let fresh = !layout.try_exists().map_err(|error| at_open(&error, "the layout cannot be examined", &layout))?;
    if fresh {
        check_empty(folder)?;
    }
    for path in [folder.records_root(), folder.index_root()] {
        make(&path, true)?;
    }
    if !fresh {
        return Ok(());
    }
    let temporary = folder.root.join(TEMPORARY);
    let text = format!("{LAYOUT_PREFIX}{LAYOUT}\n");
    operations::write_new(&temporary, text.as_bytes(), folder.durable)
        .and_then(|()| sync_made(folder))
        .and_then(|()| fs::rename(&temporary, &layout))
        .and_then(|()| if folder.durable { sync(&folder.root) } else { Ok(()) })
        .map_err(|error| at_open(&error, "the layout cannot be written", &layout))
}

fn sync_made(folder: &Folder) -> io::Result<()> {
    if !folder.durable {
        return Ok(());
    }
    sync(&folder.root)?;
    folder.root.ancestors().skip(1).take(2).filter(|above| !above.as_os_str().is_empty()).try_for_each(sync)
}

/// Checks that a folder without a layout holds no foreign files. Files and folders of an interrupted open are accepted.
fn check_empty(folder: &Folder) -> Result<()> {
    let names =
        fs::read_dir(&folder.root).map_err(|error| at_open(&error, "the folder cannot be listed", &folder.root))?;
    for name in names {
        let name = name.map_err(|error| at_open(&error, "the folder cannot be listed", &folder.root))?.file_name();
        if !matches!(name.to_str(), Some("locks" | "records" | "people" | TEMPORARY)) {
            return wrong(format!(
                "the folder was not made by this store; choose another namespace: {}",
                folder.root.display()
            ));
        }
    }
    Ok(())
}

fn check_layout(folder: &Folder) -> Result<()> {
    let layout = folder.layout();
    let text = match fs::read_to_string(&layout) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return wrong(format!(
                "the session folder is not complete; open it once with `create`, to make {}",
                layout.display()
            ));
        }
        Err(error) => return Err(at_open(&error, "the layout cannot be read", &layout)),
    };
    match text.trim_end().strip_prefix(LAYOUT_PREFIX).and_then(|number| number.parse::<u32>().ok()) {
        Some(LAYOUT) => Ok(()),
        Some(other) => wrong(format!(
            "the session folder has layout {other}; this release reads and writes layout {LAYOUT}: {}",
            folder.root.display()
        )),
        None => wrong(format!(
            "the file does not say which layout the session folder has; restore it: {}",
            layout.display()
        )),
    }
}

/// Removes temporary files that were left behind. If the shard's lock is free, the file's writer is dead.
fn tidy(folder: &Folder) {
    for shard in 0..=u8::MAX {
        let temporary = folder.temporary(shard);
        if temporary.exists()
            && let Ok(Some(_held)) = lock::take(&folder.lock(shard))
            && let Err(error) = fs::remove_file(&temporary)
        {
            tracing::debug!(%error, "a temporary file of a dead process could not be removed");
        }
    }
}

fn lock(path: &Path, deadline: Instant) -> Result<LockGuard> {
    loop {
        match lock::take(path) {
            Ok(Some(held)) => return Ok(held),
            Ok(None) if Instant::now() < deadline => thread::sleep(RETRY),
            Ok(None) => return Err(error::LOCKED),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                let text = "the file system of the session folder has no locks; use a local one";
                return Err(Error::new(ErrorKind::Config, format!("{text}: {}", path.display())).with_source(&error));
            }
            Err(error) => return Err(at_open(&error, "the session folder cannot be locked", path)),
        }
    }
}
