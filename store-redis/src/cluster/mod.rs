//! Nodes of a cluster, routing of commands by slot, and redirections.
//!
//! The driver's own cluster connection is not used, for two reasons.
//! It sends a command again when a connection breaks; this store leaves that decision to its callers.
//! When slots have moved it asks all nodes while it holds one lock over all connections, so an unresponsive node delays the sessions
//! on all others. Here each node has its own connections, like a single server.

pub(crate) mod index;
mod slots;
mod walk;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use redis::{Client, Cmd, ConnectionAddr, ErrorKind as Driver, RedisError, ServerErrorKind, Value};
use session_core::{Error, ErrorKind, Result};
use session_store_kit::TIMED_OUT;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time;

use crate::address::{Address, Announced};
use crate::connection::{Connecting, Source};
use crate::error::{Moment, NO_CLUSTER, STOPPED, UNEXPECTED_REPLY, ends_connection};
use crate::failure::Failure;
use crate::node::Node;
pub(crate) use slots::slot;
use slots::{Range, SLOTS, ranges};

/// First and longest pause before a call retries on a cluster that is not ready. The pause doubles each time.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));

/// Number of successive redirections that are followed without a pause. More mean that the nodes do not agree yet.
const REDIRECTIONS: usize = 5;

/// Maximum number of known nodes that are asked for the slots, besides the seeds.
const DISCOVERY_NODES: usize = 4;

/// Result of a running discovery of the slots.
type Discovery = watch::Receiver<Option<Result<(), Failure>>>;

pub(crate) struct Cluster {
    /// Nodes that the store was opened with. They are always asked for the slots too.
    seeds: Box<[Arc<Member>]>,
    settings: NodeSettings,
    table: RwLock<SlotTable>,
    /// Number of the next known node to ask for the slots.
    next_asked: AtomicUsize,
    /// Result of a running discovery of the slots, shared by all calls that wait for it.
    discovery: Mutex<Option<Discovery>>,
}

/// Settings for connections to nodes.
struct NodeSettings {
    announced: Announced,
    connecting: Connecting,
}

/// A node with the address that the cluster announces.
pub(crate) struct Member {
    pub(crate) address: Address,
    pub(crate) node: Node,
}

/// Masters, and the slots that each of them serves.
struct SlotTable {
    /// Index into `members` for each slot. Out of range if no node is known.
    owners: Box<[u16]>,
    members: Vec<Arc<Member>>,
}

impl SlotTable {
    /// Returns the index of the member at `address`, and adds `new()` if there is none.
    fn position(&mut self, address: &Address, new: impl FnOnce() -> Result<Arc<Member>>) -> Result<usize> {
        if let Some(at) = self.members.iter().position(|member| member.address == *address) {
            return Ok(at);
        }
        self.members.push(new()?);
        Ok(self.members.len() - 1)
    }
}

impl NodeSettings {
    fn member(&self, address: Address) -> Result<Arc<Member>> {
        let client = Arc::new(self.announced.client(&address)?);
        let node = Node::new(|| Source::Address(Arc::clone(&client)), &self.connecting);
        Ok(Arc::new(Member { address, node }))
    }
}

