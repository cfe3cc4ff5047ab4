//! The files of a database, and the note of which log and index belong to which database file.
//!
//! SQLite finds the log and the index by their names. After `mv backup.db sessions.db` it would apply the log of the old file to the
//! new one, which damages it. So each store that opens the database notes the three files by their identities in a file beside them.
//! A log or an index that the note gives to another database file is set aside before SQLite opens the new one.
//!
//! The lock on the note makes the processes open one after the other. It is no lock on the database.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use session_store_kit::{is_at, open_private};

/// First line of a note, before the identities.
const NOTE_PREFIX: &str = "store-sqlite files 1";
/// Longest note that is read.
const NOTE_LEN: u64 = 1024;
/// Pause between attempts to take the lock.
const RETRY: Duration = Duration::from_millis(5);

/// Identity of the file that a path names.
///
/// Determined without opening the file, because closing any handle of a database file would release SQLite's locks.
/// The time at which the file was made distinguishes it from a later file with the same number. Some file systems do not tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
    made: u128,
}

impl FileId {
    #[cfg(unix)]
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let file = fs::metadata(path)?;
        let made = file.created().ok().and_then(|made| made.duration_since(SystemTime::UNIX_EPOCH).ok());
        Ok(Self { device: file.dev(), inode: file.ino(), made: made.map_or(0, |made| made.as_nanos()) })
    }

    /// Checks only that the file exists: on other systems an open file cannot be replaced.
    #[cfg(not(unix))]
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|_| Self { device: 0, inode: 0, made: 0 })
    }

    fn if_any(path: &Path) -> io::Result<Option<Self>> {
        match Self::of(path) {
            Ok(file) => Ok(Some(file)),
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read(words: &[&str]) -> Option<Self> {
        let [device, inode, made] = words else { return None };
        Some(Self { device: device.parse().ok()?, inode: inode.parse().ok()?, made: made.parse().ok()? })
    }
}

/// Paths of the files of one database. Links are resolved, as SQLite does before it appends to the name.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    pub(crate) database: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) index: PathBuf,
    note: PathBuf,
    old_log: PathBuf,
}

impl Paths {
    /// Returns the paths for the database file that `path` names. The file must exist.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let database = fs::canonicalize(path)?;
        let beside = |ending: &str| {
            let mut name = OsString::from(&database);
            name.push(ending);
            PathBuf::from(name)
        };
        let (log, index, note, old_log) = (beside("-wal"), beside("-shm"), beside("-files"), beside("-wal.old"));
        Ok(Self { database, log, index, note, old_log })
    }
}

/// Identities of the files of one database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Files {
    database: FileId,
    log: Option<FileId>,
    index: Option<FileId>,
}

impl Files {
    pub(crate) fn at(paths: &Paths) -> io::Result<Self> {
        Ok(Self {
            database: FileId::of(&paths.database)?,
            log: FileId::if_any(&paths.log)?,
            index: FileId::if_any(&paths.index)?,
        })
    }

    /// Whether `path` and the log's path still name these files.
    pub(crate) fn are_at(&self, path: &Path, paths: &Paths) -> bool {
        FileId::of(path).ok() == Some(self.database) && FileId::of(&paths.log).ok() == self.log
    }

    pub(crate) fn same_database(&self, other: &Self) -> bool {
        self.database == other.database
    }

    fn write(&self) -> String {
        let mut text = String::from(NOTE_PREFIX);
        text.push('\n');
        for (name, file) in [("database", Some(self.database)), ("log", self.log), ("index", self.index)] {
            if let Some(FileId { device, inode, made }) = file {
                text.push_str(&format!("{name} {device} {inode} {made}\n"));
            }
        }
        text + "end\n"
    }

    /// Reads a note. A note that was not written to its end is none.
    fn read(text: &str) -> Option<Self> {
        let mut lines = text.strip_prefix(NOTE_PREFIX)?.strip_suffix("\nend\n")?.lines().skip(1);
        let (mut database, mut log, mut index) = (None, None, None);
        lines.try_for_each(|line| {
            let words: Vec<_> = line.split(' ').collect();
            let file = Some(FileId::read(&words[1..])?);
            match words[0] {
                "database" => database = file,
                "log" => log = file,
                "index" => index = file,
                _ => return None,
            }
            Some(())
        })?;
        Some(Self { database: database?, log, index })
    }
}

/// What has to happen to the files at the paths before SQLite may open them.
#[derive(Debug, PartialEq, Eq)]
enum Remains {
    /// They belong together.
    None,
    /// The log, the index or both belong to a database file that was replaced.
    Replaced { log: bool, index: bool },
    /// The index belongs to this database file and to a log that was removed. Processes that still use both hold committed pages.
    LogRemoved,
}

impl Remains {
    fn of(noted: &Files, now: &Files) -> Self {
        let old_log = noted.log.is_some() && now.log == noted.log && !now.same_database(noted);
        let old_index = noted.index.is_some() && now.index == noted.index;
        match (old_log, old_index) {
            _ if old_index && now.same_database(noted) && now.log != noted.log => Self::LogRemoved,
            (log, index) if log || (index && !now.same_database(noted)) => Self::Replaced { log, index },
            _ => Self::None,
        }
    }
}

