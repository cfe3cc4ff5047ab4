//! Builder of the store, and the steps of opening it.

use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use redis::Client;
use session_core::Result;
use session_store_kit::{PasswordSource, Settings, TIMED_OUT, setters, waiting, within};
use tokio::time::{self, Instant};

use crate::batch::Batches;
use crate::error::Moment;
use crate::keys::Keys;
use crate::preflight::{self, Place};
use crate::record::UNREFUSED_LEN;
use crate::router::{Router, Topology};
use crate::scripts::{IndexScripts, Scripts};
use crate::{Inner, MAX_DATA_LEN, RedisStore, record, refusal};

/// Pause between two looks at a server that is starting.
const PAUSE: Duration = Duration::from_millis(100);

/// Builder of a [`RedisStore`], returned by [`RedisStore::builder`] and [`RedisStore::from_client`].
#[derive(Clone)]
#[must_use = "a builder does nothing until the store is opened"]
pub struct RedisStoreBuilder {
    /// Clients of the server, or of nodes of a cluster.
    pub(crate) clients: Vec<Client>,
    pub(crate) settings: Settings,
    pub(crate) connections: usize,
    pub(crate) cluster: bool,
    /// Whether connections to other machines may be without TLS.
    pub(crate) exposed: bool,
    max_data_len: Option<usize>,
    pub(crate) password: Option<PasswordSource>,
    /// Pairs of announced and reachable addresses.
    pub(crate) addresses: Vec<(String, String)>,
    pub(crate) sentinel: Option<SentinelSettings>,
}

/// Sentinels to ask for the server's address.
#[derive(Clone)]
pub(crate) struct SentinelSettings {
    /// Name of the master.
    pub(crate) master: String,
    pub(crate) addresses: Vec<String>,
    /// User and password of the sentinels, which are not those of the master.
    pub(crate) login: (Option<String>, Option<String>),
}

impl RedisStore {
    /// Returns a builder for a store at the address of `client`, with its user, database and certificates.
    ///
    /// The store opens its own connections, which speak RESP3.
    /// With [`cluster(true)`](RedisStoreBuilder::cluster) the address is that of one node.
    pub fn from_client(client: Client) -> RedisStoreBuilder {
        RedisStoreBuilder::at(client)
    }
}

impl RedisStoreBuilder {
    pub(crate) fn at(client: Client) -> Self {
        let (settings, addresses) = (Settings::new(), Vec::new());
        let clients = vec![client];
        Self {
            clients,
            settings,
            connections: 1,
            cluster: false,
            exposed: true,
            max_data_len: None,
            password: None,
            addresses,
            sentinel: None,
        }
    }

    /// Sets whether connections to other machines may be without TLS. A client of the application's own decides it itself.
    pub(crate) fn exposed(mut self, exposed: bool) -> Self {
        self.exposed = exposed;
        self
    }

    /// Adds further nodes of the cluster.
    pub(crate) fn and_at(mut self, nodes: impl IntoIterator<Item = Client>) -> Self {
        self.clients.extend(nodes);
        self
    }

    setters! {
        /// All keys begin with it.
        namespace;
        /// Connecting is included. Opening the store takes as long at most.
        timeout;
        /// Calls in flight count as waiting.
        queue;
        /// Each attempt may take the time-out of a call. A wrong password or another mistake is not retried.
        wait;
    }

    /// Sets whether the address is that of a cluster node. The store asks the node for the others. Default: as the URL says.
    ///
    /// Needs the feature `cluster`. The store never detects a cluster or a single server by itself.
    /// Records are the same on both, but moving a service from one to the other should be a deliberate change.
    pub const fn cluster(mut self, cluster: bool) -> Self {
        self.cluster = cluster;
        self
    }

