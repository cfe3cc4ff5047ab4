//! State of a cluster that lets a scan over all nodes miss no record while slots move between them.
//!
//! A scan visits one node after the other. It would miss a record that moves meanwhile from a node not yet visited to a visited one.
//! So the scan compares the state of all masters at its start and at its end: their ids, epochs and slots.
//! A node that takes over a slot gets a new epoch. If the states are equal, no slot has moved completely,
//! and every record outside the slots in migration stayed on its node.
//! If they differ, the scan starts again, which shows some records twice but misses none.
//! At the end, the slots in migration are read separately, first from the exporting node and then from the importing node:
//! a key that has left the first is on the second.

use std::sync::Arc;

use redis::{Cmd, Value};
use session_core::{Error, Result};

use super::{Cluster, Member};
use crate::error::UNEXPECTED_REPLY;

/// State of all masters, as they report it themselves.
pub(crate) struct ClusterState {
    /// Fingerprint that changes whenever a slot moves to another node, or its migration starts or ends.
    pub(crate) fingerprint: u64,
    /// Slots in migration with the node to ask: exporting nodes before importing nodes.
    migrating: Vec<(u16, Arc<Member>)>,
}

impl Cluster {
    pub(crate) async fn state(self: &Arc<Self>) -> Result<ClusterState> {
        self.discover().await?;
        let (mut all, mut exporting, mut importing) = (String::new(), Vec::new(), Vec::new());
        for member in self.members() {
            let mut nodes = Cmd::new();
            nodes.arg("CLUSTER").arg("NODES");
            let answer = member.node.send(&nodes).await.map_err(Error::from)?;
            let Some(Master { line, exports, imports }) = text(&answer).and_then(|text| myself(&text)) else {
                return Err(UNEXPECTED_REPLY);
            };
            all.push_str(&line);
            exporting.extend(exports.into_iter().map(|slot| (slot, Arc::clone(&member))));
            importing.extend(imports.into_iter().map(|slot| (slot, Arc::clone(&member))));
        }
        exporting.extend(importing);
        Ok(ClusterState { fingerprint: fingerprint(&all), migrating: exporting })
    }
}

impl ClusterState {
    /// Returns the names of all keys in slots in migration.
    pub(crate) async fn names_in_migration(&self) -> Result<Vec<Value>> {
        let mut names = Vec::new();
        for (slot, member) in &self.migrating {
            let mut get = Cmd::new();
            get.arg("CLUSTER").arg("GETKEYSINSLOT").arg(slot).arg(i32::MAX);
            let Value::Array(some) = member.node.send(&get).await.map_err(Error::from)? else {
                return Err(UNEXPECTED_REPLY);
            };
            names.extend(some);
        }
        Ok(names)
    }
}

fn text(answer: &Value) -> Option<String> {
    match answer {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::VerbatimString { text, .. } => Some(text.clone()),
        _ => None,
    }
}

/// A node's line about itself in `CLUSTER NODES`.
#[derive(Debug, PartialEq, Eq)]
struct Master {
    /// Id, epoch and slots, as text.
    line: String,
    exports: Vec<u16>,
    imports: Vec<u16>,
}

fn myself(nodes: &str) -> Option<Master> {
    let mine = |line: &&str| line.split(' ').nth(2).is_some_and(|flags| flags.split(',').any(|flag| flag == "myself"));
    let fields: Vec<_> = nodes.lines().find(mine)?.split_ascii_whitespace().collect();
    // id, address, flags, primary, ping, pong, epoch, state of the link, slots
    let [id, _, _, _, _, _, epoch, _, slots @ ..] = &fields[..] else { return None };
    let in_migration = |arrow: &str| {
        let slot = |field: &&str| field.strip_prefix('[')?.split_once(arrow)?.0.parse().ok();
        slots.iter().filter_map(slot).collect()
    };
    Some(Master {
        line: format!("{id} {epoch} {}\n", slots.join(" ")),
        exports: in_migration("->-"),
        imports: in_migration("-<-"),
    })
}

/// Hashes with FNV-1a, because another process may continue the scan and must get the same fingerprint.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: &str = "\
07c3 127.0.0.1:30004@31004,host4 slave e7d1 0 1426238317239 4 connected
e7d1 127.0.0.1:30001@31001,host1 myself,master - 0 0 7 connected 0-5460 [93->-292f] [94-<-67ed]
292f 127.0.0.1:30003@31003,host3 master - 0 1426238318243 3 connected 10923-16383
";

    #[test]
    fn what_a_node_says_of_itself_is_read() {
        let expected =
            Master { line: "e7d1 7 0-5460 [93->-292f] [94-<-67ed]\n".into(), exports: vec![93], imports: vec![94] };
        assert_eq!(myself(NODES), Some(expected));
        assert_eq!(myself("292f 127.0.0.1:30003@31003 master - 0 0 3 connected"), None);
    }

    #[test]
    fn a_walk_tells_one_state_from_another() {
        assert_eq!(fingerprint(""), 0xcbf2_9ce4_8422_2325);
        assert_ne!(fingerprint("e7d1 7 0-5460"), fingerprint("e7d1 8 0-5460"));
    }
}
