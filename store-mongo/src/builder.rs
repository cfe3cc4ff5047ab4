//! Builder of a store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mongodb::Client;
use mongodb::options::{Acknowledgment, ClientOptions, CollectionOptions, ReadConcern, WriteConcern};
use session_core::{Result, seconds};
use session_store_kit::batch::{Batcher, Limits, PerRuntime};
use session_store_kit::{Settings, setters, waiting, within};

use crate::execute::{PRIMARY, Server};
use crate::{Inner, MongoStore, error, setup};

/// Maximum number of loads in one command.
const LOADS: usize = 128;

/// Number of kinds of calls, each with a batcher of its own.
const KINDS: usize = 4;

/// The database of a URL that names none.
const DATABASE: &str = "sessions";

/// Idle time after which a connection is not used any more, because routers and load balancers forget connections that are idle
/// for some minutes.
const IDLE: Duration = seconds(60);

/// Builder of a [`MongoStore`], from [`MongoStore::builder`] or [`MongoStore::from_client`].
#[derive(Clone)]
#[must_use = "a builder does nothing until the store is opened"]
pub struct MongoStoreBuilder {
    target: Target,
    database: String,
    pub(crate) settings: Settings,
    pub(crate) create: bool,
    pub(crate) pool: usize,
}

#[derive(Clone)]
enum Target {
    Servers(Box<ClientOptions>),
    Client(Client),
}

impl MongoStoreBuilder {
    setters! {
        /// It is the collection's name.
        namespace;
        /// Opening the store takes as long at most.
        timeout;
        /// If not, the script of [`MongoStore::schema`] can create the collection and its indexes.
        create;
        /// It applies to each server. Default: the client options' `max_pool_size`, else 32.
        ///
        /// A write occupies its connection until a majority has confirmed it, so this store needs more connections than others.
        /// With a client of the application's own this limits the commands in flight.
        pool;
        /// It applies to each kind of call separately.
        queue;
        /// Each attempt may take the time-out of a call. A wrong password or another mistake is not retried.
        wait;
    }

    /// Sets the database's name. Default: the client options' default database, else `sessions`.
    pub fn database(mut self, name: &str) -> Self {
        name.clone_into(&mut self.database);
        self
    }

    /// Connects, checks the server and the collection, and returns the store.
    ///
    /// # Errors
    /// - [`ErrorKind::Config`](session_core::ErrorKind::Config) for options outside their ranges, for a user that the server
    ///   refuses, for a server older than MongoDB 6.0, for a missing collection or index that is not to be created, and for a
    ///   collection that has another layout or was not created by this store.
    /// - [`ErrorKind::Unavailable`](session_core::ErrorKind::Unavailable) if no server that takes writes answers within the time-out.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and I/O enabled.
    pub async fn open(self) -> Result<MongoStore> {
        self.settings.check()?;
        waiting(self.settings.wait, || self.clone().attempt()).await
    }

    /// Opens the store, without waiting for a server that is not ready.
    pub(crate) async fn attempt(self) -> Result<MongoStore> {
        let namespace = self.settings.check()?;
        within("pool", self.pool, 1..=1000)?;
        let timeout = self.settings.timeout;
        let mut journal = None;
        let target = match self.target {
            Target::Servers(options) => {
                journal = options.write_concern.as_ref().and_then(|concern| concern.journal);
                Target::Servers(Box::new(for_sessions(*options, self.pool, timeout)))
            }
            Target::Client(client) => {
                journal = client.write_concern().and_then(|concern| concern.journal).or(journal);
                Target::Client(client)
            }
        };
        let concerns = concerns(journal, timeout);
        let (database, collection, options) = (self.database, namespace.to_string(), concerns.clone());
        let connect = move || {
            // A client works on the runtime that made it, where its tasks open and watch the connections.
            let client = match &target {
                Target::Servers(options) => Client::with_options((**options).clone()),
                Target::Client(client) => Ok(client.clone()),
            };
            let client = client.map_err(|error| error::at_open(&error))?;
            let sessions = client.database(&database).collection_with_options(&collection, options.clone());
            Ok(Server { sessions, timeout })
        };
        let server = connect()?;
        setup::prepare(&server, &concerns, &namespace, self.create).await?;
        let servers = PerRuntime::with(server, connect);
        // Each kind may run one call inline, and a caller that stops polling keeps that call's connection. So calls run inline
        // only if there are more connections than kinds.
        let inline = self.pool > KINDS;
        let (pool, queue) = (self.pool, self.settings.queue);
        let share = |of| Limits::for_tasks(pool.div_ceil(of)).queue(queue).timeout(timeout).items(1).inline(inline);
        Ok(MongoStore(Arc::new(Inner {
            // One batcher for each of `KINDS`.
            loads: Batcher::new(servers.clone(), share(4).items(LOADS)),
            writes: Batcher::new(servers.clone(), share(2)),
            lists: Batcher::new(servers.clone(), share(8)),
            sweeps: Batcher::new(servers, share(8)),
            namespace,
        })))
    }
}