    /// Finds the server by Redis Sentinel: `master` is its name, and `sentinels` are their addresses, `host:port` or `host`, all of them if possible.
    ///
    /// The user, the password, the database and TLS are those of the URL or of the client; its own address is not used.
    /// The sentinels have no password, unless [`sentinel_login`](Self::sentinel_login) is called.
    ///
    /// ```
    /// use session_store_redis::RedisStore;
    /// use session_store_redis::redis::Client;
    ///
    /// let client = Client::open("redis://shop:secret@localhost").expect("a URL");
    /// let store = RedisStore::from_client(client).sentinels("main", ["10.0.0.1:26379", "10.0.0.2:26379", "10.0.0.3:26379"]);
    /// # let _ = store;
    /// ```
    pub fn sentinels<A: Into<String>>(mut self, master: &str, sentinels: impl IntoIterator<Item = A>) -> Self {
        let login = self.sentinel.map_or((None, None), |set| set.login);
        let addresses = sentinels.into_iter().map(Into::into).collect();
        self.sentinel = Some(SentinelSettings { master: master.to_owned(), addresses, login });
        self
    }

    /// Sets the password of the sentinels, and their user if it is not the default user. Call it after [`sentinels`](Self::sentinels).
    pub fn sentinel_login(mut self, user: Option<&str>, password: &str) -> Self {
        if let Some(sentinel) = &mut self.sentinel {
            sentinel.login = (user.map(str::to_owned), Some(password.to_owned()));
        }
        self
    }

    /// Maps the announced `host:port` of a cluster node, or of a server that Sentinel names, to an address that can be reached, through a
    /// tunnel or from outside its network.
    ///
    /// Call it once for each such node.
    ///
    /// ```
    /// use session_store_redis::RedisStore;
    ///
    /// let store = RedisStore::builder("redis://127.0.0.1:7001")?.cluster(true).node_at("10.0.0.1:6379", "127.0.0.1:7001");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn node_at(mut self, announced: &str, reachable: &str) -> Self {
        self.addresses.push((announced.to_owned(), reachable.to_owned()));
        self
    }

    /// Sets the number of connections to the server, or to each node, that the calls of a tokio runtime share, 1 to 64.
    /// Default: 1, which serves any number of concurrent calls.
    ///
    /// More connections help if one core cannot decode the server's replies fast enough, or if large sessions delay small ones.
    pub const fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// Sets the maximum length of a session's data, 1 byte to 16 MiB. The server's own limit applies as well.
    ///
    /// Default: as much as the server accepts, 16 MiB at most. If the server's user may not ask for the limit by `CONFIG GET`,
    /// the default is 982,751 bytes, which every server accepts. Set it on such a server if your sessions are larger.
    pub const fn max_data_len(mut self, bytes: usize) -> Self {
        self.max_data_len = Some(bytes);
        self
    }

    /// Sets a function that returns the password for each new connection: a token that expires, or a secret that is rotated.
    ///
    /// It replaces the password of the URL or of the client. Its time counts as time of connecting. If it fails while the store is
    /// in use, the calls that need the connection fail with [`Unavailable`](session_core::ErrorKind::Unavailable). Connections
    /// that are open already stay open, as the server does not ask for the password again.
    ///
    /// ```
    /// use session_store_redis::RedisStore;
    ///
    /// # async fn read_secret() -> session_core::Result<String> { Ok(String::new()) }
    /// let store = RedisStore::builder("rediss://shop@cache.example")?.password_from(|| async { read_secret().await });
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn password_from<F, A>(mut self, ask: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<String>> + Send + 'static,
    {
        self.password = Some(PasswordSource::new(ask));
        self
    }

    /// Opens the store and connects it.
    ///
    /// # Errors
    /// - [`ErrorKind::Config`](session_core::ErrorKind::Config) for options outside their ranges, a user or password that the server refuses,
    ///   a command or right that is missing, a server older than Redis 7.0, a replica, a cluster node without [`cluster`](Self::cluster),
    ///   or a single server with it. The README lists them.
    /// - [`ErrorKind::Unavailable`](session_core::ErrorKind::Unavailable) when the server does not answer within the time-out,
    ///   or is still loading its data then.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and I/O enabled.
    pub async fn open(self) -> Result<RedisStore> {
        self.settings.check()?;
        waiting(self.settings.wait, || self.clone().attempt()).await
    }

    async fn attempt(self) -> Result<RedisStore> {
        let namespace = self.settings.check()?;
        within("connections", self.connections, 1..=64)?;
        within("max_data_len", self.max_data_len.unwrap_or(MAX_DATA_LEN), 1..=MAX_DATA_LEN)?;
        #[cfg(feature = "tls")]
        provide_cryptography();
        let (queue, timeout) = (self.settings.queue, self.settings.timeout);
        let (client, set) = (self.first()?, self.max_data_len);
        let router = Arc::new(Router::new(move || self.topology(), queue, timeout));
        let local = router.local()?;
        let scripts = match &local.topology {
            Topology::Single(_) => Scripts::single(),
            #[cfg(feature = "cluster")]
            Topology::Cluster(_) => Scripts::cluster(&crate::cluster::index::TIMES),
        };
        let keys = Keys::new(&namespace);
        let place = Place { namespace: &namespace, keys: &keys };
        let longest = {
            let checking = pin!(checked(&local.topology, &place, Instant::now() + timeout));
            or_reason(&client, timeout, pin!(router.call(checking))).await?
        };
        // Without the server's word and the application's, the largest record is one that every server accepts.
        let told = longest.map_or(MAX_DATA_LEN, record::max_data_len).min(MAX_DATA_LEN);
        let default = longest.map_or(record::max_data_len(UNREFUSED_LEN), |_| told);
        let max_data_len = AtomicUsize::new(set.map_or(default, |set| set.min(told)));
        let batches = match &scripts.index {
            IndexScripts::Single(index) => Some(Batches::new(&router, &keys, index.save_many.clone(), queue)),
            #[cfg(feature = "cluster")]
            IndexScripts::Cluster(_) => None,
        };
        Ok(RedisStore(Arc::new(Inner { router, keys, scripts, batches, namespace, max_data_len })))
    }
}

