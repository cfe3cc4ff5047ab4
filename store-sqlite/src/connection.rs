//! Opening, checking and replacing connections.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, TransactionBehavior};
use session_core::{Error, ErrorKind, Result};
use session_store_kit::{check_layout, wrong};

use crate::checkpoint::Checkpointer;
use crate::config::{Config, Location};
use crate::{error, schema, table};

/// Size to which the log is truncated after a checkpoint (`journal_size_limit`).
const LOG_BYTES: u32 = 64 << 20;
/// Capacity of a connection's statement cache, enough for all statements of a store.
const STATEMENTS: usize = 24;
/// Pause between attempts where SQLite itself does not wait for a lock.
const RETRY: Duration = Duration::from_millis(5);

/// A connection that is reopened when needed.
pub(crate) struct ManagedConnection {
    pub(crate) config: Arc<Config>,
    writes: bool,
    checkpointer: Option<Checkpointer>,
    open: Option<OpenConnection>,
}

struct OpenConnection {
    connection: Connection,
    /// Identity of the file that was opened; `None` in memory.
    file: Option<FileId>,
}

impl ManagedConnection {
    /// Opens the connection that writes, and creates or checks the tables.
    pub(crate) fn writer(config: Arc<Config>) -> Result<Self> {
        if let Location::File(path) = &config.location {
            check_path(path, config.create)?;
        }
        let mut open = OpenConnection::new(&config, true, config.create).map_err(|failure| failure.at_open())?;
        prepare_tables(&mut open.connection, &config)?;
        Ok(Self { config, writes: true, checkpointer: None, open: Some(open) })
    }

    /// Opens a connection that only reads. The database must have its tables.
    pub(crate) fn reader(config: Arc<Config>) -> Result<Self> {
        let open = OpenConnection::new(&config, false, false).map_err(|failure| failure.at_open())?;
        Ok(Self { config, writes: false, checkpointer: None, open: Some(open) })
    }

    /// Lets `checkpointer` watch the log of this connection, which writes.
    pub(crate) fn watch_with(&mut self, checkpointer: Checkpointer) -> Result<()> {
        if let Some(open) = &mut self.open {
            checkpointer.watch(&mut open.connection).map_err(|error| error::at_open(&error))?;
        }
        self.checkpointer = Some(checkpointer);
        Ok(())
    }

