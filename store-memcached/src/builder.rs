//! Builder of a store.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use session_core::{ErrorKind, Result};
use session_store_kit::batch::{Batcher, Limits, PerRuntime};
use session_store_kit::{Pem, Settings, absolute, check_pem, setters, waiting, within, wrong};

use crate::address::{Address, Ring};
use crate::connection::{Connection, Login};
use crate::schema::Names;
use crate::security::Security;
use crate::server::{Server, Target, connect_in_time};
use crate::{Inner, MemcachedStore, Node};

/// Number of connections of a builder that sets none.
const POOL: usize = 4;

/// Builder of a [`MemcachedStore`], from [`MemcachedStore::builder`].
#[derive(Clone)]
#[must_use = "a builder does nothing until the store is opened"]
pub struct MemcachedStoreBuilder {
    addresses: Vec<Address>,
    login: Option<Login>,
    pub(crate) settings: Settings,
    pub(crate) pool: usize,
    pub(crate) tls: Option<bool>,
    authorities: Option<Vec<u8>>,
}

impl MemcachedStoreBuilder {
    pub(crate) fn at(addresses: Vec<Address>, login: Option<Login>) -> Self {
        Self { addresses, login, settings: Settings::new(), pool: POOL, tls: None, authorities: None }
    }

    setters! {
        /// All names on the servers begin with it.
        namespace;
        /// Connecting is included. Opening the store takes as long at most.
        timeout;
        /// It applies to each server, for reads and for writes separately.
        queue;
        /// Each attempt may take the time-out of a call. A wrong password or another mistake is not retried.
        wait;
        /// It applies to each server and to each tokio runtime that calls. Default: 4.
        ///
        /// Half of them are for reads, so at least 2 are opened. Calls that are made at the same time share a connection.
        pool;
    }

    /// Sets whether connections are encrypted. Default: yes, unless all servers are this machine.
    ///
    /// Sessions and the password can be read on the network without it.
    pub const fn tls(mut self, tls: bool) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets the authorities that may sign the servers' certificates: the path of a PEM file, which is read now. Default: those that browsers trust.
    ///
    /// It turns TLS on.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) if the file cannot be read, or is not PEM.
    pub fn tls_ca(mut self, path: impl AsRef<Path>) -> Result<Self> {
        let path = absolute(path.as_ref())?;
        check_pem("tls-ca", &path.to_string_lossy(), Pem::Certificates)?;
        let Ok(pem) = std::fs::read(&path) else { return wrong("the file of the option tls-ca cannot be read") };
        self.authorities = Some(pem);
        self.tls = Some(true);
        Ok(self)
    }

    /// Sets where the server that the URL calls `name` is reached: a tunnel, or an address that has changed.
    ///
    /// The name decides which sessions a server keeps, so it stays the same in every process.
    ///
    /// ```
    /// use session_store_memcached::MemcachedStore;
    ///
    /// let builder = MemcachedStore::builder("memcached://cache-1,cache-2?tls=false")?.server_at("cache-2", "127.0.0.1:7000")?;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) if no server has this name, or `reachable` is no `host:port`.
    pub fn server_at(mut self, name: &str, reachable: &str) -> Result<Self> {
        let reachable = Address::parse(reachable)?;
        let Some(server) = self.addresses.iter_mut().find(|address| address.name == name) else {
            return wrong("no server has the name for which an address is set; use a name as the URL has it");
        };
        (server.host, server.port) = (reachable.host, reachable.port);
        Ok(self)
    }

    /// Connects to the servers, checks them, and returns the store.
    ///
    /// One server has to answer. The others are checked before their first call, and their sessions are
    /// [`Unavailable`](session_core::ErrorKind::Unavailable) until then.
    ///
    /// # Errors
    /// - [`ErrorKind::Config`](session_core::ErrorKind::Config) for options outside their ranges, for a user or password that a server
    ///   refuses, and for a server without meta commands or without compare-and-set. The README lists them.
    /// - [`ErrorKind::Unavailable`](session_core::ErrorKind::Unavailable) if no server answers within the time-out.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and I/O enabled.
    pub async fn open(self) -> Result<MemcachedStore> {
        self.settings.check()?;
        waiting(self.settings.wait, || self.clone().attempt()).await
    }

    async fn attempt(self) -> Result<MemcachedStore> {
        let namespace = self.settings.check()?;
        within("pool", self.pool, 1..=1000)?;
        let addresses = self.secured()?;
        let (names, timeout, login) = (Names::new(&namespace), self.settings.timeout, self.login);
        let targets: Vec<_> = addresses
            .into_iter()
            .map(|address| Arc::new(Target::new(address, login.clone(), names.clone(), timeout)))
            .collect();
        let ring = Ring::new(targets.iter().map(|target| &*target.address.name));
        let first_connections = connect_all(&targets).await?;
        let max_data_len = targets.iter().filter_map(|target| target.max_data_len()).min();
        let limits = |of| Limits::for_tasks(of).queue(self.settings.queue).timeout(timeout).inline(true);
        let node = |(target, first): (Arc<Target>, Option<Connection>)| {
            let server = Server::new(Arc::clone(&target));
            if let Some(first) = first {
                server.give_back(first);
            }
            let servers = PerRuntime::with(server, move || Ok(Server::new(Arc::clone(&target))));
            Node {
                loads: Batcher::new(servers.clone(), limits(self.pool.div_ceil(2))),
                writes: Batcher::new(servers, limits((self.pool / 2).max(1))),
            }
        };
        let nodes = targets.into_iter().zip(first_connections).map(node).collect();
        Ok(MemcachedStore(Arc::new(Inner { ring, nodes, max_data_len, namespace })))
    }

    /// Returns the addresses, with the settings of TLS for each.
    fn secured(&self) -> Result<Vec<Address>> {
        const EXPOSED: &str = "a connection to another machine is not encrypted: start the server with TLS (`-Z`) and set `tls=true`, \
             or set `tls=false` if the network between the machines is trusted";
        let mut addresses = self.addresses.clone();
        for address in &mut addresses {
            if self.tls == Some(true) {
                address.security = Some(Security::new(&address.host, self.authorities.as_deref())?);
            } else if self.tls.is_none() && address.is_exposed() {
                return wrong(EXPOSED);
            }
        }
        Ok(addresses)
    }
}

/// Connects to all servers side by side. Returns `None` in place of those that do not answer, and warns of them.
///
/// # Errors
/// A mistake at any server, and the first outage if no server answers.
async fn connect_all(targets: &[Arc<Target>]) -> Result<Vec<Option<Connection>>> {
    let connecting = |target: &Arc<Target>| {
        let target = Arc::clone(target);
        tokio::spawn(async move { connect_in_time(&target).await })
    };
    let connecting: Vec<_> = targets.iter().map(connecting).collect();
    let (mut connections, mut outage) = (Vec::with_capacity(targets.len()), None);
    for connected in connecting {
        match connected.await.unwrap_or(Err(ErrorKind::Unavailable.into())) {
            Ok(connection) => connections.push(Some(connection)),
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                connections.push(None);
                outage.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    let Some(error) = outage else { return Ok(connections) };
    let silent = connections.iter().filter(|connection| connection.is_none()).count();
    if silent == connections.len() {
        return Err(error);
    }
    let all = connections.len();
    tracing::warn!(%error, "{silent} of {all} Memcached servers do not answer; their sessions are unavailable until they do");
    Ok(connections)
}

impl fmt::Debug for MemcachedStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers = self.addresses.len();
        f.debug_struct("MemcachedStoreBuilder")
            .field("servers", &servers)
            .field("settings", &self.settings)
            .field("pool", &self.pool)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}
