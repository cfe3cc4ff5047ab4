//! Pages of a scan over all records.

use std::num::NonZeroU32;
#[cfg(feature = "cluster")]
use std::sync::Arc;

use redis::Value;
use session_core::{Call, Cursor, Error, ErrorKind, Page, Result, StoreKey};

use crate::RedisStore;
#[cfg(feature = "cluster")]
use crate::cluster::{Cluster, Node};
use crate::error::STRANGE;
use crate::link::Server;
use crate::pool::Servers;

/// Minimum `COUNT` of a `SCAN` command, because most of the keys may belong to other programs.
const STEP: u32 = 256;

/// Maximum number of `SCAN` commands for one page. A page may be empty if the server holds many other keys.
const STEPS: usize = 16;

/// Maximum number of records in one answer.
const CHUNK: usize = 64;

const STRANGE_CURSOR: Error = Error::fixed(ErrorKind::Config, "the cursor is not one of this store");

/// Position of a scan: the server's own cursor, and keys that it returned beyond the last page.
pub(crate) struct Place {
    /// Cursor of the server. `None` at the end, because the server uses 0 for both the start and the end.
    server: Option<u64>,
    /// Fingerprint of the cluster's state and address of the current node. Empty on a single server and at the start.
    node: Vec<u8>,
    /// Keys that are not yet part of a page.
    waiting: Vec<StoreKey>,
}

impl Place {
    fn read(cursor: Option<&Cursor>) -> Result<Self> {
        let Some(cursor) = cursor else {
            return Ok(Self { server: Some(0), node: Vec::new(), waiting: Vec::new() });
        };
        let (over, rest) = cursor.as_bytes().split_first().ok_or(STRANGE_CURSOR)?;
        let (server, rest) = rest.split_first_chunk::<8>().ok_or(STRANGE_CURSOR)?;
        let (length, rest) = rest.split_first_chunk::<2>().ok_or(STRANGE_CURSOR)?;
        let (node, waiting) = rest.split_at_checked(u16::from_be_bytes(*length).into()).ok_or(STRANGE_CURSOR)?;
        if waiting.len() % StoreKey::LEN != 0 {
            return Err(STRANGE_CURSOR);
        }
        let waiting = waiting.chunks_exact(StoreKey::LEN).map(StoreKey::from_slice).collect::<Result<_>>()?;
        let server = (*over == 0).then(|| u64::from_be_bytes(*server));
        Ok(Self { server, node: node.to_vec(), waiting })
    }

    fn cursor(&self) -> Option<Cursor> {
        if self.server.is_none() && self.waiting.is_empty() {
            return None;
        }
        let mut bytes = vec![u8::from(self.server.is_none())];
        bytes.extend(self.server.unwrap_or(0).to_be_bytes());
        bytes.extend(u16::try_from(self.node.len()).unwrap_or(0).to_be_bytes());
        bytes.extend(&self.node);
        bytes.extend(self.waiting.iter().flat_map(StoreKey::as_bytes));
        Some(Cursor::new(bytes))
    }
}

impl RedisStore {
    pub(crate) async fn page(&self, call: &Call, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        let mut place = Place::read(after.as_ref())?;
        for _ in 0..STEPS {
            if place.waiting.is_empty()
                && let Some(server) = place.server
            {
                let count = limit.get().max(STEP);
                match &self.0.pool.own()?.servers {
                    Servers::One(one) => place.server = self.step(&mut place, one, server, count).await?,
                    #[cfg(feature = "cluster")]
                    Servers::Many(cluster) => self.step_on(&mut place, cluster, server, count).await?,
                }
            }
            if !place.waiting.is_empty() || place.server.is_none() {
                break;
            }
        }
        let now = place.waiting.len().min(limit.get() as usize);
        let keys: Vec<_> = place.waiting.drain(..now).collect();
        let mut records = Vec::new();
        for chunk in keys.chunks(CHUNK) {
            records.extend(self.records(call, chunk).await?.live);
        }
        Ok(Page::new(records, place.cursor()))
    }

    /// Scans about `count` more keys of a server, and returns its next cursor, or `None` at the end.
    async fn step(&self, place: &mut Place, one: &Server, server: u64, count: u32) -> Result<Option<u64>> {
        let mut scan = redis::cmd("SCAN");
        scan.arg(server).arg("MATCH").arg(self.0.keys.pattern()).arg("COUNT").arg(count);
        let Value::Array(answer) = one.send(&scan).await? else { return Err(STRANGE) };
        let Ok([Value::BulkString(next), Value::Array(names)]) = <[Value; 2]>::try_from(answer) else {
            return Err(STRANGE);
        };
        let next: u64 = std::str::from_utf8(&next).ok().and_then(|next| next.parse().ok()).ok_or(STRANGE)?;
        self.wait(place, &names);
        Ok(Some(next).filter(|next| *next != 0))
    }

    /// Adds the keys of records among `names` to the waiting keys.
    fn wait(&self, place: &mut Place, names: &[Value]) {
        place.waiting.extend(names.iter().filter_map(|name| match name {
            Value::BulkString(name) => self.0.keys.key_of(name),
            _ => None,
        }));
    }

    /// Scans about `count` more keys of a cluster, one node after the other. `cluster/walk.rs` explains why it misses no record.
    #[cfg(feature = "cluster")]
    async fn step_on(&self, place: &mut Place, cluster: &Arc<Cluster>, server: u64, count: u32) -> Result<()> {
        let print = match place.node.first_chunk() {
            Some(print) => u64::from_be_bytes(*print),
            None => cluster.state().await?.print,
        };
        let nodes = cluster.nodes();
        let Some((current, node)) = place.find(&nodes) else {
            // The node has left the cluster, and its records are on other nodes.
            place.begin();
            return Ok(());
        };
        let next = self.step(place, &node.server, server, count).await?;
        if next.is_some() {
            place.stand(print, node, next);
        } else if let Some(node) = nodes.get(current + 1) {
            place.stand(print, node, Some(0));
        } else {
            let state = cluster.state().await?;
            if state.print == print {
                self.wait(place, &state.moving().await?);
                place.server = None;
            } else {
                place.begin();
            }
        }
        Ok(())
    }
}

#[cfg(feature = "cluster")]
impl Place {
    /// Returns the node to scan, and its index in `nodes`.
    fn find<'n>(&self, nodes: &'n [Arc<Node>]) -> Option<(usize, &'n Arc<Node>)> {
        let mut nodes = nodes.iter().enumerate();
        match self.node.get(8..) {
            Some(address) => nodes.find(|(_, node)| node.address.text().as_bytes() == address),
            None => nodes.next(),
        }
    }

    fn begin(&mut self) {
        (self.server, self.node) = (Some(0), Vec::new());
    }

    fn stand(&mut self, print: u64, node: &Node, server: Option<u64>) {
        self.server = server;
        self.node = [&print.to_be_bytes(), node.address.text().as_bytes()].concat();
    }
}