    /// Returns a connection to the file that the path names now.
    ///
    /// On Unix a deleted file can still be read and written, but its contents are lost when it is closed.
    /// Before each batch the path is therefore looked up, and the connection is reopened if it names another file.
    /// A missing file is not created again; it has to be restored.
    pub(crate) fn ready(&mut self) -> Result<(&mut Connection, &Config)> {
        if self.check_in_place().is_err() {
            self.open = None;
        }
        if self.open.is_none() {
            let mut open = OpenConnection::new(&self.config, self.writes, false).map_err(|failure| failure.in_use())?;
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

    /// Checks that the open file is still the file that the path names. Call after a commit and before reporting it.
    pub(crate) fn check_in_place(&self) -> Result<()> {
        match (&self.open, &self.config.location) {
            (_, Location::Memory) => Ok(()),
            (Some(open), Location::File(path)) if FileId::of(path).ok() == open.file && open.file.is_some() => Ok(()),
            _ => {
                Err(Error::fixed(ErrorKind::Unavailable, "the database file was removed or replaced while it was open"))
            }
        }
    }

    /// Checkpoints the log without waiting for other connections. Pages that an old snapshot still needs are left for the next time.
    pub(crate) fn checkpoint(&mut self) -> Result<()> {
        let (connection, _) = self.ready()?;
        let done = connection.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(()));
        done.map_err(|error| self.failed(&error))
    }

    /// Converts `error`. If the connection may be the cause, it is closed, and the next batch opens a new one.
    pub(crate) fn failed(&mut self, error: &rusqlite::Error) -> Error {
        if error::is_fatal(error) && matches!(self.config.location, Location::File(_)) {
            self.open = None;
        }
        error::in_use(error)
    }
}

/// Reason why a connection could not be opened.
enum OpenError {
    Sqlite(rusqlite::Error),
    Missing(io::Error),
    NoLog(String),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl OpenError {
    fn at_open(self) -> Error {
        match self {
            Self::Sqlite(error) => error::at_open(&error),
            Self::Missing(error) => Error::fixed(ErrorKind::Config, "the database file is missing").with_source(&error),
            Self::NoLog(mode) => Error::new(
                ErrorKind::Config,
                format!("the database needs a write-ahead log but has journal mode `{mode}`; move it to a local drive"),
            ),
        }
    }

    fn in_use(self) -> Error {
        match self {
            Self::Sqlite(error) => error::in_use(&error),
            Self::Missing(error) => {
                Error::fixed(ErrorKind::Unavailable, "the database file was removed; restore it").with_source(&error)
            }
            Self::NoLog(_) => Error::fixed(ErrorKind::Unavailable, "the database has no write-ahead log"),
        }
    }
}

impl OpenConnection {
    fn new(config: &Config, writes: bool, create: bool) -> Result<Self, OpenError> {
        let (connection, file) = match &config.location {
            Location::Memory => (Connection::open_in_memory()?, None),
            Location::File(path) => {
                let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                if create {
                    flags |= OpenFlags::SQLITE_OPEN_CREATE;
                }
                let found = FileId::of(path);
                if !create && let Err(missing) = found {
                    return Err(OpenError::Missing(missing));
                }
                let connection = Connection::open_with_flags(path, flags)?;
                if found.is_err() {
                    keep_private(path).map_err(OpenError::Missing)?;
                }
                (connection, Some(FileId::of(path).map_err(OpenError::Missing)?))
            }
        };
        connection.busy_timeout(config.busy_timeout())?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        if let Location::File(_) = config.location {
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

/// Switches the database to a write-ahead log.
///
/// Retries while the database is locked, because SQLite does not wait for locks here and several processes may start at once.
fn use_log(connection: &Connection, timeout: Duration) -> Result<(), OpenError> {
    let deadline = Instant::now() + timeout;
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0)) {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => return Err(OpenError::NoLog(mode)),
            Err(error) if error::is_busy(&error) && Instant::now() < deadline => thread::sleep(RETRY),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Checks the path, so that the error says more than SQLite's "unable to open database file".
fn check_path(path: &Path, create: bool) -> Result<()> {
    let wrong = |message: &str| Err(Error::new(ErrorKind::Config, format!("{message}: {}", path.display())));
    if path.as_os_str().is_empty() {
        return wrong("the path of the database is empty; give one, such as /var/lib/shop.db");
    }
    if path.is_dir() {
        return wrong("the path of the database is a directory; name a file in it");
    }
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    if directory.is_some_and(|directory| !directory.is_dir()) {
        return wrong("the directory of the database does not exist; make it");
    }
    if !create && !path.exists() {
        return wrong("there is no database file; set `create`, or restore the file");
    }
    Ok(())
}

fn prepare_tables(connection: &mut Connection, config: &Config) -> Result<()> {
    if config.create {
        // The lock is taken before the check, so when several processes start at once, one creates the tables and the others find them.
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

/// Checks that the tables exist, were made by this store, and have the layout of this release.
fn check_tables(connection: &mut Connection, config: &Config) -> Result<()> {
    let name = config.namespace.as_str();
    if !has_table(connection, name).map_err(|e| error::at_open(&e))? {
        return wrong(format!("there is no table `{name}`; run the SQL from SqliteStore::schema"));
    }
    let layout = if has_table(connection, schema::LAYOUTS_TABLE).map_err(|e| error::at_open(&e))? {
        connection.query_row(schema::GET_LAYOUT, [name], |row| row.get(0)).optional().map_err(|e| error::at_open(&e))?
    } else {
        None
    };
    check_layout(format_args!("the table `{name}`"), layout, schema::LAYOUT)?;
    if let Some(problem) = table::problem(connection, name).map_err(|e| error::at_open(&e))? {
        return wrong(problem);
    }
    for statement in config.statements.all() {
        connection.prepare_cached(statement).map_err(|e| error::at_open(&e))?;
    }
    Ok(())
}

fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    connection.query_row(schema::HAS_TABLE, [name], |row| row.get(0))
}

/// Restricts a new file to its owner; SQLite gives its log the same mode.
///
/// Sets the mode by path, because closing another handle of the file would release SQLite's locks.
#[cfg(unix)]
fn keep_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
fn keep_private(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Identity of the file that a path names.
///
/// Determined without opening the file, because closing any handle of it would release SQLite's locks.
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

    /// Checks only that the file exists: on other systems an open file cannot be replaced.
    #[cfg(not(unix))]
    fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|_| Self { device: 0, inode: 0 })
    }
}
