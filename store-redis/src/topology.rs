//! Servers of a store, as its builder describes them.

use std::sync::Arc;
use std::time::Duration;

use redis::{Client, ProtocolVersion, RedisConnectionInfo};
use session_core::Result;
use session_store_kit::{host_and_port, wrong};

use crate::address::{Address, AddressMap, Announced, at};
use crate::builder::{RedisStoreBuilder, SentinelSettings};
use crate::connection::{Connecting, Source};
use crate::error::{Moment, STOPPED, driver_error};
use crate::exposure::{EXPOSED, is_exposed};
use crate::node::Node;
use crate::router::Topology;
use crate::sentinel::Sentinels;

/// Port of a sentinel without one.
const SENTINEL_PORT: u16 = 26_379;

/// Error text for a cluster without the feature.
#[cfg(not(feature = "cluster"))]
pub(crate) const NOT_COMPILED_IN: &str =
    "a cluster needs the feature `cluster` of session-store-redis, which is not compiled in";

impl RedisStoreBuilder {
    fn connecting(&self) -> Connecting {
        let (connections, password) = (self.connections, self.password.clone());
        Connecting { connections, timeout: self.settings.timeout, password, primary: !self.cluster }
    }

    /// Returns the client of the server that is asked first.
    pub(crate) fn first(&self) -> Result<Client> {
        match &self.sentinel {
            None => Ok(self.clients[0].clone()),
            Some(sentinel) => sentinel_clients(sentinel, &self.clients[0], self.exposed)?.pop().ok_or(STOPPED),
        }
    }

    /// Creates the nodes, without connecting.
    pub(crate) fn topology(&self) -> Result<Topology> {
        let clients = self.clients.iter().map(prepared).collect::<Result<Vec<_>>>()?;
        match (&self.sentinel, &clients[..]) {
            (Some(_), _) if self.cluster => wrong("a cluster has no sentinels: omit `sentinels` or `cluster(true)`"),
            (Some(sentinel), [client]) => self.master_of(sentinel, client),
            (None, _) if self.cluster => self.cluster_of(&clients),
            (None, [client]) if self.addresses.is_empty() => {
                let client = Arc::new(client.clone());
                Ok(Topology::Single(Node::new(|| Source::Address(Arc::clone(&client)), &self.connecting())))
            }
            _ => wrong(
                "`node_at` applies to the nodes of a cluster and to Sentinel: call `cluster(true)` or `sentinels`, or omit it \
                 for a single server",
            ),
        }
    }

    fn master_of(&self, sentinel: &SentinelSettings, client: &Client) -> Result<Topology> {
        if sentinel.master.is_empty() {
            return wrong("the name of the master is empty: Sentinel's configuration names it (`sentinel monitor`)");
        }
        let clients = sentinel_clients(sentinel, client, self.exposed)?;
        let clients = clients.iter().map(prepared).collect::<Result<Vec<_>>>()?;
        let sentinels = Sentinels::new(&clients, &sentinel.master, self.announced(client)?);
        Ok(Topology::Single(Node::new(|| Source::Sentinels(Arc::clone(&sentinels)), &self.connecting())))
    }

    /// Returns the way to reach servers whose addresses are announced, like `client`.
    fn announced(&self, client: &Client) -> Result<Announced> {
        let parsed = |(announced, reachable): &(String, String)| {
            let parse = |text: &str| Address::parse(text, "").filter(|address| !address.host.is_empty());
            Some((parse(announced)?, parse(reachable)?))
        };
        let Some(addresses) = self.addresses.iter().map(parsed).collect::<Option<AddressMap>>() else {
            return wrong("an address in `node_at` is not of the form host:port");
        };
        Ok(Announced { info: client.get_connection_info().clone(), addresses, exposed: self.exposed })
    }

    #[cfg(feature = "cluster")]
    fn cluster_of(&self, clients: &[Client]) -> Result<Topology> {
        if clients.iter().any(|client| client.get_connection_info().redis_settings().db() != 0) {
            return wrong("a cluster has only the database 0: remove the database from the URL");
        }
        let Some(first) = clients.first() else { return Err(STOPPED) };
        let cluster = crate::cluster::Cluster::new(clients, self.announced(first)?, self.connecting())?;
        Ok(Topology::Cluster(Arc::new(cluster)))
    }

    #[cfg(not(feature = "cluster"))]
    fn cluster_of(&self, _clients: &[Client]) -> Result<Topology> {
        wrong(NOT_COMPILED_IN)
    }
}

/// Returns clients of the sentinels, which use TLS if `master` does.
fn sentinel_clients(sentinel: &SentinelSettings, master: &Client, exposed: bool) -> Result<Vec<Client>> {
    let info = master.get_connection_info();
    let mut login = RedisConnectionInfo::default();
    if let Some(user) = &sentinel.login.0 {
        login = login.set_username(user);
    }
    if let Some(password) = &sentinel.login.1 {
        login = login.set_password(password);
    }
    let client = |text: &String| {
        let place = host_and_port(text)?;
        let (host, port) = (place.0.to_owned(), place.1.unwrap_or(SENTINEL_PORT));
        if host.is_empty() {
            return wrong("the address of a sentinel names no host: write host:port");
        }
        let address = at(info.addr(), &Address { host, port });
        if !exposed && is_exposed(&address) {
            return wrong(EXPOSED);
        }
        let info = info.clone().set_addr(address).set_redis_settings(login.clone());
        Client::open(info).map_err(|error| driver_error(&error, Moment::Opening))
    };
    let clients: Vec<_> = sentinel.addresses.iter().map(client).collect::<Result<_>>()?;
    if clients.is_empty() { wrong("no sentinel is named: name all of them") } else { Ok(clients) }
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
