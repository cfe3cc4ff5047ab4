//! How a store is opened.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::{Client, ProtocolVersion};
use session_core::Result;
use store_options::{Settings, within};

use crate::error::meaning;
use crate::link::Pool;
use crate::schema::{Keys, Scripts};
use crate::{Inner, RedisStore, server};

/// How a [`RedisStore`] is opened; from [`RedisStore::builder`] or [`RedisStore::from_client`].
#[derive(Clone)]
#[must_use = "a builder does nothing until the store is opened"]
pub struct RedisStoreBuilder {
    client: Client,
    pub(crate) settings: Settings,
    connections: usize,
}

impl RedisStoreBuilder {
    pub(crate) fn at(client: Client) -> Self {
        Self { client, settings: Settings::new(), connections: 1 }
    }

    /// What the keys begin with, of the form that [`Namespace`](session_core::Namespace) allows. Default: `sessions`.
    pub fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.settings.namespace);
        self
    }

    /// How long a call may take, waiting and connecting included, and how long opening may. 1 ms to 1 hour. Default: 5 s.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// How many connections the calls share, 1 to 64. Default: 1, which serves any number of calls at once.
    ///
    /// More of them help where one core cannot decode what the server sends, or where large sessions hold up small ones.
    pub const fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// How many calls may be under way before further ones wait for room within their time-out. At least 1. Default: 16,384.
    pub const fn queue(mut self, calls: usize) -> Self {
        self.settings.queue = calls;
        self
    }

    /// The store, connected.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) for options outside their ranges, a user or password that the server refuses,
    /// a server that is older than Redis 7.0 or part of a cluster;
    /// [`ErrorKind::Unavailable`](session_core::ErrorKind::Unavailable) when it does not answer within the time-out.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and I/O enabled.
    pub async fn open(self) -> Result<RedisStore> {
        let namespace = self.settings.check()?;
        within("connections", self.connections, 1..=64)?;
        #[cfg(feature = "tls")]
        provide_cryptography();
        let client = prepared(&self.client)?;
        let pool = Pool::new(&client, self.connections, self.settings.queue, self.settings.timeout);
        pool.call(server::check(&pool, &namespace)).await?;
        let keys = Keys::new(&namespace);
        Ok(RedisStore(Arc::new(Inner { pool, keys, scripts: Scripts::new(), namespace })))
    }
}

impl fmt::Debug for RedisStoreBuilder {
    /// Without the client: it knows the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder")
            .field("settings", &self.settings)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

/// The same client, speaking RESP3, which tells at once when a connection ends, and sending small commands at once.
fn prepared(client: &Client) -> Result<Client> {
    let info = client.get_connection_info().clone();
    let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    let tcp = info.tcp_settings().clone().set_nodelay(true);
    Client::open(info.set_redis_settings(redis).set_tcp_settings(tcp)).map_err(|error| meaning(&error))
}

/// rustls asks the program which cryptography it should use. If the program has not said it, it is ring.
#[cfg(feature = "tls")]
fn provide_cryptography() {
    use rustls::crypto::{CryptoProvider, ring};

    if CryptoProvider::get_default().is_none() {
        // Another thread may have been faster: then it is decided.
        let _ = ring::default_provider().install_default();
    }
}
