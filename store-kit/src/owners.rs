//! Check of who can change the files of a store, part by part of a path, as OpenSSH checks its files (`safe_path`).

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::process::geteuid;

/// Maximum number of links in a path, as on Linux.
const LINKS: u32 = 40;

/// Reason why a path must not be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum PathError {
    /// The part of the path belongs to neither root nor this process's user.
    Owner {
        /// The folder, file or link.
        part: PathBuf,
        /// Id of its owner.
        owner: u32,
    },
    /// Other users can write to the part of the path.
    Writable {
        /// The folder or file.
        part: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The system refused to examine the part of the path.
    Io {
        /// The folder, file or link.
        part: PathBuf,
        /// The system's error.
        error: io::Error,
    },
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner { part, owner } => write!(
                f,
                "it belongs to another user (uid {owner}), who could put other sessions there; run this program as that \
                 user, or run chown on it: {}",
                part.display()
            ),
            Self::Writable { part, mode } => write!(
                f,
                "other users can write to it (mode {:o}) and could put other sessions there; run chmod go-w on it: {}",
                mode & 0o7777,
                part.display()
            ),
            Self::Io { part, error } => write!(
                f,
                "the system refused to examine it ({error}); let the program's user search the folders of the path: {}",
                part.display()
            ),
        }
    }
}

impl std::error::Error for PathError {}

/// Checks that only root and this process's user can change what `path` names, and returns the path without links.
///
/// Every folder on the way from the root of the file system is checked, every link and what it names, and the last part itself.
///
/// - Each belongs to root or to the process's effective user.
/// - Other users can write to none of them. A folder with the sticky bit, such as `/tmp`, is accepted on the way, because there users
///   can neither rename nor remove what belongs to others.
/// - A group may write if it is root's, or has the number of the process's user, as the private groups of most Linux systems have.
///
/// Parts that do not exist are not checked, so check again after making them. The check starts at the root, where only root
/// can change the next part, so what was checked stays as it was.
///
/// ```
/// use std::path::Path;
///
/// assert_eq!(session_store_kit::check_owners(Path::new("/")).unwrap(), Path::new("/"));
/// ```
///
/// # Errors
/// [`PathError`] names the first part that other users could change.
pub fn check_owners(path: &Path) -> Result<PathBuf, PathError> {
    let mut checked = PathBuf::from("/");
    let mut left = parts(path);
    let (user, mut links) = (geteuid().as_raw(), 0);
    let mut last = look(&checked)?;
    while let Some(part) = left.pop() {
        trust(&checked, last.as_ref(), user, true)?;
        if part == ".." {
            checked.pop();
            last = look(&checked)?;
            continue;
        }
        let next = checked.join(&part);
        let Some(found) = look(&next)? else {
            // Nothing below exists either.
            checked = next;
            checked.extend(left.into_iter().rev());
            return Ok(checked);
        };
        if found.is_symlink() {
            trust_owner(&next, &found, user)?;
            links += 1;
            let named = fs::read_link(&next).map_err(|error| PathError::Io { part: next.clone(), error })?;
            if links > LINKS {
                let error = io::Error::other("it has too many links");
                return Err(PathError::Io { part: next, error });
            }
            if named.is_absolute() {
                checked = PathBuf::from("/");
                last = look(&checked)?;
            }
            left.extend(parts(&named));
            continue;
        }
        (checked, last) = (next, Some(found));
    }
    trust(&checked, last.as_ref(), user, false)?;
    Ok(checked)
}

/// Checks that the process's effective user may read and write the file or folder, whatever the mode's bits suggest.
///
/// # Errors
/// The system's: permissions, a file system mounted read-only, an immutable file.
pub fn check_access(path: &Path) -> io::Result<()> {
    let folder = fs::metadata(path)?.is_dir();
    let mut access = Access::READ_OK | Access::WRITE_OK;
    if folder {
        access |= Access::EXEC_OK;
    }
    Ok(accessat(CWD, path, access, AtFlags::EACCESS)?)
}

/// Returns the parts of a path below the root, the first one last.
fn parts(path: &Path) -> Vec<OsString> {
    let named = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    let mut parts: Vec<_> = named.map(|part| part.as_os_str().to_owned()).collect();
    parts.reverse();
    parts
}

fn look(part: &Path) -> Result<Option<Metadata>, PathError> {
    match fs::symlink_metadata(part) {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(PathError::Io { part: part.to_owned(), error }),
    }
}

fn trust(part: &Path, found: Option<&Metadata>, user: u32, on_the_way: bool) -> Result<(), PathError> {
    let Some(found) = found else { return Ok(()) };
    trust_owner(part, found, user)?;
    let sticky = on_the_way && found.is_dir() && found.mode() & 0o1000 != 0;
    if !sticky && others_write(found.mode(), found.gid(), user) {
        return Err(PathError::Writable { part: part.to_owned(), mode: found.mode() });
    }
    Ok(())
}

fn trust_owner(part: &Path, found: &Metadata, user: u32) -> Result<(), PathError> {
    if is_trusted(found.uid(), user) {
        return Ok(());
    }
    Err(PathError::Owner { part: part.to_owned(), owner: found.uid() })
}

const fn is_trusted(owner: u32, user: u32) -> bool {
    owner == 0 || owner == user
}

/// Whether users other than root and `user` can write to a file of this mode and group.
const fn others_write(mode: u32, group: u32, user: u32) -> bool {
    let group_is_private = group == 0 || group == user;
    mode & 0o002 != 0 || (mode & 0o020 != 0 && !group_is_private)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn root_and_the_user_are_trusted_and_their_private_groups() {
        assert!(is_trusted(0, 1000) && is_trusted(1000, 1000) && is_trusted(0, 0));
        assert!(!is_trusted(1001, 1000) && !is_trusted(1000, 0));
        for (mode, group, others) in [
            (0o755, 100, false),
            (0o775, 100, true),
            (0o775, 1000, false),
            (0o775, 0, false),
            (0o757, 1000, true),
            (0o1777, 0, true),
            (0o600, 100, false),
            (0o666, 1000, true),
        ] {
            assert_eq!(others_write(mode, group, 1000), others, "{mode:o} {group}");
        }
    }

    #[test]
    fn every_part_is_checked_and_links_are_followed() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/b/file"), "").unwrap();
        symlink("a/b/../b", root.join("relative")).unwrap();
        symlink(root.join("a"), root.join("absolute")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let check = |path: &str| check_owners(&root.join(path));
        assert_eq!(check("relative/file").unwrap(), root.join("a/b/file"));
        assert_eq!(check("absolute/b/file").unwrap(), root.join("a/b/file"));
        assert_eq!(check("dangling").unwrap(), root.join("nowhere"));
        assert_eq!(check("a/missing/too").unwrap(), root.join("a/missing/too"));
        assert!(matches!(check("loop"), Err(PathError::Io { .. })));

        fs::set_permissions(root.join("a"), Permissions::from_mode(0o757)).unwrap();
        for path in ["relative/file", "absolute", "a/missing"] {
            let error = check(path).unwrap_err();
            assert!(matches!(&error, PathError::Writable { part, .. } if *part == root.join("a")), "{path}: {error}");
        }
        // On the way the sticky bit protects what is in the folder. At the end there may be anything in it.
        fs::set_permissions(root.join("a"), Permissions::from_mode(0o1777)).unwrap();
        assert!(check("relative/file").is_ok());
        assert!(matches!(check("a"), Err(PathError::Writable { .. })));
        fs::set_permissions(root.join("a/b/file"), Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(check("relative/file"), Err(PathError::Writable { .. })));
    }
}
