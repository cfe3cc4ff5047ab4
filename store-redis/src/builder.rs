//! Builder of the store, and the steps of opening it.

use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use redis::{Client, ProtocolVersion};
use session_core::Result;
use session_store_kit::{PasswordSource, Settings, TIMED_OUT, setters, waiting, within, wrong};
use tokio::time::{self, Instant};

use crate::batch::Batches;
use crate::error::{Moment, driver_error};
use crate::keys::Keys;
use crate::node::{Connecting, Node};
use crate::preflight::{self, Place};
use crate::record::UNREFUSED_LEN;
use crate::router::{Router, Topology};
use crate::scripts::{IndexScripts, Scripts};
use crate::{Inner, MAX_DATA_LEN, RedisStore, record, refusal};

/// Pause between two looks at a server that is starting.
const PAUSE: Duration = Duration::from_millis(100);

/// Error text for a cluster without the feature.
#[cfg(not(feature = "cluster"))]
pub(crate) const NOT_COMPILED_IN: &str =
    "a cluster needs the feature `cluster` of session-store-redis, which is not compiled in";

/// Builder of a [`RedisStore`], returned by [`RedisStore::builder`] and [`RedisStore::from_client`].
#[derive(Clone)]
#[must_use = "a builder does nothing until the store is opened"]
pub struct RedisStoreBuilder {
    /// Clients of the server, or of nodes of a cluster.
    clients: Vec<Client>,
    pub(crate) settings: Settings,
    connections: usize,
    cluster: bool,
    /// Whether connections to other machines may be without TLS.
    exposed: bool,
    max_data_len: Option<usize>,
    password: Option<PasswordSource>,
    /// Pairs of announced and reachable addresses.
    addresses: Vec<(String, String)>,
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

    /// Maps the announced `host:port` of a cluster node to an address that can be reached, through a tunnel or from outside its network.
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
        let (client, set) = (self.clients[0].clone(), self.max_data_len);
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

    fn connecting(&self) -> Connecting {
        let (connections, password) = (self.connections, self.password.clone());
        Connecting { connections, timeout: self.settings.timeout, password, primary: !self.cluster }
    }

    fn topology(&self) -> Result<Topology> {
        let clients = self.clients.iter().map(prepared).collect::<Result<Vec<_>>>()?;
        if self.cluster {
            return self.cluster_of(&clients);
        }
        match &clients[..] {
            [client] if self.addresses.is_empty() => Ok(Topology::Single(Node::new(client, &self.connecting()))),
            _ => wrong(
                "`node_at` applies to the nodes of a cluster: call `cluster(true)`, or omit it for a single server",
            ),
        }
    }

    #[cfg(feature = "cluster")]
    fn cluster_of(&self, clients: &[Client]) -> Result<Topology> {
        use crate::cluster::{Address, AddressMap, Cluster};

        if clients.iter().any(|client| client.get_connection_info().redis_settings().db() != 0) {
            return wrong("a cluster has only the database 0: remove the database from the URL");
        }
        let parsed = |(announced, reachable): &(String, String)| {
            let parse = |text: &str| Address::parse(text, "").filter(|address| !address.host.is_empty());
            Some((parse(announced)?, parse(reachable)?))
        };
        let Some(addresses) = self.addresses.iter().map(parsed).collect::<Option<AddressMap>>() else {
            return wrong("an address in `node_at` is not of the form host:port");
        };
        let cluster = Cluster::new(clients, addresses, self.connecting(), self.exposed)?;
        Ok(Topology::Cluster(Arc::new(cluster)))
    }

    #[cfg(not(feature = "cluster"))]
    fn cluster_of(&self, _clients: &[Client]) -> Result<Topology> {
        wrong(NOT_COMPILED_IN)
    }
}

impl fmt::Debug for RedisStoreBuilder {
    /// Omits the client, because it contains the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder")
            .field("settings", &self.settings)
            .field("connections", &self.connections)
            .field("cluster", &self.cluster)
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

/// Returns the client with RESP3 and the store's settings for TCP.
///
/// RESP3 reports the end of a connection at once; `TCP_NODELAY` sends small commands without delay.
/// A linger time of zero discards what the system has not sent yet when a connection is given up, so that it does not arrive later.
fn prepared(client: &Client) -> Result<Client> {
    let info = client.get_connection_info().clone();
    let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    let tcp = info.tcp_settings().clone().set_nodelay(true).set_linger_time(Duration::ZERO);
    Client::open(info.set_redis_settings(redis).set_tcp_settings(tcp))
        .map_err(|error| driver_error(&error, Moment::Opening))
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
