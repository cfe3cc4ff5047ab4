//! Builder of a store.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::time::Duration;

use session_core::{Error, Namespace, Result};
use session_store_kit::{PasswordSource, Settings, TIMED_OUT, UrlSettings, setters, waiting, within, wrong};
use sqlx::Database;
use tokio::time::{Instant, timeout_at};

use crate::connecting::Connecting;
use crate::dialect::{Connection, Dialect};
use crate::places::Purpose;
use crate::pool::{Options, Pool, Source};
use crate::pooler::Pooler;
use crate::store::{Bounds, SqlStore};
use crate::unconnected::unconnected;

/// A store on one database, as a [`SqlStoreBuilder`] opens it.
///
/// The methods with a connection run when a store is opened: first [`inspect`](Self::inspect), then
/// [`check_tables`](Self::check_tables). All of them together may take the time-out of a call.
pub trait SqlBackend: From<SqlStore<Self::Dialect>> {
    /// Statements of the database, and the meaning of its errors.
    type Dialect: Dialect;

    /// Checks a namespace, whose name is also that of the table. The default allows every [`Namespace`].
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) if the database does not allow a table of this name.
    fn namespace(name: &str) -> Result<Namespace> {
        Namespace::new(name)
    }

    /// Returns the source of the store's own connections to the first of `servers` that takes writes, through `pooler`. Calls may take
    /// `timeout`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) for options that the pooler does not pass on.
    fn source(servers: Vec<Options<Driver<Self>>>, timeout: Duration, pooler: Pooler) -> Result<Source<Driver<Self>>>;

    /// Returns the options of a connection with another password.
    fn with_password(options: Options<Driver<Self>>, password: &str) -> Options<Driver<Self>>;

    /// Returns host and port, or the socket, as an error names them.
    fn address(options: &Options<Driver<Self>>) -> String;

    /// Whether this error of a new connection shows that a pooler stands between, when it was made for [`Pooler::None`].
    fn shows_pooler(error: &sqlx::Error) -> bool {
        let _ = error;
        false
    }

    /// Translates an error of a store that is being opened.
    fn at_open(error: &sqlx::Error) -> Error;

    /// Checks the server. Returns the statements for the namespace, and `bounds` with the limits of this server.
    fn inspect(
        connection: &mut Connection<Self::Dialect>,
        namespace: &Namespace,
        bounds: Bounds,
    ) -> impl Future<Output = Result<(Self::Dialect, Bounds)>> + Send;

    /// Checks that the tables belong to this store, have a layout that it knows, and may be used by this user.
    /// If they are missing, returns the error that says so.
    fn check_tables(
        connection: &mut Connection<Self::Dialect>,
        namespace: &Namespace,
        bounds: &Bounds,
    ) -> impl Future<Output = Result<Option<Error>>> + Send;

    /// Creates the tables. Other clients may do the same at this moment.
    fn create_tables(
        connection: &mut Connection<Self::Dialect>,
        namespace: &Namespace,
        bounds: &Bounds,
    ) -> impl Future<Output = Result<()>> + Send;
}

/// A backend that works behind a [`Pooler`], and whose tables are in a schema of their own if asked.
pub trait SqlBehindPooler: SqlBackend {}

type Driver<S> = <<S as SqlBackend>::Dialect as Dialect>::Database;

/// Builder of a store in an SQL database.
///
/// ```no_run
/// # use session_core::Result;
/// use session_core::seconds;
/// use session_store_sqlx::{SqlBackend, SqlStoreBuilder};
///
/// async fn open<S: SqlBackend>(builder: SqlStoreBuilder<S>) -> Result<S> {
///     builder.namespace("web_sessions").timeout(seconds(2)).open().await
/// }
/// ```
#[must_use = "a builder does nothing until the store is opened"]
pub struct SqlStoreBuilder<S: SqlBackend> {
    target: Target<Driver<S>>,
    /// Servers that are tried after the target.
    others: Vec<Options<Driver<S>>>,
    settings: Settings,
    create: bool,
    pool: usize,
    connecting: Option<Duration>,
    password: Option<PasswordSource>,
    /// `None` to find out.
    pooler: Option<Pooler>,
    schema: Option<String>,
    store: PhantomData<fn() -> S>,
}

enum Target<DB: Database> {
    Server(Box<Options<DB>>),
    Pool(sqlx::Pool<DB>),
}

impl<S: SqlBackend> SqlStoreBuilder<S> {
    fn new(target: Target<Driver<S>>) -> Self {
        Self {
            target,
            others: Vec::new(),
            settings: Settings::new(),
            create: true,
            pool: 8,
            connecting: None,
            password: None,
            pooler: None,
            schema: None,
            store: PhantomData,
        }
    }

