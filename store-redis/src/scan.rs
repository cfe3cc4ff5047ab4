//! Pages of a scan over all records.

use std::num::NonZeroU32;
#[cfg(feature = "cluster")]
use std::sync::Arc;

use redis::Value;
use session_core::{Call, Cursor, Error, ErrorKind, Page, Result, StoreKey};

use crate::RedisStore;
#[cfg(feature = "cluster")]
use crate::cluster::{Cluster, Member};
use crate::error::UNEXPECTED_REPLY;
use crate::node::Node;
use crate::principals::READ_BATCH;
use crate::router::Topology;

/// Minimum `COUNT` of a `SCAN` command, because most of the keys may belong to other programs.
const SCAN_BATCH: u32 = 256;

/// Maximum number of `SCAN` commands for one page. A page may be empty if the server holds many other keys.
const STEPS: usize = 16;

const FOREIGN_CURSOR: Error =
    Error::fixed(ErrorKind::Config, "the cursor is not from this store: start the scan again without one");

/// Position of a scan: the server's own cursor, and keys that it returned beyond the last page.
pub(crate) struct ScanPosition {
    /// Cursor of the server. `None` at the end, because the server uses 0 for both the start and the end.
    cursor: Option<u64>,
    /// Fingerprint of the cluster's state and address of the current node. Empty on a single server and at the start.
    node: Vec<u8>,
    /// Keys that are not yet part of a page.
    pending: Vec<StoreKey>,
}

impl ScanPosition {
    fn decode(cursor: Option<&Cursor>) -> Result<Self> {
        let Some(cursor) = cursor else {
            return Ok(Self { cursor: Some(0), node: Vec::new(), pending: Vec::new() });
        };
        let (over, rest) = cursor.as_bytes().split_first().ok_or(FOREIGN_CURSOR)?;
        let (number, rest) = rest.split_first_chunk::<8>().ok_or(FOREIGN_CURSOR)?;
        let (length, rest) = rest.split_first_chunk::<2>().ok_or(FOREIGN_CURSOR)?;
        let (node, pending) = rest.split_at_checked(u16::from_be_bytes(*length).into()).ok_or(FOREIGN_CURSOR)?;
        if pending.len() % StoreKey::LEN != 0 {
            return Err(FOREIGN_CURSOR);
        }
        let pending = pending.chunks_exact(StoreKey::LEN).map(StoreKey::from_slice).collect::<Result<_>>()?;
        let cursor = (*over == 0).then(|| u64::from_be_bytes(*number));
        Ok(Self { cursor, node: node.to_vec(), pending })
    }

    fn encode(&self) -> Option<Cursor> {
        if self.cursor.is_none() && self.pending.is_empty() {
            return None;
        }
        let mut bytes = vec![u8::from(self.cursor.is_none())];
        bytes.extend(self.cursor.unwrap_or(0).to_be_bytes());
        bytes.extend(u16::try_from(self.node.len()).unwrap_or(0).to_be_bytes());
        bytes.extend(&self.node);
        bytes.extend(self.pending.iter().flat_map(StoreKey::as_bytes));
        Some(Cursor::new(bytes))
    }
}

impl RedisStore {
    pub(crate) async fn page(&self, call: &Call, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        let mut position = ScanPosition::decode(after.as_ref())?;
        for _ in 0..STEPS {
            if position.pending.is_empty()
                && let Some(cursor) = position.cursor
            {
                let count = limit.get().max(SCAN_BATCH);
                match &self.0.router.local()?.topology {
                    Topology::Single(node) => {
                        position.cursor = self.scan_node(&mut position, node, cursor, count).await?;
                    }
                    #[cfg(feature = "cluster")]
                    Topology::Cluster(cluster) => self.scan_cluster(&mut position, cluster, cursor, count).await?,
                }
            }
            if !position.pending.is_empty() || position.cursor.is_none() {
                break;
            }
        }
        let count = position.pending.len().min(limit.get() as usize);
        let keys: Vec<_> = position.pending.drain(..count).collect();
        let mut records = Vec::new();
        for batch in keys.chunks(READ_BATCH) {
            records.extend(self.read(call, batch).await?.live);
        }
        Ok(Page::new(records, position.encode()))
    }

    /// Scans about `count` more keys of a node, and returns its next cursor, or `None` at the end.
    async fn scan_node(
        &self,
        position: &mut ScanPosition,
        node: &Node,
        cursor: u64,
        count: u32,
    ) -> Result<Option<u64>> {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(self.0.keys.pattern()).arg("COUNT").arg(count);
        let Value::Array(answer) = node.send(&scan).await? else { return Err(UNEXPECTED_REPLY) };
        let Ok([Value::BulkString(next), Value::Array(names)]) = <[Value; 2]>::try_from(answer) else {
            return Err(UNEXPECTED_REPLY);
        };
        let next: u64 = std::str::from_utf8(&next).ok().and_then(|next| next.parse().ok()).ok_or(UNEXPECTED_REPLY)?;
        self.add_pending(position, &names);
        Ok(Some(next).filter(|next| *next != 0))
    }

    /// Adds the keys of records among `names` to the pending keys.
    fn add_pending(&self, position: &mut ScanPosition, names: &[Value]) {
        position.pending.extend(names.iter().filter_map(|name| match name {
            Value::BulkString(name) => self.0.keys.key_of(name),
            _ => None,
        }));
    }

    /// Scans about `count` more keys of a cluster, one node after the other. `cluster/walk.rs` explains why it misses no record.
    #[cfg(feature = "cluster")]
    async fn scan_cluster(
        &self,
        position: &mut ScanPosition,
        cluster: &Arc<Cluster>,
        cursor: u64,
        count: u32,
    ) -> Result<()> {
        let fingerprint = match position.node.first_chunk() {
            Some(fingerprint) => u64::from_be_bytes(*fingerprint),
            None => cluster.state().await?.fingerprint,
        };
        let members = cluster.members();
        let Some((current, member)) = position.find(&members) else {
            // The node has left the cluster, and its records are on other nodes.
            position.restart();
            return Ok(());
        };
        let next = self.scan_node(position, &member.node, cursor, count).await?;
        if next.is_some() {
            position.set(fingerprint, member, next);
        } else if let Some(member) = members.get(current + 1) {
            position.set(fingerprint, member, Some(0));
        } else {
            let state = cluster.state().await?;
            if state.fingerprint == fingerprint {
                self.add_pending(position, &state.names_in_migration().await?);
                position.cursor = None;
            } else {
                position.restart();
            }
        }
        Ok(())
    }
}

#[cfg(feature = "cluster")]
impl ScanPosition {
    /// Returns the node to scan, and its index in `members`.
    fn find<'n>(&self, members: &'n [Arc<Member>]) -> Option<(usize, &'n Arc<Member>)> {
        let mut members = members.iter().enumerate();
        match self.node.get(8..) {
            Some(address) => members.find(|(_, member)| member.address.text().as_bytes() == address),
            None => members.next(),
        }
    }

    fn restart(&mut self) {
        (self.cursor, self.node) = (Some(0), Vec::new());
    }

    fn set(&mut self, fingerprint: u64, member: &Member, cursor: Option<u64>) {
        self.cursor = cursor;
        self.node = [&fingerprint.to_be_bytes(), member.address.text().as_bytes()].concat();
    }
}
