//! A walk over all records.

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

/// Keys that the server looks at for one command, at least: most of them may be others'.
const STEP: u32 = 256;

/// Commands for one page. A page may be empty where the server holds much besides sessions.
const STEPS: usize = 16;

/// Records in one answer.
const CHUNK: usize = 64;

const STRANGE_CURSOR: Error = Error::fixed(ErrorKind::Config, "the cursor is not one of this store");

/// Where a walk stands: the server's own cursor, and keys that it gave beyond the page that asked.
pub(crate) struct Place {
    /// `None` at the end, which a server calls 0, as it does the beginning.
    server: Option<u64>,
    /// Which of a cluster's nodes that is; nothing on a single server, and nothing at the beginning.
    node: Vec<u8>,
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

    /// Has a server look at about `count` keys more, and answers where it stands then.
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

    /// Has those of the names wait that are records'.
    fn wait(&self, place: &mut Place, names: &[Value]) {
        place.waiting.extend(names.iter().filter_map(|name| match name {
            Value::BulkString(name) => self.0.keys.key_of(name),
            _ => None,
        }));
    }

    /// The same on a cluster: when a node is done, the next one is due. How that misses no record stands in `cluster/walk.rs`.
    #[cfg(feature = "cluster")]
    async fn step_on(&self, place: &mut Place, cluster: &Arc<Cluster>, server: u64, count: u32) -> Result<()> {
        let print = match place.node.first_chunk() {
            Some(print) => u64::from_be_bytes(*print),
            None => cluster.state().await?.print,
        };
        let nodes = cluster.nodes();
        let Some((current, node)) = place.find(&nodes) else {
            // It has gone: what it had is elsewhere.
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
    /// The node to ask, and its place among them.
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
