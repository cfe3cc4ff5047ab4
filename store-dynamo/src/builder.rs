//! Builder of a store.

use std::fmt;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use session_core::Result;
use session_store_kit::batch::{Batcher, Limits, PerRuntime};
use session_store_kit::{Settings, setters, waiting, within};
use tokio::sync::Semaphore;

use crate::client::{Address, Clients, http_client};
use crate::error::Moment;
use crate::execute::Server;
use crate::reads::MOST_KEYS;
use crate::{DynamoStore, Inner, schema, setup};

/// Number of kinds of calls, each with a batcher of its own.
const KINDS: usize = 8;

/// Builder of a [`DynamoStore`], from [`DynamoStore::builder`] or [`DynamoStore::from_client`].
#[derive(Clone)]
#[must_use = "a builder does nothing until the store is opened"]
pub struct DynamoStoreBuilder {
    target: Target,
    pub(crate) settings: Settings,
    pub(crate) create: bool,
    pub(crate) pool: usize,
}

#[derive(Clone)]
enum Target {
    Address(Address),
    Client(Client),
}

impl DynamoStoreBuilder {
    fn at(target: Target) -> Self {
        Self { target, settings: Settings::new(), create: true, pool: 64 }
    }

    pub(crate) fn on_aws() -> Self {
        Self::at(Target::Address(Address::default()))
    }

    #[cfg(test)]
    pub(crate) fn endpoint_url(&self) -> Option<&str> {
        match &self.target {
            Target::Address(address) => address.endpoint.as_deref(),
            Target::Client(_) => None,
        }
    }

    /// Changes the address, unless there is a client, which already has one.
    fn address(mut self, change: impl FnOnce(&mut Address)) -> Self {
        if let Target::Address(address) = &mut self.target {
            change(address);
        }
        self
    }

    /// Sets the region, such as `eu-central-1`. Default: the environment's. Has no effect after [`DynamoStore::from_client`].
    pub fn region(self, region: &str) -> Self {
        self.address(|address| address.region = Some(region.to_owned()))
    }

    /// Sets the endpoint, such as `http://localhost:8000`. Default: that of the region. Has no effect after
    /// [`DynamoStore::from_client`].
    pub fn endpoint(self, url: &str) -> Self {
        self.address(|address| address.endpoint = Some(url.to_owned()))
    }

    /// Sets an access key and its secret. Has no effect after [`DynamoStore::from_client`].
    ///
    /// Default: credentials from the environment. They are safer, because they expire and are renewed.
    pub fn keys(self, access_key: &str, secret: &str) -> Self {
        self.address(|address| address.keys = Some((access_key.to_owned(), secret.to_owned())))
    }

    setters! {
        /// It is the table's name, which has at least 3 characters.
        namespace;
        /// While the store is opened, it applies to each request. An attempt at a read takes half of it at most, so that there is
        /// time for a second attempt.
        timeout;
        /// If not, the template of [`DynamoStore::schema`] can create the table.
        create;
        /// Default: 64. Each request in flight has a connection of its own.
        pool;
        /// It applies to each kind of call separately.
        queue;
        /// Each attempt ends as without it. Wrong credentials or another mistake are not retried.
        wait;
    }

    /// Connects, checks the table and returns the store.
    ///
    /// Creating a table takes AWS about ten seconds. Opening waits for it, two minutes at most.
    ///
    /// # Errors
    /// - [`ErrorKind::Config`](session_core::ErrorKind::Config) for options outside their ranges, for credentials that AWS refuses,
    ///   and for a table that is missing, has another layout, was not created by this store, or may not be used by the role.
    /// - [`ErrorKind::Unavailable`](session_core::ErrorKind::Unavailable) if DynamoDB does not answer within the time-out.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and I/O enabled.
    pub async fn open(self) -> Result<DynamoStore> {
        self.settings.check()?;
        waiting(self.settings.wait, || self.clone().attempt()).await
    }