impl Cluster {
    /// Creates a cluster with the nodes `seeds`, without connecting. Other nodes are reached as `announced` says.
    pub(crate) fn new(seeds: &[Client], announced: Announced, connecting: Connecting) -> Result<Self> {
        let settings = NodeSettings { announced, connecting };
        let seeds = seeds.iter().map(|seed| match seed.get_connection_info().addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                settings.member(Address { host: host.clone(), port: *port })
            }
            _ => Err(Error::fixed(
                ErrorKind::Config,
                "the URL names a socket file: a cluster needs the address of a node",
            )),
        });
        let seeds = seeds.collect::<Result<_>>()?;
        let table = RwLock::new(SlotTable { owners: vec![u16::MAX; SLOTS].into(), members: Vec::new() });
        Ok(Self { seeds, settings, table, next_asked: AtomicUsize::new(0), discovery: Mutex::default() })
    }

    fn table(&self) -> RwLockReadGuard<'_, SlotTable> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn owner(&self, slot: usize) -> Option<Arc<Member>> {
        let table = self.table();
        table.members.get(usize::from(table.owners[slot])).cloned()
    }

    /// Whether `member` serves the slot of `key`, as far as is known.
    pub(crate) fn serves(&self, member: &Arc<Member>, key: &[u8]) -> bool {
        self.owner(slot(key)).is_some_and(|owner| Arc::ptr_eq(&owner, member))
    }

    /// Returns the masters, ordered by address.
    pub(crate) fn members(&self) -> Vec<Arc<Member>> {
        let mut members = self.table().members.clone();
        members.sort_unstable_by(|a, b| a.address.cmp(&b.address));
        members
    }

    /// Sends a command about `key` to the node that serves its slot, and follows redirections.
    ///
    /// A node that redirects or is not ready has not executed the command, so the command is sent again.
    /// It is not sent again after its connection broke, because it may have been executed.
    pub(crate) async fn send(self: &Arc<Self>, key: &[u8], command: &Cmd) -> Result<Value, Failure> {
        let slot = slot(key);
        let mut guard = RouteGuard { cluster: self, since: Instant::now(), answered: false };
        let answer = self.route(slot, command).await;
        guard.answered = true;
        answer
    }

    async fn route(self: &Arc<Self>, slot: usize, command: &Cmd) -> Result<Value, Failure> {
        let (mut target, mut asking) = (self.owner(slot), false);
        let (mut pause, mut redirected) = (PAUSES.0, 0);
        loop {
            let Some(member) = target else {
                self.wait(&mut pause).await;
                (target, asking) = (self.owner(slot), false);
                continue;
            };
            let node = &member.node;
            let answer = if asking { node.send_asking(command).await } else { node.send(command).await };
            let error = match answer {
                Ok(value) => return Ok(value),
                Err(Failure::Server(error)) => error,
                Err(failure) => {
                    // The command was not sent. If another node has taken over the slot, it is sent there.
                    let discovered = self.discover().await.is_ok();
                    target = self.owner(slot).filter(|owner| discovered && owner.address != member.address);
                    asking = false;
                    if target.is_none() {
                        return Err(failure);
                    }
                    continue;
                }
            };
            match reaction(&error) {
                Reaction::Redirect { only_this } => {
                    redirected += 1;
                    if redirected % REDIRECTIONS == 0 {
                        self.wait(&mut pause).await;
                    }
                    let redirected_to = self.redirected_to(&error, &member, (!only_this).then_some(slot))?;
                    (target, asking) = (Some(redirected_to), only_this);
                }
                Reaction::Retry => {
                    self.wait(&mut pause).await;
                    (target, asking) = (self.owner(slot), false);
                }
                Reaction::Fail => {
                    if ends_connection(&error) {
                        self.start_discovery();
                    }
                    return Err(Failure::Server(error));
                }
            }
        }
    }

    /// Returns the node that a redirection names.
    ///
    /// A permanent redirection (`moved`) updates the slot table at once, so that other calls use it before the next discovery.
    fn redirected_to(
        self: &Arc<Self>,
        error: &RedisError,
        from: &Member,
        moved: Option<usize>,
    ) -> Result<Arc<Member>, Failure> {
        let address = error.redirect_node().and_then(|(address, _)| Address::parse(address, &from.address.host));
        let address = address.ok_or(Failure::NotSent(UNEXPECTED_REPLY))?;
        let Some(slot) = moved else {
            let known = self.table().members.iter().find(|member| member.address == address).cloned();
            return known.map_or_else(|| self.settings.member(address), Ok).map_err(Failure::NotSent);
        };
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let new = || self.settings.member(address.clone());
        let position = table.position(&address, new).map_err(Failure::NotSent)?;
        table.owners[slot] = u16::try_from(position).map_err(|_| Failure::NotSent(UNEXPECTED_REPLY))?;
        let member = Arc::clone(&table.members[position]);
        drop(table);
        self.start_discovery();
        Ok(member)
    }

    async fn wait(self: &Arc<Self>, pause: &mut Duration) {
        // sleep: the nodes do not announce when they are ready.
        time::sleep(*pause).await;
        *pause = (*pause * 2).min(PAUSES.1);
        // An error is ignored here, because the next command reports it.
        let _ = self.discover().await;
    }

    /// Discovers which node serves each slot. Concurrent calls share one discovery.
    pub(crate) async fn discover(self: &Arc<Self>) -> Result<(), Failure> {
        let mut result = self.start_discovery();
        match result.wait_for(Option::is_some).await {
            Ok(result) => result.clone().unwrap_or(Err(Failure::NotSent(STOPPED))),
            Err(_) => Err(Failure::NotSent(STOPPED)),
        }
    }

    fn start_discovery(self: &Arc<Self>) -> Discovery {
        let mut discovery = self.discovery.lock().unwrap_or_else(PoisonError::into_inner);
        match &*discovery {
            // A discovery whose runtime has ended never finishes.
            Some(result) if result.has_changed().is_ok() => result.clone(),
            _ => {
                let (sender, result) = watch::channel(None);
                *discovery = Some(result.clone());
                // In its own task, because the call that started the discovery may be dropped while others wait for it.
                tokio::spawn(run_discovery(Arc::clone(self), sender));
                result
            }
        }
    }

    /// Asks several nodes concurrently and uses the first answer, so that an unresponsive node causes no delay.
    async fn query_slots(&self) -> Result<Vec<Range>, Failure> {
        let mut asked = JoinSet::new();
        let members = self.table().members.clone();
        let first = self.next_asked.fetch_add(DISCOVERY_NODES, Ordering::Relaxed);
        let known =
            (first..first + members.len().min(DISCOVERY_NODES)).map(|n| Arc::clone(&members[n % members.len()]));
        for member in known.chain(self.seeds.iter().cloned()) {
            asked.spawn(async move {
                let mut slots = Cmd::new();
                slots.arg("CLUSTER").arg("SLOTS");
                let answer = member.node.send(&slots).await.map_err(discovery_error)?;
                let ranges = ranges(answer, &member.address.host).map_err(Failure::NotSent)?;
                if ranges.is_empty() { Err(Failure::NotReady) } else { Ok(ranges) }
            });
        }
        let mut reported: Option<Failure> = None;
        let is_transient = |failure: &Failure| failure.clone().error(Moment::Opening).is_transient();
        while let Some(answer) = asked.join_next().await {
            match answer {
                Ok(Ok(ranges)) => return Ok(ranges),
                // A permanent error is more helpful than a transient one.
                Ok(Err(failure)) if reported.as_ref().is_none_or(is_transient) => reported = Some(failure),
                _ => {}
            }
        }
        Err(reported.unwrap_or(Failure::NotSent(STOPPED)))
    }

    /// Replaces the slot table with a node's answer. Nodes that remain keep their connections.
    fn adopt(&self, ranges: Vec<Range>) -> Result<()> {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let mut known: HashMap<Address, Arc<Member>> =
            self.seeds.iter().map(|member| (member.address.clone(), Arc::clone(member))).collect();
        known.extend(table.members.drain(..).map(|member| (member.address.clone(), member)));
        let mut owners = vec![u16::MAX; SLOTS].into_boxed_slice();
        for (first, last, address) in ranges {
            let new = || known.remove(&address).map_or_else(|| self.settings.member(address.clone()), Ok);
            let position = table.position(&address, new)?;
            if let Some(owners) = owners.get_mut(usize::from(first)..=usize::from(last)) {
                owners.fill(u16::try_from(position).map_err(|_| UNEXPECTED_REPLY)?);
            }
        }
        table.owners = owners;
        Ok(())
    }
}