    /// Returns a builder of a store with connections of its own.
    pub fn on_server(options: Options<Driver<S>>) -> Self {
        Self::new(Target::Server(Box::new(options)))
    }

    /// Returns a builder of a store on a pool that the application already has.
    pub fn on_pool(pool: sqlx::Pool<Driver<S>>) -> Self {
        let size = pool.options().get_max_connections() as usize;
        Self::new(Target::Pool(pool)).pool(size.clamp(1, 8))
    }

    /// Adds a server that is used if those before it do not answer or take no writes, such as the standby of a primary.
    ///
    /// Each new connection tries the servers in their order, and begins with the one that took the last connection. An attempt takes at
    /// most its share of the time-out.
    ///
    /// ```no_run
    /// # use session_core::Result;
    /// # use session_store_sqlx::{Options, SqlBackend, SqlStoreBuilder, Dialect};
    /// # type Server<S> = Options<<<S as SqlBackend>::Dialect as Dialect>::Database>;
    /// async fn open<S: SqlBackend>(primary: Server<S>, standby: Server<S>) -> Result<S> {
    ///     SqlStoreBuilder::on_server(primary).or_server(standby).open().await
    /// }
    /// ```
    pub fn or_server(mut self, options: Options<Driver<S>>) -> Self {
        self.others.push(options);
        self
    }

    /// Sets the options that a URL gives.
    pub fn url_settings(mut self, given: UrlSettings) -> Self {
        given.put(&mut self.settings, &mut self.create, &mut self.pool);
        self
    }

    setters! {
        /// It is the table's name.
        namespace;
        /// Opening the store takes as long at most. On connections of the store's own, the server ends statements and waits for
        /// locks when their calls do.
        timeout;
        /// If not, a migration tool can create the tables with the SQL that the store's function `schema` returns.
        create;
        /// Default: 8. A few connections are enough because calls share batches. More connections make smaller batches.
        pool;
        /// It applies to each kind of call separately.
        queue;
        /// Each attempt may take the time-out of a call. A wrong password or another mistake is not retried.
        wait;
    }

    /// Sets how long one attempt to connect may take. Default, and maximum: the time-out of a call.
    ///
    /// It applies to connections of the store's own.
    pub fn connect_timeout(mut self, limit: Option<Duration>) -> Self {
        self.connecting = limit;
        self
    }

