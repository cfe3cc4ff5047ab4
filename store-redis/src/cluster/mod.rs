//! Nodes of a cluster, routing of commands by slot, and redirections.
//!
//! The driver's own cluster connection is not used, for two reasons.
//! It sends a command again when a connection breaks; this store leaves that decision to its callers.
//! When slots have moved it asks all nodes while it holds one lock over all connections, so an unresponsive node delays the sessions
//! on all others. Here each node has its own connections, like a single server.

mod slots;
mod walk;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use redis::{Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind as Driver, RedisError, ServerErrorKind, Value};
use session_core::{Error, ErrorKind, Result};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time;

use crate::error::{GIVEN_UP, NO_CLUSTER, NOT_READY, STRANGE, TIMED_OUT, ends_connection, meaning};
use crate::link::{Failure, Server};
pub(crate) use slots::Address;
use slots::{Range, SLOTS, ranges, slot};

/// First and longest pause before a call retries on a cluster that is not ready. The pause doubles each time.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));

/// Number of successive redirections that are followed without a pause. More mean that the nodes do not agree yet.
const AT_ONCE: usize = 5;

/// Maximum number of known nodes that are asked for the slots, besides the seeds.
const ASKED: usize = 4;

/// Map from announced addresses of nodes to reachable addresses.
pub(crate) type Ways = HashMap<Address, Address>;

pub(crate) struct Cluster {
    /// Nodes that the store was opened with. They are always asked for the slots too.
    seeds: Box<[Arc<Node>]>,
    to: Access,
    map: RwLock<Map>,
    /// Number of the next known node to ask for the slots.
    turn: AtomicUsize,
    /// Result of a running discovery of the slots, shared by all calls that wait for it.
    looking: Mutex<Option<watch::Receiver<Option<Result<()>>>>>,
}

/// Settings for connections to nodes.
struct Access {
    /// User, password and TLS. Each node has its own address.
    info: ConnectionInfo,
    ways: Ways,
    connections: usize,
    timeout: Duration,
}

pub(crate) struct Node {
    pub(crate) address: Address,
    pub(crate) server: Server,
}

/// Slot table.
struct Map {
    /// Index into `nodes` for each slot. Out of range if no node is known.
    owners: Box<[u16]>,
    nodes: Vec<Arc<Node>>,
}

impl Access {
    fn node(&self, address: Address) -> Result<Arc<Node>> {
        let Address { host, port } = self.ways.get(&address).unwrap_or(&address).clone();
        let place = match self.info.addr() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
            }
            _ => ConnectionAddr::Tcp(host, port),
        };
        let client = Client::open(self.info.clone().set_addr(place)).map_err(|error| meaning(&error))?;
        Ok(Arc::new(Node { address, server: Server::new(&client, self.connections, self.timeout) }))
    }
}

