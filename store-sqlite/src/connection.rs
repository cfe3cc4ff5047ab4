//! Opening, checking and replacing connections.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, TransactionBehavior};
use session_core::{Error, ErrorKind, Result};
use session_store_kit::{check_layout, private, wrong};

use crate::checkpoint::Checkpointer;
use crate::config::{Config, Location};
use crate::error::OpenError;
use crate::files::{Files, Note, Paths};
use crate::{access, error, schema, table};

/// Size to which the log is truncated after a checkpoint (`journal_size_limit`).
const LOG_BYTES: u32 = 64 << 20;
/// Capacity of a connection's statement cache, enough for all statements of a store.
const STATEMENTS: usize = 24;
/// Pause between attempts where SQLite itself does not wait for a lock.
const RETRY: Duration = Duration::from_millis(5);

/// The connections of a store, and their configuration.
pub(crate) struct Connections {
    pub(crate) config: Config,
    /// One for each thread. A thread holds its own lock while it uses the connection.
    slots: Mutex<Vec<Slot>>,
}

type Slot = Arc<Mutex<Option<OpenConnection>>>;

/// A connection that is reopened when needed.
pub(crate) struct ManagedConnection {
    store: Arc<Connections>,
    writes: bool,
    checkpointer: Option<Checkpointer>,
    slot: Slot,
}

struct OpenConnection {
    connection: Connection,
    /// The files that were opened, with their paths; `None` in memory.
    files: Option<(Paths, Files)>,
}

/// A connection to the file that the path names, for one batch.
pub(crate) struct Ready<'a> {
    pub(crate) config: &'a Config,
    open: MutexGuard<'a, Option<OpenConnection>>,
}

impl Connections {
    pub(crate) fn new(config: Config) -> Arc<Self> {
        Arc::new(Self { config, slots: Mutex::default() })
    }

    /// Opens the connection that writes, and creates or checks the tables.
    pub(crate) fn writer(self: &Arc<Self>) -> Result<ManagedConnection> {
        let config = &self.config;
        if let Location::File(path) = &config.location {
            check_path(path, config.create)?;
        }
        let mut open = OpenConnection::new(config, true, config.create).map_err(|failure| failure.at_open(config))?;
        prepare_tables(&mut open.connection, config)?;
        Ok(self.manage(open, true))
    }

    /// Opens a connection that only reads. The database must have its tables.
    pub(crate) fn reader(self: &Arc<Self>) -> Result<ManagedConnection> {
        let open = OpenConnection::new(&self.config, false, false).map_err(|failure| failure.at_open(&self.config))?;
        Ok(self.manage(open, false))
    }

    fn manage(self: &Arc<Self>, open: OpenConnection, writes: bool) -> ManagedConnection {
        let slot = Arc::new(Mutex::new(Some(open)));
        lock(&self.slots).push(Arc::clone(&slot));
        ManagedConnection { store: Arc::clone(self), writes, checkpointer: None, slot }
    }

    /// Closes the connections whose threads are idle. The others find out before their next batch that the file was replaced.
    ///
    /// The last connection to a database file folds its log in and removes its index, which a new connection may wait for.
    fn close_idle(&self) {
        for slot in &*lock(&self.slots) {
            if let Ok(mut idle) = slot.try_lock() {
                *idle = None;
            }
        }
    }
}

impl ManagedConnection {
    /// Lets `checkpointer` watch the log of this connection, which writes.
    pub(crate) fn watch_with(&mut self, checkpointer: Checkpointer) -> Result<()> {
        if let Some(open) = &mut *lock(&self.slot) {
            checkpointer.watch(&mut open.connection).map_err(|error| error::at_open(&error, &self.store.config))?;
        }
        self.checkpointer = Some(checkpointer);
        Ok(())
    }

    /// Returns a connection to the file that the path names now.
    ///
    /// On Unix a file that was removed or replaced can still be read and written, but its contents are lost when it is closed.
    /// Before each batch that reads, the paths of the database and its log are therefore looked up. If they name other files, all connections
    /// of the store are closed and this one is opened again. A missing file is not created again; it has to be restored.
    pub(crate) fn ready(&mut self) -> Result<Ready<'_>> {
        self.looked_up(true)
    }

    /// Returns the connection without looking the paths up, for writes, which [look](Ready::is_in_place) after their commit.
    pub(crate) fn for_writing(&mut self) -> Result<Ready<'_>> {
        self.looked_up(false)
    }

    fn looked_up(&mut self, look: bool) -> Result<Ready<'_>> {
        let config = &self.store.config;
        let mut open = lock(&self.slot);
        if look && open.as_ref().is_some_and(|open| !open.is_in_place(config)) {
            *open = None;
            self.store.close_idle();
        }
        if open.is_none() {
            let mut fresh = OpenConnection::new(config, self.writes, false).map_err(|failure| failure.in_use())?;
            check_tables(&mut fresh.connection, config)?;
            if let Some(checkpointer) = &self.checkpointer {
                checkpointer.watch(&mut fresh.connection).map_err(|error| error::in_use(&error))?;
            }
            tracing::info!(namespace = %config.namespace, "reopened the session database");
            *open = Some(fresh);
        }
        Ok(Ready { config, open })
    }

    /// Checkpoints the log without waiting for other connections. Pages that an old snapshot still needs are left for the next time.
    pub(crate) fn checkpoint(&mut self) -> Result<()> {
        let mut ready = self.ready()?;
        let done = ready.connection().query_row("pragma wal_checkpoint(passive)", [], |_| Ok(()));
        done.map_err(|error| ready.failed(&error))
    }
}