/// The note beside a database, locked.
pub(crate) struct Note {
    file: File,
    noted: Option<Files>,
}

/// Reason why the files cannot be opened.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The system refused an operation on a file: what was tried, and on which file.
    Io(&'static str, PathBuf, io::Error),
    /// Another process held the lock for the whole time-out.
    Locked,
    /// See [`Remains::LogRemoved`]; the path is the index's.
    LogRemoved(PathBuf),
}

impl Note {
    /// Locks and reads the note, and sets aside what the database file that it names has left behind.
    pub(crate) fn open(paths: &Paths, deadline: Instant) -> Result<Self, Refusal> {
        let (mut file, noted) = loop {
            let file = open_private(&paths.note).map_err(|error| Refusal::Io("open", paths.note.clone(), error))?;
            let refused = |error| Refusal::Io("lock", paths.note.clone(), error);
            match file.try_lock() {
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    thread::sleep(RETRY);
                    continue;
                }
                Err(TryLockError::WouldBlock) => return Err(Refusal::Locked),
                Err(TryLockError::Error(error)) => return Err(refused(error)),
                Ok(()) => {}
            }
            // A lock on a note that was removed meanwhile excludes no other process.
            if is_at(&file, &paths.note).map_err(refused)? {
                break (file, None::<Files>);
            }
        };
        let mut text = String::new();
        let read = (&mut file).take(NOTE_LEN).read_to_string(&mut text);
        let noted = noted.or_else(|| read.ok().and_then(|_| Files::read(&text)));
        if let Some(noted) = &noted {
            clear(paths, noted)?;
        }
        Ok(Self { file, noted })
    }

    /// Notes the files that SQLite has opened, and unlocks the note.
    pub(crate) fn write(mut self, files: &Files) -> io::Result<()> {
        if self.noted.as_ref() == Some(files) {
            return Ok(());
        }
        self.file.rewind()?;
        self.file.set_len(0)?;
        self.file.write_all(files.write().as_bytes())
    }
}

/// Sets aside a log and removes an index that belong to another database file than the one at the path.
fn clear(paths: &Paths, noted: &Files) -> Result<(), Refusal> {
    let now = Files::at(paths).map_err(|error| Refusal::Io("examine", paths.database.clone(), error))?;
    match Remains::of(noted, &now) {
        Remains::None => Ok(()),
        Remains::LogRemoved => Err(Refusal::LogRemoved(paths.index.clone())),
        Remains::Replaced { log, index } => {
            // The index first: SQLite makes a new one from a log, but believes an index without its log.
            if index {
                fs::remove_file(&paths.index).map_err(|error| Refusal::Io("remove", paths.index.clone(), error))?;
            }
            if log {
                fs::rename(&paths.log, &paths.old_log)
                    .map_err(|error| Refusal::Io("rename", paths.log.clone(), error))?;
            }
            tracing::warn!(
                database = %paths.database.display(),
                old_log = %paths.old_log.display(),
                "the session database was replaced; the log of the old file was set aside"
            );
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn file(inode: u64) -> FileId {
        FileId { device: 7, inode, made: 9 }
    }

    const fn files(database: u64, log: Option<u64>, index: Option<u64>) -> Files {
        const fn some(inode: Option<u64>) -> Option<FileId> {
            match inode {
                Some(inode) => Some(file(inode)),
                None => None,
            }
        }
        Files { database: file(database), log: some(log), index: some(index) }
    }

    #[test]
    fn a_note_comes_back_and_half_a_note_is_none() {
        for files in [files(1, Some(2), Some(3)), files(1, None, Some(3)), files(1, None, None)] {
            let text = files.write();
            assert_eq!(Files::read(&text), Some(files));
            for end in 0..text.len() {
                assert_eq!(Files::read(&text[..end]), None, "{end}");
            }
        }
    }

    #[test]
    fn what_belongs_to_another_database_file_is_known_by_the_note() {
        let noted = files(1, Some(2), Some(3));
        for (now, remains) in [
            (noted, Remains::None),
            (files(1, None, None), Remains::None),
            (files(1, Some(2), None), Remains::None),
            // A copy of all three files, as a restored volume is.
            (files(4, Some(5), Some(6)), Remains::None),
            (files(4, None, None), Remains::None),
            (files(4, Some(2), Some(3)), Remains::Replaced { log: true, index: true }),
            (files(4, Some(2), None), Remains::Replaced { log: true, index: false }),
            (files(4, None, Some(3)), Remains::Replaced { log: false, index: true }),
            (files(4, Some(5), Some(3)), Remains::Replaced { log: false, index: true }),
            (files(1, None, Some(3)), Remains::LogRemoved),
            (files(1, Some(5), Some(3)), Remains::LogRemoved),
        ] {
            assert_eq!(Remains::of(&noted, &now), remains, "{now:?}");
        }
    }
}