impl Cluster {
    /// Creates a cluster with the nodes `seeds`, without connecting.
    pub(crate) fn new(seeds: &[Client], ways: Ways, connections: usize, timeout: Duration) -> Result<Self> {
        let first = seeds.first().ok_or(GIVEN_UP)?;
        let to = Access { info: first.get_connection_info().clone(), ways, connections, timeout };
        let seeds = seeds.iter().map(|seed| match seed.get_connection_info().addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                to.node(Address { host: host.clone(), port: *port })
            }
            _ => Err(Error::fixed(
                ErrorKind::Config,
                "a cluster is not reached by a socket file: its nodes have addresses",
            )),
        });
        let seeds = seeds.collect::<Result<_>>()?;
        let map = Map { owners: vec![u16::MAX; SLOTS].into(), nodes: Vec::new() };
        Ok(Self { seeds, to, map: RwLock::new(map), turn: AtomicUsize::new(0), looking: Mutex::default() })
    }

    fn map(&self) -> RwLockReadGuard<'_, Map> {
        self.map.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn owner(&self, slot: usize) -> Option<Arc<Node>> {
        let map = self.map();
        map.nodes.get(usize::from(map.owners[slot])).cloned()
    }

    /// Returns the masters, ordered by address.
    pub(crate) fn nodes(&self) -> Vec<Arc<Node>> {
        let mut nodes = self.map().nodes.clone();
        nodes.sort_unstable_by(|a, b| a.address.cmp(&b.address));
        nodes
    }

    /// Sends a command about `key` to the node that serves its slot, and follows redirections.
    ///
    /// A node that redirects or is not ready has not executed the command, so the command is sent again.
    /// It is not sent again after its connection broke, because it may have been executed.
    pub(crate) async fn send(self: &Arc<Self>, key: &[u8], command: &Cmd) -> Result<Value, Failure> {
        let slot = slot(key);
        let mut patience = Patience { cluster: self, since: Instant::now(), over: false };
        let answer = self.route(slot, command).await;
        patience.over = true;
        answer
    }

    async fn route(self: &Arc<Self>, slot: usize, command: &Cmd) -> Result<Value, Failure> {
        let (mut target, mut asking) = (self.owner(slot), false);
        let (mut pause, mut redirected) = (PAUSES.0, 0);
        loop {
            let Some(node) = target else {
                self.wait(&mut pause).await;
                (target, asking) = (self.owner(slot), false);
                continue;
            };
            let answer = if asking { node.server.send_asking(command).await } else { node.server.send(command).await };
            let error = match answer {
                Ok(value) => return Ok(value),
                Err(Failure::Link(error)) => {
                    // The command was not sent. If another node has taken over the slot, it is sent there.
                    let looked = self.look().await;
                    target = self.owner(slot).filter(|owner| looked.is_ok() && owner.address != node.address);
                    asking = false;
                    if target.is_none() {
                        return Err(Failure::Link(error));
                    }
                    continue;
                }
                Err(Failure::Server(error)) => error,
            };
            match next(&error) {
                Next::Elsewhere { only_this } => {
                    redirected += 1;
                    if redirected % AT_ONCE == 0 {
                        self.wait(&mut pause).await;
                    }
                    let there = self.elsewhere(&error, &node, (!only_this).then_some(slot))?;
                    (target, asking) = (Some(there), only_this);
                }
                Next::Later => {
                    self.wait(&mut pause).await;
                    (target, asking) = (self.owner(slot), false);
                }
                Next::Failed => {
                    if ends_connection(&error) {
                        self.look_soon();
                    }
                    return Err(Failure::Server(error));
                }
            }
        }
    }

    /// Returns the node that a redirection names.
    ///
    /// A permanent redirection (`moved`) updates the slot table at once, so that other calls use it before the next discovery.
    fn elsewhere(
        self: &Arc<Self>,
        error: &RedisError,
        from: &Node,
        moved: Option<usize>,
    ) -> Result<Arc<Node>, Failure> {
        let address = error.redirect_node().and_then(|(address, _)| Address::parse(address, &from.address.host));
        let address = address.ok_or(Failure::Link(STRANGE))?;
        let Some(slot) = moved else {
            let known = self.map().nodes.iter().find(|node| node.address == address).cloned();
            return known.map_or_else(|| self.to.node(address), Ok).map_err(Failure::Link);
        };
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        let place = match map.nodes.iter().position(|node| node.address == address) {
            Some(place) => place,
            None => {
                let node = self.to.node(address).map_err(Failure::Link)?;
                map.nodes.push(node);
                map.nodes.len() - 1
            }
        };
        map.owners[slot] = u16::try_from(place).map_err(|_| Failure::Link(STRANGE))?;
        let node = Arc::clone(&map.nodes[place]);
        drop(map);
        self.look_soon();
        Ok(node)
    }

    async fn wait(self: &Arc<Self>, pause: &mut Duration) {
        // sleep: the nodes do not announce when they are ready.
        time::sleep(*pause).await;
        *pause = (*pause * 2).min(PAUSES.1);
        // An error is ignored here, because the next command reports it.
        let _ = self.look().await;
    }

    /// Discovers which node serves each slot. Concurrent calls share one discovery.
    pub(crate) async fn look(self: &Arc<Self>) -> Result<()> {
        let mut result = self.look_soon();
        match result.wait_for(Option::is_some).await {
            Ok(result) => result.clone().unwrap_or(Err(GIVEN_UP)),
            Err(_) => Err(GIVEN_UP),
        }
    }

    fn look_soon(self: &Arc<Self>) -> watch::Receiver<Option<Result<()>>> {
        let mut looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        match &*looking {
            // A discovery whose runtime has ended never finishes.
            Some(result) if result.has_changed().is_ok() => result.clone(),
            _ => {
                let (told, result) = watch::channel(None);
                *looking = Some(result.clone());
                // In its own task, because the call that started the discovery may be dropped while others wait for it.
                tokio::spawn(looked(Arc::clone(self), told));
                result
            }
        }
    }

    /// Asks several nodes concurrently and uses the first answer, so that an unresponsive node causes no delay.
    async fn discover(&self) -> Result<Vec<Range>> {
        let mut asked = JoinSet::new();
        let nodes = self.map().nodes.clone();
        let (first, some) = (self.turn.fetch_add(ASKED, Ordering::Relaxed), nodes.len().min(ASKED));
        let known = (first..first + some).map(|turn| Arc::clone(&nodes[turn % nodes.len()]));
        for node in known.chain(self.seeds.iter().cloned()) {
            asked.spawn(async move {
                let mut slots = Cmd::new();
                slots.arg("CLUSTER").arg("SLOTS");
                let ranges = ranges(node.server.send(&slots).await.map_err(reason)?, &node.address.host)?;
                if ranges.is_empty() { Err(NOT_READY) } else { Ok(ranges) }
            });
        }
        let mut telling = None;
        while let Some(answer) = asked.join_next().await {
            match answer {
                Ok(Ok(ranges)) => return Ok(ranges),
                // A permanent error is more helpful than a transient one.
                Ok(Err(error)) if telling.as_ref().is_none_or(Error::is_transient) => telling = Some(error),
                _ => {}
            }
        }
        Err(telling.unwrap_or(GIVEN_UP))
    }

    /// Replaces the slot table with a node's answer. Nodes that remain keep their connections.
    fn adopt(&self, ranges: Vec<Range>) -> Result<()> {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        let mut known: HashMap<Address, Arc<Node>> =
            self.seeds.iter().map(|node| (node.address.clone(), Arc::clone(node))).collect();
        known.extend(map.nodes.drain(..).map(|node| (node.address.clone(), node)));
        let mut owners = vec![u16::MAX; SLOTS].into_boxed_slice();
        for (first, last, address) in ranges {
            let place = match map.nodes.iter().position(|node| node.address == address) {
                Some(place) => place,
                None => {
                    let node = known.remove(&address).map_or_else(|| self.to.node(address), Ok)?;
                    map.nodes.push(node);
                    map.nodes.len() - 1
                }
            };
            if let Some(owners) = owners.get_mut(usize::from(first)..=usize::from(last)) {
                owners.fill(u16::try_from(place).map_err(|_| STRANGE)?);
            }
        }
        map.owners = owners;
        Ok(())
    }
}

