//! A cluster's nodes: which are there, which one serves a key, and what they say when it is another.
//!
//! The driver has a cluster connection too. It is not used, for two reasons. It sends a command again when a connection breaks,
//! which this store leaves to those who know what was meant. And it asks all nodes, one lock over all connections held, whenever the slots
//! have moved: a node that is silent then holds up the sessions on all others. Here a node has its own connections, as a single server has.

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

/// How long a call waits before it asks again a cluster that is not ready: doubled each time, up to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));

/// Redirections in a row that are followed at once. More of them mean that the nodes do not agree yet.
const AT_ONCE: usize = 5;

/// How many known nodes are asked for the slots, besides those that the store was opened with.
const ASKED: usize = 4;

/// Reachable addresses of nodes that are announced under others.
pub(crate) type Ways = HashMap<Address, Address>;

pub(crate) struct Cluster {
    /// What the store was opened with: asked for the slots when no other node is known or answers.
    seeds: Box<[Arc<Node>]>,
    to: Access,
    map: RwLock<Map>,
    /// Whose turn it is to be asked.
    turn: AtomicUsize,
    /// The result of a look at the slots, for all that wait for it.
    looking: Mutex<Option<watch::Receiver<Option<Result<()>>>>>,
}

/// How a node is connected to.
struct Access {
    /// User, password, TLS. The address is each node's own.
    info: ConnectionInfo,
    ways: Ways,
    connections: usize,
    timeout: Duration,
}

pub(crate) struct Node {
    pub(crate) address: Address,
    pub(crate) server: Server,
}

/// Who serves what.
struct Map {
    /// For each slot a place in `nodes`, or none that there is.
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
    /// The cluster that `seeds` are nodes of. Nothing is connected yet.
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

    /// The masters, by their addresses.
    pub(crate) fn nodes(&self) -> Vec<Arc<Node>> {
        let mut nodes = self.map().nodes.clone();
        nodes.sort_unstable_by(|a, b| a.address.cmp(&b.address));
        nodes
    }

    /// Sends a command about `key` to the node that serves it, wherever that is by now.
    ///
    /// A node that says that it is another, or that it is not ready, has not run the command, so it is sent again.
    /// A command whose connection broke may have been run, and is not.
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
                    // Nothing was sent. If another node has taken over, it is asked.
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

    /// The node that a redirection names. One that holds from now on is noted at once, for the calls that come before the next look.
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
        // sleep: the nodes tell nobody when they are ready.
        time::sleep(*pause).await;
        *pause = (*pause * 2).min(PAUSES.1);
        // What is wrong shows with the next command.
        let _ = self.look().await;
    }

    /// Finds out which node serves what. Whoever asks meanwhile gets the same answer.
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
            // One whose runtime has ended answers nobody.
            Some(result) if result.has_changed().is_ok() => result.clone(),
            _ => {
                let (told, result) = watch::channel(None);
                *looking = Some(result.clone());
                // In a task of its own: whoever asked first may be gone before the others.
                tokio::spawn(looked(Arc::clone(self), told));
                result
            }
        }
    }

    /// Asks several nodes at once, and takes the first answer: one that is silent keeps nobody waiting.
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
                // What somebody has to mend says more than what may pass.
                Ok(Err(error)) if telling.as_ref().is_none_or(Error::is_transient) => telling = Some(error),
                _ => {}
            }
        }
        Err(telling.unwrap_or(GIVEN_UP))
    }

    /// Takes over what a node said. Nodes that are still there keep their connections.
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

/// A command under way.
struct Patience<'a> {
    cluster: &'a Arc<Cluster>,
    since: Instant,
    over: bool,
}

impl Drop for Patience<'_> {
    /// Given up without an answer: a node that is silent may have been replaced, and says nothing about it.
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

/// Why a node does not say who serves what.
fn reason(failure: Failure) -> Error {
    match failure {
        Failure::Server(error) if error.kind() == Driver::Server(ServerErrorKind::ResponseError) => {
            Error::fixed(ErrorKind::Config, NO_CLUSTER).with_source(&error)
        }
        failure => failure.into(),
    }
}

/// What to do after an answer that is none.
enum Next {
    /// Ask another node, with this command only or with all about the slot.
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