    async fn attempt(self) -> Result<DynamoStore> {
        let namespace = schema::namespace(self.settings.check()?.as_str())?;
        within("pool", self.pool, 1..=1000)?;
        let timeout = self.settings.timeout;
        let (config, own) = match self.target {
            Target::Address(address) => (address.clone().config(timeout).await?, Some(address)),
            Target::Client(client) => (client.config().clone(), None),
        };
        let (table, pool) = (namespace.to_string(), self.pool);
        let connect = move || {
            // A connection works only on the runtime that made it, so each runtime has its own HTTP client.
            let config = match &own {
                Some(address) => &config.to_builder().http_client(http_client(address)?).build(),
                None => &config,
            };
            Ok(Server {
                clients: Clients::of(config, timeout),
                table: table.clone(),
                timeout,
                room: Semaphore::new(pool),
                moment: Moment::InUse,
            })
        };
        let mut server = connect()?;
        server.moment = Moment::Opening;
        setup::prepare(&server, &namespace, self.create).await?;
        server.moment = Moment::InUse;
        let servers = PerRuntime::with(server, connect);
        // Each kind may run one call inline, and a caller that stops polling keeps that call's permit. So calls run inline only if
        // there are more permits than kinds.
        let inline = self.pool > KINDS;
        let (pool, queue) = (self.pool, self.settings.queue);
        let limits = |in_flight, items| {
            let limits = Limits::for_tasks(in_flight).items(items).bytes(usize::MAX);
            limits.queue(queue).timeout(timeout).inline(inline)
        };
        // A request holds up to a hundred loads, so a quarter of the requests is enough for them.
        let loads = limits(pool.div_ceil(4), MOST_KEYS);
        let (writes, lists) = (limits(pool, 1), limits(pool.div_ceil(8), 1));
        Ok(DynamoStore(Arc::new(Inner {
            // One batcher for each of `KINDS`.
            loads: Batcher::new(servers.clone(), loads),
            creates: Batcher::new(servers.clone(), writes.clone()),
            saves: Batcher::new(servers.clone(), writes.clone()),
            touches: Batcher::new(servers.clone(), writes.clone()),
            deletes: Batcher::new(servers.clone(), writes),
            lists: Batcher::new(servers.clone(), lists.clone()),
            removals: Batcher::new(servers.clone(), lists.clone()),
            scans: Batcher::new(servers, lists),
            namespace,
        })))
    }
}

impl fmt::Debug for DynamoStoreBuilder {
    /// Leaves out the address, which holds the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoStoreBuilder")
            .field("settings", &self.settings)
            .field("create", &self.create)
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}

impl DynamoStore {
    /// Returns a builder of a store on AWS. Region and credentials come from the environment unless the builder sets others.
    ///
    /// ```no_run
    /// use session_core::seconds;
    /// use session_store_dynamo::DynamoStore;
    ///
    /// # async fn example() -> session_core::Result<()> {
    /// let store = DynamoStore::builder().region("eu-central-1").namespace("web_sessions").timeout(seconds(2)).open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> DynamoStoreBuilder {
        DynamoStoreBuilder::on_aws()
    }

    /// Returns a builder of a store on a client that the application already has.
    ///
    /// The store uses the client's credentials, region, endpoint and HTTP client, but its own time-outs and retries.
    ///
    /// The tokio runtimes that use the store share the client's connections. A connection works only while the runtime that made
    /// it runs, so calls from another runtime can time out when that one is idle or gone.
    ///
    /// ```no_run
    /// use session_store_dynamo::DynamoStore;
    ///
    /// # async fn example(client: aws_sdk_dynamodb::Client) -> session_core::Result<()> {
    /// let store = DynamoStore::from_client(client).namespace("web_sessions").open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_client(client: Client) -> DynamoStoreBuilder {
        DynamoStoreBuilder::at(Target::Client(client))
    }
}
