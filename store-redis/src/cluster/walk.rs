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

use super::{Cluster, Node};
use crate::error::STRANGE;

/// State of all masters, as they report it themselves.
pub(crate) struct State {
    /// Fingerprint that changes whenever a slot moves to another node, or its migration starts or ends.
    pub(crate) print: u64,
    /// Slots in migration with the node to ask: exporting nodes before importing nodes.
    moving: Vec<(u16, Arc<Node>)>,
}

impl Cluster {
    pub(crate) async fn state(self: &Arc<Self>) -> Result<State> {
        self.look().await?;
        let (mut all, mut giving, mut taking) = (String::new(), Vec::new(), Vec::new());
        for node in self.nodes() {
            let mut nodes = Cmd::new();
            nodes.arg("CLUSTER").arg("NODES");
            let answer = node.server.send(&nodes).await.map_err(Error::from)?;
            let Some(Myself { said, gives, takes }) = text(&answer).and_then(|text| myself(&text)) else {
                return Err(STRANGE);
            };
            all.push_str(&said);
            giving.extend(gives.into_iter().map(|slot| (slot, Arc::clone(&node))));
            taking.extend(takes.into_iter().map(|slot| (slot, Arc::clone(&node))));
        }
        giving.extend(taking);
        Ok(State { print: print(&all), moving: giving })
    }
}

impl State {
    /// Returns the names of all keys in slots in migration.
    pub(crate) async fn moving(&self) -> Result<Vec<Value>> {
        let mut names = Vec::new();
        for (slot, node) in &self.moving {
            let mut get = Cmd::new();
            get.arg("CLUSTER").arg("GETKEYSINSLOT").arg(slot).arg(i32::MAX);
            let Value::Array(some) = node.server.send(&get).await.map_err(Error::from)? else { return Err(STRANGE) };
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
struct Myself {
    /// Id, epoch and slots, as text.
    said: String,
    gives: Vec<u16>,
    takes: Vec<u16>,
}

fn myself(nodes: &str) -> Option<Myself> {
    let mine = |line: &&str| line.split(' ').nth(2).is_some_and(|flags| flags.split(',').any(|flag| flag == "myself"));
    let fields: Vec<_> = nodes.lines().find(mine)?.split_ascii_whitespace().collect();
    // id, address, flags, primary, ping, pong, epoch, state of the link, slots
    let [id, _, _, _, _, _, epoch, _, slots @ ..] = &fields[..] else { return None };
    let open = |arrow: &str| {
        let slot = |field: &&str| field.strip_prefix('[')?.split_once(arrow)?.0.parse().ok();
        slots.iter().filter_map(slot).collect()
    };
    Some(Myself { said: format!("{id} {epoch} {}\n", slots.join(" ")), gives: open("->-"), takes: open("-<-") })
}

/// Hashes with FNV-1a, because another process may continue the scan and must get the same fingerprint.
fn print(text: &str) -> u64 {
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
            Myself { said: "e7d1 7 0-5460 [93->-292f] [94-<-67ed]\n".into(), gives: vec![93], takes: vec![94] };
        assert_eq!(myself(NODES), Some(expected));
        assert_eq!(myself("292f 127.0.0.1:30003@31003 master - 0 0 3 connected"), None);
    }

    #[test]
    fn a_walk_tells_one_state_from_another() {
        assert_eq!(print(""), 0xcbf2_9ce4_8422_2325);
        assert_ne!(print("e7d1 7 0-5460"), print("e7d1 8 0-5460"));
    }
}