/// A command in flight.
struct Patience<'a> {
    cluster: &'a Arc<Cluster>,
    since: Instant,
    over: bool,
}

impl Drop for Patience<'_> {
    /// Starts a discovery if the command was given up without an answer, because an unresponsive node may have been replaced.
    fn drop(&mut self) {
        if !self.over && self.since.elapsed() >= self.cluster.to.timeout / 2 && Handle::try_current().is_ok() {
            self.cluster.look_soon();
        }
    }
}

async fn looked(cluster: Arc<Cluster>, told: watch::Sender<Option<Result<()>>>) {
    let found = time::timeout(cluster.to.timeout, cluster.discover()).await.unwrap_or(Err(TIMED_OUT));
    let result = found.and_then(|ranges| cluster.adopt(ranges));
    let mut looking = cluster.looking.lock().unwrap_or_else(PoisonError::into_inner);
    *looking = None;
    drop(looking);
    told.send_replace(Some(result));
}

/// Converts the error of a node that was asked for the slots.
fn reason(failure: Failure) -> Error {
    match failure {
        Failure::Server(error) if error.kind() == Driver::Server(ServerErrorKind::ResponseError) => {
            Error::fixed(ErrorKind::Config, NO_CLUSTER).with_source(&error)
        }
        failure => failure.into(),
    }
}

/// Reaction to an error of a node.
enum Next {
    /// Send to another node: only this command, or all commands for the slot.
    Elsewhere {
        only_this: bool,
    },
    Later,
    Failed,
}

fn next(error: &RedisError) -> Next {
    use ServerErrorKind::{Ask, BusyLoading, ClusterDown, MasterDown, Moved, ReadOnly, TryAgain};
    match error.kind() {
        Driver::Server(Moved) => Next::Elsewhere { only_this: false },
        Driver::Server(Ask) => Next::Elsewhere { only_this: true },
        Driver::Server(TryAgain | ClusterDown | BusyLoading | MasterDown | ReadOnly) => Next::Later,
        _ => Next::Failed,
    }
}