/// Returns the options that the store's promises need, whatever the URL or the client says: reads from the primary, and read and
/// write concern `majority`.
fn concerns(journal: Option<bool>, timeout: Duration) -> CollectionOptions {
    let writes = WriteConcern::builder().w(Acknowledgment::Majority).w_timeout(timeout);
    // `journal=true` is kept, so that writes also wait for the disk. The server's own default decides otherwise.
    let writes = writes.journal(journal.filter(|journal| *journal)).build();
    CollectionOptions::builder()
        .selection_criteria(PRIMARY)
        .read_concern(ReadConcern::majority())
        .write_concern(writes)
        .build()
}

/// Adds the settings that the store relies on to the options of its own connections.
fn for_sessions(mut options: ClientOptions, pool: usize, timeout: Duration) -> ClientOptions {
    let concerns = concerns(options.write_concern.as_ref().and_then(|concern| concern.journal), timeout);
    options.selection_criteria = concerns.selection_criteria;
    options.read_concern = concerns.read_concern;
    options.write_concern = concerns.write_concern;
    options.max_pool_size = u32::try_from(pool).ok();
    options.min_pool_size = options.min_pool_size.filter(|least| *least as usize <= pool);
    options.max_idle_time = options.max_idle_time.or(Some(IDLE));
    // The driver's own time-outs are up to half a minute. An attempt to connect ends with the call that needs the connection.
    options.connect_timeout = Some(options.connect_timeout.map_or(timeout, |own| own.min(timeout)));
    // The driver's error says why it found no server, so it has to come before the store's own time-out.
    options.server_selection_timeout = Some(timeout - timeout / 8);
    options
}

impl fmt::Debug for MongoStoreBuilder {
    /// Leaves out the client and its options, which hold the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoStoreBuilder")
            .field("database", &self.database)
            .field("settings", &self.settings)
            .field("create", &self.create)
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}

impl MongoStore {
    /// Returns a builder of a store on the servers that `options` name.
    ///
    /// Read preference, read concern and write concern in the options are replaced by those that the store needs.
    ///
    /// ```no_run
    /// use session_core::seconds;
    /// use session_store_mongo::MongoStore;
    /// use session_store_mongo::mongodb::options::ClientOptions;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let servers = ClientOptions::parse("mongodb://db.example/shop?tls=true").await?;
    /// let store = MongoStore::builder(servers).namespace("web_sessions").timeout(seconds(2)).open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(options: ClientOptions) -> MongoStoreBuilder {
        let database = options.default_database.clone().unwrap_or_else(|| DATABASE.to_owned());
        let pool = options.max_pool_size.map_or(32, |pool| pool as usize);
        MongoStoreBuilder {
            target: Target::Servers(Box::new(options)),
            database,
            settings: Settings::new(),
            create: true,
            pool,
        }
    }

    /// Returns a builder of a store in a database of a client that the application already has.
    ///
    /// Read preference, read concern and write concern of the client have no effect. Nor have its time-outs, because the store's
    /// own limits each call. Set a `max_idle_time` of about a minute on the client, so that calls do not use connections that a
    /// router has forgotten.
    ///
    /// A client works only while the runtime that made it runs, so calls from another runtime can time out when that one is idle
    /// or gone.
    ///
    /// ```no_run
    /// use session_store_mongo::{MongoStore, mongodb};
    ///
    /// # async fn example(client: mongodb::Client) -> session_core::Result<()> {
    /// let store = MongoStore::from_client(client, "shop").namespace("web_sessions").open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_client(client: Client, database: &str) -> MongoStoreBuilder {
        let (database, settings) = (database.to_owned(), Settings::new());
        MongoStoreBuilder { target: Target::Client(client), database, settings, create: true, pool: 32 }
    }
}

#[cfg(test)]
mod tests {
    use mongodb::options::{ReadPreference, SelectionCriteria};

    use super::*;

    #[tokio::test]
    async fn what_a_url_says_of_concerns_and_long_waits_does_not_count() {
        let url = "mongodb://localhost/?readPreference=secondaryPreferred&readConcernLevel=local&w=1&journal=true\
                   &serverSelectionTimeoutMS=60000&connectTimeoutMS=60000&maxPoolSize=3";
        let options = ClientOptions::parse(url).await.unwrap();
        let builder = MongoStore::builder(options.clone());
        assert_eq!((builder.database.as_str(), builder.pool), ("sessions", 3));
        let options = for_sessions(options, builder.pool, seconds(2));
        assert_eq!(options.selection_criteria, Some(SelectionCriteria::ReadPreference(ReadPreference::Primary)));
        assert_eq!(options.read_concern, Some(ReadConcern::majority()));
        let writes = options.write_concern.unwrap();
        assert_eq!((writes.w, writes.journal), (Some(Acknowledgment::Majority), Some(true)));
        assert_eq!(writes.w_timeout, Some(seconds(2)));
        assert_eq!(options.connect_timeout, Some(seconds(2)));
        assert_eq!(options.server_selection_timeout, Some(Duration::from_millis(1_750)));
    }
}
