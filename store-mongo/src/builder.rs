//! How a store is opened.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use mongodb::Client;
use mongodb::options::{Acknowledgment, ClientOptions, CollectionOptions, ReadConcern, WriteConcern};
use session_core::{Result, seconds};
use store_batch::{Batcher, Limits, PerRuntime};
use store_options::{Settings, setters, within};

use crate::server::{Op, PRIMARY, Server, Trip};
use crate::{Inner, MongoStore, error, open};

/// Loads in one command.
const LOADS: usize = 128;

/// Kinds of calls, each with a batcher of its own.
const KINDS: usize = 4;

/// The database of a URL that names none.
const DATABASE: &str = "sessions";

/// From so long without use on a connection is not used any more: routers and balancers forget those that are idle for some minutes.
const IDLE: Duration = seconds(60);

/// How a [`MongoStore`] is opened; from [`MongoStore::builder`] or [`MongoStore::from_client`].
#[derive(Clone)]
#[must_use = "a builder does nothing until the store is opened"]
pub struct MongoStoreBuilder {
    place: Place,
    database: String,
    pub(crate) settings: Settings,
    pub(crate) create: bool,
    pub(crate) pool: usize,
}

#[derive(Clone)]
enum Place {
    Servers(Box<ClientOptions>),
    Client(Client),
}

impl MongoStoreBuilder {
    setters! {
        namespace: "The collection's name";
        timeout: "how long opening may";
        /// Without it [`MongoStore::schema`] tells what to make.
        create: "the collection and its indexes are made where there are none";
        /// A write has a connection to itself until a majority has it, so there are more of them than elsewhere.
        /// On a client of the application's own this is how many commands are under way at most.
        pool: "connections to a server there are at most", "the client options' `max_pool_size`, else 32";
        queue: "calls of a kind may wait";
    }

    /// The database's name. Default: the client options' default database, else `sessions`.
    pub fn database(mut self, name: &str) -> Self {
        name.clone_into(&mut self.database);
        self
    }

    /// The store.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) for options outside their ranges, a user that the server refuses, a server
    /// older than MongoDB 6.0, a collection or an index that is missing when it is not to be created, a collection of another layout
    /// or of somebody else's;
    /// [`ErrorKind::Unavailable`](session_core::ErrorKind::Unavailable) when no server that takes writes answers within the time-out.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and I/O enabled.
    pub async fn open(self) -> Result<MongoStore> {
        let namespace = self.settings.check()?;
        within("pool", self.pool, 1..=1000)?;
        let timeout = self.settings.timeout;
        let mut journal = None;
        let place = match self.place {
            Place::Servers(options) => {
                journal = options.write_concern.as_ref().and_then(|concern| concern.journal);
                Place::Servers(Box::new(for_sessions(*options, self.pool, timeout)))
            }
            Place::Client(client) => {
                journal = client.write_concern().and_then(|concern| concern.journal).or(journal);
                Place::Client(client)
            }
        };
        let concerns = concerns(journal, timeout);
        let (database, collection, options) = (self.database, namespace.to_string(), concerns.clone());
        let connect = move || {
            // A client works on the runtime that made it: its connections are made and watched by tasks there.
            let client = match &place {
                Place::Servers(options) => Client::with_options((**options).clone()),
                Place::Client(client) => Ok(client.clone()),
            };
            let client = client.map_err(|error| error::at_open(&error))?;
            let sessions = client.database(&database).collection_with_options(&collection, options.clone());
            Ok(Server { sessions, timeout })
        };
        let server = connect()?;
        open::prepare(&server, &concerns, &namespace, self.create).await?;
        let servers = PerRuntime::with(server, connect);
        let limits = Limits::new().queue(self.settings.queue).timeout(timeout).items(1);
        // One call of each kind may be in the hands of a caller that does not go on, with one of the connections.
        let limits = limits.carried(self.pool > KINDS);
        let share = |of: usize| limits.clone().in_flight(self.pool.div_ceil(of));
        Ok(MongoStore(Arc::new(Inner {
            // As many as `KINDS`.
            loads: batcher(&servers, share(4).items(LOADS)),
            writes: batcher(&servers, share(2)),
            lists: batcher(&servers, share(8)),
            sweeps: batcher(&servers, share(8)),
            namespace,
        })))
    }
}

fn batcher<O: Op>(servers: &PerRuntime<Server>, limits: Limits) -> Batcher<Trip<O>> {
    Batcher::new(Trip { servers: servers.clone(), of: PhantomData }, limits)
}

/// What the promises need, whatever the URL or the client asks for: reads at the primary of what a majority has, writes that a majority has.
fn concerns(journal: Option<bool>, timeout: Duration) -> CollectionOptions {
    let writes = WriteConcern::builder().w(Acknowledgment::Majority).w_timeout(timeout);
    // Who wants to wait for the disk as well goes on doing so. A majority without its disks is the server's setting, not ours.
    let writes = writes.journal(journal.filter(|journal| *journal)).build();
    CollectionOptions::builder()
        .selection_criteria(PRIMARY)
        .read_concern(ReadConcern::majority())
        .write_concern(writes)
        .build()
}

/// What the store relies on for connections of its own.
fn for_sessions(mut options: ClientOptions, pool: usize, timeout: Duration) -> ClientOptions {
    let concerns = concerns(options.write_concern.as_ref().and_then(|concern| concern.journal), timeout);
    options.selection_criteria = concerns.selection_criteria;
    options.read_concern = concerns.read_concern;
    options.write_concern = concerns.write_concern;
    options.max_pool_size = u32::try_from(pool).ok();
    options.min_pool_size = options.min_pool_size.filter(|least| *least as usize <= pool);
    options.max_idle_time = options.max_idle_time.or(Some(IDLE));
    // The driver's own are up to half a minute. What takes a call's time to no avail is given up with the call.
    options.connect_timeout = Some(options.connect_timeout.map_or(timeout, |own| own.min(timeout)));
    options.server_selection_timeout = Some(timeout);
    options
}

impl fmt::Debug for MongoStoreBuilder {
    /// Without the client and its options, which hold the password.
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
    /// A store on the servers that `options` name.
    ///
    /// Read preference, read concern and write concern in them are replaced by what the promises need.
    ///
    /// ```no_run
    /// use session_core::seconds;
    /// use store_mongo::MongoStore;
    /// use store_mongo::mongodb::options::ClientOptions;
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
            place: Place::Servers(Box::new(options)),
            database,
            settings: Settings::new(),
            create: true,
            pool,
        }
    }

    /// A store in a database of a client that the application has already.
    ///
    /// Read preference, read concern and write concern of the client do not matter here. Its time-outs do not either: a call ends within
    /// the store's own. A `max_idle_time` of a minute or so spares calls from connections that a router on the way has forgotten.
    ///
    /// A client works only while the runtime that made it runs: calls from another runtime can time out when that one is idle or gone.
    ///
    /// ```no_run
    /// use store_mongo::{MongoStore, mongodb};
    ///
    /// # async fn example(client: mongodb::Client) -> session_core::Result<()> {
    /// let store = MongoStore::from_client(client, "shop").namespace("web_sessions").open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_client(client: Client, database: &str) -> MongoStoreBuilder {
        let (database, settings) = (database.to_owned(), Settings::new());
        MongoStoreBuilder { place: Place::Client(client), database, settings, create: true, pool: 32 }
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
        assert_eq!((options.connect_timeout, options.server_selection_timeout), (Some(seconds(2)), Some(seconds(2))));
    }
}