impl Drop for ManagedConnection {
    /// Closes the connection, although the list of the store's connections still has its slot.
    fn drop(&mut self) {
        *lock(&self.slot) = None;
    }
}

impl Ready<'_> {
    pub(crate) fn connection(&mut self) -> &mut Connection {
        match &mut *self.open {
            Some(open) => &mut open.connection,
            None => unreachable!("it is open until the batch ends"),
        }
    }

    /// Whether the open files are still those that the paths name. Ask after a commit and before reporting it.
    pub(crate) fn is_in_place(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.is_in_place(self.config))
    }

    /// Converts `error`. If the connection may be the cause, it is closed, and the next batch opens a new one.
    pub(crate) fn failed(mut self, error: &rusqlite::Error) -> Error {
        if error::is_fatal(error) && matches!(self.config.location, Location::File(_)) {
            *self.open = None;
        }
        error::in_use(error)
    }
}

/// Locks a list or a connection. A panic in a batch leaves a connection that rolls back what it had begun.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl OpenConnection {
    fn new(config: &Config, writes: bool, create: bool) -> Result<Self, OpenError> {
        match &config.location {
            Location::Memory => {
                let connection = Connection::open_in_memory()?;
                set_up(&connection, config, writes)?;
                Ok(Self { connection, files: None })
            }
            Location::File(path) => Self::to_file(path, config, writes, create),
        }
    }

    fn to_file(path: &Path, config: &Config, writes: bool, create: bool) -> Result<Self, OpenError> {
        let place = access::check(path)?;
        if create {
            create_private(&place).map_err(|error| OpenError::Io("create", place.clone(), error))?;
        }
        let paths = Paths::of(&place).map_err(|error| OpenError::Io("find", place, error))?;
        access::check_files(&paths)?;
        let note = Note::open(&paths, Instant::now() + config.busy_timeout())?;
        let examine = |error| OpenError::Io("examine", paths.database.clone(), error);
        let before = Files::at(&paths).map_err(examine)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&paths.database, flags)?;
        set_up(&connection, config, writes)?;
        // Opens the log and the index, which this connection then keeps open.
        connection.query_row("select count(*) from sqlite_schema", [], |_| Ok(()))?;
        let files = Files::at(&paths).map_err(examine)?;
        if !files.same_database(&before) {
            return Err(OpenError::Moved);
        }
        note.write(&files).map_err(|error| OpenError::Io("write the note beside", paths.database.clone(), error))?;
        Ok(Self { connection, files: Some((paths, files)) })
    }

    /// Whether the paths still name the files that this connection has open.
    fn is_in_place(&self, config: &Config) -> bool {
        match (&self.files, &config.location) {
            (Some((paths, files)), Location::File(path)) => files.are_at(path, paths),
            _ => true,
        }
    }
}

fn set_up(connection: &Connection, config: &Config, writes: bool) -> Result<(), OpenError> {
    connection.busy_timeout(config.busy_timeout())?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    if let Location::File(_) = config.location {
        use_log(connection, config.timeout)?;
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
    Ok(())
}

/// Creates the database file for its owner only, whatever the process's umask. SQLite gives the log and the index the same mode.
fn create_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    private(&mut options);
    match options.open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        // An empty file, which no connection has open yet, so closing it releases no lock.
        _ => Ok(()),
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
    match path.parent().map(Path::try_exists) {
        Some(Ok(false)) => return wrong("the directory of the database does not exist; make it"),
        // Anything else that is wrong with the directory is found by the check of its owners.
        _ if path.exists() && !path.is_file() => {
            return wrong("the path of the database names a device or a socket; name a file");
        }
        _ => {}
    }
    if !create && !path.exists() {
        return wrong("there is no database file; set `create`, or restore the file");
    }
    Ok(())
}

fn prepare_tables(connection: &mut Connection, config: &Config) -> Result<()> {
    if config.create {
        // The lock is taken before the check, so when several processes start at once, one creates the tables and the others find them.
        let tx = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|e| error::at_open(&e, config))?;
        let fresh = !has_table(&tx, config.namespace.as_str()).map_err(|e| error::at_open(&e, config))?;
        if fresh {
            tx.execute_batch(&schema::create(&config.namespace)).map_err(|e| error::at_open(&e, config))?;
        }
        tx.commit().map_err(|e| error::at_open(&e, config))?;
    }
    check_tables(connection, config)
}

/// Checks that the tables exist, were made by this store, and have the layout of this release.
fn check_tables(connection: &mut Connection, config: &Config) -> Result<()> {
    let name = config.namespace.as_str();
    if !has_table(connection, name).map_err(|e| error::at_open(&e, config))? {
        return wrong(format!("there is no table `{name}`; run the SQL from SqliteStore::schema"));
    }
    let layout = if has_table(connection, schema::LAYOUTS_TABLE).map_err(|e| error::at_open(&e, config))? {
        connection
            .query_row(schema::GET_LAYOUT, [name], |row| row.get(0))
            .optional()
            .map_err(|e| error::at_open(&e, config))?
    } else {
        None
    };
    check_layout(format_args!("the table `{name}`"), layout, schema::LAYOUT)?;
    if let Some(problem) = table::problem(connection, name).map_err(|e| error::at_open(&e, config))? {
        return match &config.location {
            // The path comes first, because a problem may end with the statement that mends it.
            Location::File(path) => wrong(format!("in {}: {problem}", path.display())),
            Location::Memory => wrong(problem),
        };
    }
    for statement in config.statements.all() {
        connection.prepare_cached(statement).map_err(|e| error::at_open(&e, config))?;
    }
    Ok(())
}

fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    connection.query_row(schema::HAS_TABLE, [name], |row| row.get(0))
}
