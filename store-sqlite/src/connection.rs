//! Connections: how they are opened, watched and replaced.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, TransactionBehavior};
use session_core::{Error, ErrorKind, Namespace, Result};
use store_options::{check_layout, wrong};

use crate::checkpoint::Checkpointer;
use crate::schema::{self, Statements};
use crate::{Synchronous, error};

/// To what the log is cut back.
const LOG_BYTES: u32 = 64 << 20;
/// Room for the statements of a store.
const STATEMENTS: usize = 24;
/// How long to sleep between tries where SQLite itself does not wait.
const RETRY: Duration = Duration::from_millis(5);

/// Where the database is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    File(PathBuf),
    Memory,
}

/// What all connections of a store have in common.
pub(crate) struct Config {
    pub(crate) place: Place,
    pub(crate) namespace: Namespace,
    pub(crate) statements: Statements,
    pub(crate) timeout: Duration,
    pub(crate) synchronous: Synchronous,
    pub(crate) create: bool,
    pub(crate) max_page_count: Option<u32>,
}

impl Config {
    /// How long to wait for another process's lock: somewhat less than the caller waits, so that the caller learns that
    /// nothing was written, and the call is not carried out behind its back.
    fn busy_timeout(&self) -> Duration {
        self.timeout - (self.timeout / 10).min(Duration::from_millis(100))
    }
}

/// A connection, and the means to get another.
pub(crate) struct Link {
    pub(crate) config: Arc<Config>,
    writes: bool,
    checkpointer: Option<Checkpointer>,
    open: Option<Open>,
}

struct Open {
    connection: Connection,
    /// Which file it was that was opened; `None` for memory.
    file: Option<FileId>,
}

impl Link {
    /// The connection that writes. It makes or checks the tables.
    pub(crate) fn writer(config: Arc<Config>) -> Result<Self> {
        if let Place::File(path) = &config.place {
            check_path(path, config.create)?;
        }
        let mut open = Open::new(&config, true, config.create).map_err(|failure| failure.at_open())?;
        prepare_tables(&mut open.connection, &config)?;
        Ok(Self { config, writes: true, checkpointer: None, open: Some(open) })
    }

    /// A connection that only reads, of a database that has its tables.
    pub(crate) fn reader(config: Arc<Config>) -> Result<Self> {
        let open = Open::new(&config, false, false).map_err(|failure| failure.at_open())?;
        Ok(Self { config, writes: false, checkpointer: None, open: Some(open) })
    }

    /// Leaves the log of this connection, which writes, to `checkpointer`.
    pub(crate) fn checkpoint_by(&mut self, checkpointer: Checkpointer) -> Result<()> {
        if let Some(open) = &mut self.open {
            checkpointer.watch(&mut open.connection).map_err(|error| error::at_open(&error))?;
        }
        self.checkpointer = Some(checkpointer);
        Ok(())
    }

    /// A connection to the file that has the path now.
    ///
    /// On Unix a deleted file can still be read and written: to no avail, for nobody will find what is in it.
    /// So the path is looked up before each batch, and what is open is opened anew when it is another file.
    /// A file that is gone is not made again: it comes back by somebody's hand or not at all.
    pub(crate) fn ready(&mut self) -> Result<(&mut Connection, &Config)> {
        if self.in_place().is_err() {
            self.open = None;
        }
        if self.open.is_none() {
            let mut open = Open::new(&self.config, self.writes, false).map_err(|failure| failure.in_use())?;
            check_tables(&mut open.connection, &self.config)?;
            if let Some(checkpointer) = &self.checkpointer {
                checkpointer.watch(&mut open.connection).map_err(|error| error::in_use(&error))?;
            }
            tracing::info!(namespace = %self.config.namespace, "reopened the session database");
            self.open = Some(open);
        }
        match &mut self.open {
            Some(open) => Ok((&mut open.connection, &self.config)),
            None => unreachable!("it was opened above"),
        }
    }

    /// Whether what is open is still the file that the path names. To be asked after a commit, before it is reported.
    pub(crate) fn in_place(&self) -> Result<()> {
        match (&self.open, &self.config.place) {
            (_, Place::Memory) => Ok(()),
            (Some(open), Place::File(path)) if FileId::of(path).ok() == open.file && open.file.is_some() => Ok(()),
            _ => Err(Error::fixed(ErrorKind::Unavailable, "the database file was removed or replaced")),
        }
    }

    /// What `error` means. After one that may be the connection's fault the next batch has a new one.
    pub(crate) fn failed(&mut self, error: &rusqlite::Error) -> Error {
        if error::is_fatal(error) && matches!(self.config.place, Place::File(_)) {
            self.open = None;
        }
        error::in_use(error)
    }
}