impl fmt::Debug for RedisStoreBuilder {
    /// Omits the client, because it contains the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder")
            .field("settings", &self.settings)
            .field("connections", &self.connections)
            .field("cluster", &self.cluster)
            .field("sentinel", &self.sentinel.is_some())
            .finish_non_exhaustive()
    }
}

/// Checks the server, and waits until the deadline for a server that is starting.
async fn checked(topology: &Topology, place: &Place<'_>, deadline: Instant) -> Result<Option<usize>> {
    let mut reason = TIMED_OUT;
    let checking = async {
        loop {
            match preflight::check(topology, place).await {
                Err(failure) if failure.is_passing() => reason = failure.error(Moment::Opening),
                checked => return checked.map_err(|failure| failure.error(Moment::Opening)),
            }
            // sleep: a server does not announce that it has loaded its data.
            time::sleep(PAUSE).await;
        }
    };
    let checked = time::timeout_at(deadline, checking).await;
    checked.unwrap_or(Err(reason))
}

/// Waits for `opening`. If it fails or takes long, looks for a reason that the server does not tell, such as TLS.
async fn or_reason<T>(
    client: &Client,
    timeout: Duration,
    mut opening: Pin<&mut impl Future<Output = Result<T>>>,
) -> Result<T> {
    let begun = Instant::now();
    let looking = async {
        // sleep: the rest of the time-out is left for the look.
        time::sleep(timeout / 2).await;
        refusal::reason(client, timeout / 4).await
    };
    let opened = tokio::select! {
        biased;
        opened = &mut opening => opened,
        Some(reason) = looking => return Err(reason),
    };
    match opened {
        Err(error) if error.is_transient() && begun.elapsed() < timeout / 2 => {
            Err(refusal::reason(client, timeout / 4).await.unwrap_or(error))
        }
        opened => opened,
    }
}

/// Makes ring the default cryptography of rustls, unless the program has chosen another.
#[cfg(feature = "tls")]
fn provide_cryptography() {
    use rustls::crypto::{CryptoProvider, ring};

    if CryptoProvider::get_default().is_none() {
        // Fails if another thread has installed a provider meanwhile, which is then used.
        let _ = ring::default_provider().install_default();
    }
}