    /// Sets a function that returns the password for each new connection: a token that expires, or a secret that is rotated.
    ///
    /// It replaces the password of the URL or of the options. Its time counts as time of connecting. If it fails while the store is in
    /// use, the call fails with [`Unavailable`](session_core::ErrorKind::Unavailable). Connections that are open already stay open
    /// for up to half an hour.
    ///
    /// ```no_run
    /// # use session_core::Result;
    /// # use session_store_sqlx::{SqlBackend, SqlStoreBuilder};
    /// # async fn read_secret() -> Result<String> { Ok(String::new()) }
    /// async fn open<S: SqlBackend>(builder: SqlStoreBuilder<S>) -> Result<S> {
    ///     builder.password_from(|| async { read_secret().await }).open().await
    /// }
    /// ```
    pub fn password_from<F, A>(mut self, ask: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<String>> + Send + 'static,
    {
        self.password = Some(PasswordSource::new(ask));
        self
    }

    /// Connects, checks the server and the tables, and returns the store.
    ///
    /// # Errors
    /// - [`ErrorKind::Config`](session_core::ErrorKind::Config) for options outside their ranges, for a user or database that the
    ///   server refuses, for a server that is too old or has unsuitable settings, and for tables that are missing, have another
    ///   layout, or may not be used by the user.
    /// - [`ErrorKind::Unavailable`](session_core::ErrorKind::Unavailable) if the server does not answer within the time-out.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and I/O enabled.
    pub async fn open(self) -> Result<S> {
        self.settings.check()?;
        waiting(self.settings.wait, || self.clone().attempt()).await
    }

    async fn attempt(self) -> Result<S> {
        let namespace = S::namespace(&self.settings.namespace)?;
        within("pool", self.pool, 1..=1000)?;
        if matches!(self.target, Target::Pool(_)) {
            if self.password.is_some() {
                return wrong(
                    "`password_from` is for connections of the store's own; set the password of the pool's options",
                );
            }
            if !self.others.is_empty() {
                return wrong("`or_server` is for connections of the store's own; a pool has one server");
            }
        }
        match self.prepare(&namespace, self.pooler.unwrap_or_default()).await {
            Err(Unopened::Pooler(_)) if self.pooler.is_none() => {
                tracing::info!("a pooler stands before the session database, so no state of its sessions is used");
                self.prepare(&namespace, Pooler::Transaction).await
            }
            opened => opened,
        }
        .map_err(|unopened| match unopened {
            Unopened::Pooler(error) | Unopened::Other(error) => error,
        })
    }

    /// Opens the store through `pooler`: checks the server, and ensures that the tables of `namespace` exist and fit.
    async fn prepare(&self, namespace: &Namespace, pooler: Pooler) -> Result<S, Unopened> {
        let timeout = self.settings.timeout;
        let deadline = Instant::now() + timeout;
        let (source, address) = match &self.target {
            Target::Server(options) => {
                let servers = std::iter::once(&**options).chain(&self.others).cloned().collect();
                (S::source(servers, timeout, pooler)?, Some(S::address(options)))
            }
            Target::Pool(pool) => (Source::Pool(pool.clone()), None),
        };
        let connecting = Connecting {
            limit: self.connecting,
            password: self.password.clone(),
            with: S::with_password,
            address: S::address,
            ends: S::shows_pooler,
            ..Connecting::default()
        };
        let pool = Pool::new(source, self.pool, timeout, S::Dialect::is_full).connecting(connecting);
        let mut bounds = Bounds::new(self.settings.clone(), self.pool);
        bounds.own_connections = pool.is_own();
        (bounds.pooler, bounds.schema) = (pooler, self.schema.clone());
        let mut pooled = match pool.take(Purpose::Write, deadline).await {
            Ok(pooled) => pooled,
            Err(error) if S::shows_pooler(&error) => return Err(Unopened::Pooler(S::at_open(&error))),
            Err(error) => return Err(unconnected(&error, address.as_deref(), S::at_open).into()),
        };
        let opening = async {
            let connection = pooled.connection()?;
            let (dialect, bounds) = S::inspect(connection, namespace, bounds).await?;
            let mut missing = S::check_tables(connection, namespace, &bounds).await?;
            if missing.is_some() && self.create {
                S::create_tables(connection, namespace, &bounds).await?;
                missing = S::check_tables(connection, namespace, &bounds).await?;
            }
            missing.map_or(Ok((dialect, bounds)), Err)
        };
        let (dialect, bounds) = timeout_at(deadline, opening).await.map_err(|_| TIMED_OUT)??;
        pool.keep(pooled);
        Ok(SqlStore::new(pool, dialect, bounds).into())
    }
}

impl<S: SqlBehindPooler> SqlStoreBuilder<S> {
    /// Sets which pooler stands between the store and its server.
    ///
    /// By default the store finds out when it is opened, on connections of its own. If a pooler drops or refuses the settings
    /// that the store asks for, it is taken for [`Pooler::Transaction`], which is right in front of every pooler.
    ///
    /// An application's own pool is taken for [`Pooler::None`], because the store did not ask for its settings.
    pub fn pooler(mut self, pooler: Pooler) -> Self {
        self.pooler = Some(pooler);
        self
    }

    /// Sets the schema of the tables. Default: the first one of the role's `search_path` that exists.
    pub fn schema(mut self, name: impl Into<String>) -> Self {
        self.schema = Some(name.into());
        self
    }
}

/// Reason why a store was not opened.
enum Unopened {
    /// A pooler stands between, and the connection was not made for one.
    Pooler(Error),
    Other(Error),
}

impl From<Error> for Unopened {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl<S: SqlBackend> Clone for SqlStoreBuilder<S> {
    fn clone(&self) -> Self {
        let target = match &self.target {
            Target::Server(options) => Target::Server(options.clone()),
            Target::Pool(pool) => Target::Pool(pool.clone()),
        };
        let (settings, password, schema) = (self.settings.clone(), self.password.clone(), self.schema.clone());
        let Self { create, pool, connecting, pooler, .. } = *self;
        Self {
            target,
            others: self.others.clone(),
            settings,
            create,
            pool,
            connecting,
            password,
            pooler,
            schema,
            store: PhantomData,
        }
    }
}

impl<S: SqlBackend> fmt::Debug for SqlStoreBuilder<S> {
    /// Leaves out the connection options, which hold the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStoreBuilder")
            .field("settings", &self.settings)
            .field("create", &self.create)
            .field("pool", &self.pool)
            .field("connect_timeout", &self.connecting)
            .field("pooler", &self.pooler)
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}