/// Why there is no connection.
enum Failure {
    Sqlite(rusqlite::Error),
    Missing(io::Error),
    NoLog(String),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Failure {
    fn at_open(self) -> Error {
        match self {
            Self::Sqlite(error) => error::at_open(&error),
            Self::Missing(error) => Error::fixed(ErrorKind::Config, "the database file is missing").with_source(&error),
            Self::NoLog(mode) => Error::new(
                ErrorKind::Config,
                format!(
                    "the database needs a write-ahead log but has journal mode `{mode}`; is it on a network drive?"
                ),
            ),
        }
    }

    fn in_use(self) -> Error {
        match self {
            Self::Sqlite(error) => error::in_use(&error),
            Self::Missing(error) => {
                Error::fixed(ErrorKind::Unavailable, "the database file is gone").with_source(&error)
            }
            Self::NoLog(_) => Error::fixed(ErrorKind::Unavailable, "the database has no write-ahead log"),
        }
    }
}

impl Open {
    fn new(config: &Config, writes: bool, create: bool) -> Result<Self, Failure> {
        let (connection, file) = match &config.place {
            Place::Memory => (Connection::open_in_memory()?, None),
            Place::File(path) => {
                let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                if create {
                    flags |= OpenFlags::SQLITE_OPEN_CREATE;
                }
                let found = FileId::of(path);
                if !create && let Err(missing) = found {
                    return Err(Failure::Missing(missing));
                }
                let connection = Connection::open_with_flags(path, flags)?;
                if found.is_err() {
                    keep_private(path).map_err(Failure::Missing)?;
                }
                (connection, Some(FileId::of(path).map_err(Failure::Missing)?))
            }
        };
        connection.busy_timeout(config.busy_timeout())?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        if let Place::File(_) = config.place {
            use_log(&connection, config.timeout)?;
        }
        if writes {
            connection.pragma_update(None, "synchronous", config.synchronous.as_str())?;
            connection.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
            if let Some(pages) = config.max_page_count {
                connection.pragma_update(None, "max_page_count", pages)?;
            }
        } else {
            connection.pragma_update(None, "query_only", true)?;
        }
        Ok(Self { connection, file })
    }
}

/// Switches to the write-ahead log. SQLite waits for no lock while it does so, and several processes may start at once.
fn use_log(connection: &Connection, timeout: Duration) -> Result<(), Failure> {
    let deadline = Instant::now() + timeout;
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0)) {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => return Err(Failure::NoLog(mode)),
            Err(error) if error::is_busy(&error) && Instant::now() < deadline => thread::sleep(RETRY),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Says in words what SQLite would call "unable to open database file".
fn check_path(path: &Path, create: bool) -> Result<()> {
    let wrong = |message: &str| Err(Error::new(ErrorKind::Config, format!("{message}: {}", path.display())));
    if path.as_os_str().is_empty() {
        return wrong("the path of the database is empty");
    }
    if path.is_dir() {
        return wrong("the path of the database is a directory");
    }
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    if directory.is_some_and(|directory| !directory.is_dir()) {
        return wrong("the directory of the database does not exist");
    }
    if !create && !path.exists() {
        return wrong("there is no database file, and it was not to be created");
    }
    Ok(())
}

fn prepare_tables(connection: &mut Connection, config: &Config) -> Result<()> {
    if config.create {
        // The lock is taken before the look, so of ten processes that start at once one creates and nine find.
        let tx =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|e| error::at_open(&e))?;
        let fresh = !has_table(&tx, config.namespace.as_str()).map_err(|e| error::at_open(&e))?;
        if fresh {
            tx.execute_batch(&schema::create(&config.namespace)).map_err(|e| error::at_open(&e))?;
        }
        tx.commit().map_err(|e| error::at_open(&e))?;
    }
    check_tables(connection, config)
}

/// Whether the tables are there, made by this store, and of the layout that this release knows.
fn check_tables(connection: &mut Connection, config: &Config) -> Result<()> {
    let name = config.namespace.as_str();
    if !has_table(connection, name).map_err(|e| error::at_open(&e))? {
        return wrong(format!("there is no table `{name}`; create it with what SqliteStore::schema gives"));
    }
    let layout = if has_table(connection, schema::LAYOUTS_TABLE).map_err(|e| error::at_open(&e))? {
        connection.query_row(schema::GET_LAYOUT, [name], |row| row.get(0)).optional().map_err(|e| error::at_open(&e))?
    } else {
        None
    };
    check_layout(format_args!("the table `{name}`"), layout, schema::LAYOUT)?;
    for statement in config.statements.all() {
        connection.prepare_cached(statement).map_err(|e| error::at_open(&e))?;
    }
    Ok(())
}

fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    connection.query_row(schema::HAS_TABLE, [name], |row| row.get(0))
}

/// A new file is its owner's alone; SQLite gives its log the same mode. By path, since closing a handle would end SQLite's locks.
#[cfg(unix)]
fn keep_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
fn keep_private(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Which file a path names. SQLite's locks end when any handle of the file is closed, so it is asked without opening.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    #[cfg(unix)]
    fn of(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt as _;
        fs::metadata(path).map(|file| Self { device: file.dev(), inode: file.ino() })
    }

    /// Elsewhere an open file cannot be replaced: that it exists is enough.
    #[cfg(not(unix))]
    fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|_| Self { device: 0, inode: 0 })
    }
}