/// Watches a command in flight, and looks for a new owner of its slot if the node does not answer.
struct RouteGuard<'a> {
    cluster: &'a Arc<Cluster>,
    since: Instant,
    answered: bool,
}

impl Drop for RouteGuard<'_> {
    /// Starts a discovery if the command was given up without an answer, because an unresponsive node may have been replaced.
    fn drop(&mut self) {
        if !self.answered
            && self.since.elapsed() >= self.cluster.settings.connecting.timeout / 2
            && Handle::try_current().is_ok()
        {
            self.cluster.start_discovery();
        }
    }
}

async fn run_discovery(cluster: Arc<Cluster>, sender: watch::Sender<Option<Result<(), Failure>>>) {
    let found = time::timeout(cluster.settings.connecting.timeout, cluster.query_slots()).await;
    let found = found.unwrap_or(Err(Failure::NotSent(TIMED_OUT)));
    let result = found.and_then(|ranges| cluster.adopt(ranges).map_err(Failure::NotSent));
    let mut discovery = cluster.discovery.lock().unwrap_or_else(PoisonError::into_inner);
    *discovery = None;
    drop(discovery);
    sender.send_replace(Some(result));
}

/// Converts the error of a node that was asked for the slots.
fn discovery_error(failure: Failure) -> Failure {
    match failure {
        Failure::Server(error) if error.detail().is_some_and(|text| text.contains("cluster support disabled")) => {
            Failure::NotSent(Error::fixed(ErrorKind::Config, NO_CLUSTER))
        }
        failure => failure,
    }
}

/// Reaction to an error of a node.
enum Reaction {
    /// Send to another node: only this command, or all commands for the slot.
    Redirect {
        only_this: bool,
    },
    Retry,
    Fail,
}

fn reaction(error: &RedisError) -> Reaction {
    use ServerErrorKind::{Ask, BusyLoading, ClusterDown, MasterDown, Moved, ReadOnly, TryAgain};
    match error.kind() {
        Driver::Server(Moved) => Reaction::Redirect { only_this: false },
        Driver::Server(Ask) => Reaction::Redirect { only_this: true },
        Driver::Server(TryAgain | ClusterDown | BusyLoading | MasterDown | ReadOnly) => Reaction::Retry,
        _ => Reaction::Fail,
    }
}
