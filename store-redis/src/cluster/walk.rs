//! A walk over all nodes of a cluster, while slots may move between them.
//!
//! The nodes are walked one after the other. A record that moves meanwhile, from a node that is still to come to one that was walked already,
//! would be missed. So the walk notes at its beginning what all masters say of themselves: their ids, epochs and slots.
//! Whoever takes over slots takes a new epoch with them, so if they say the same at the end, no slot has changed hands, and but for slots that
//! are just being moved every record stayed on its node. If they do not, the walk begins anew, which shows some records twice and misses none.
//! The slots that are being moved are asked for by themselves at the end, first the node that gives and then the one that takes:
//! whatever was not at the first any more is at the second.

use std::sync::Arc;

use redis::{Cmd, Value};
use session_core::{Error, Result};

use super::{Cluster, Node};
use crate::error::STRANGE;

/// What all masters say of themselves.
pub(crate) struct State {
    /// Changes whenever a slot changes hands, or begins or ends to be moved.
    pub(crate) print: u64,
    /// Slots that are being moved, with the node to ask: those that give before those that take.
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
    /// The names of all keys in slots that are being moved.
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

/// What a node says of itself in `CLUSTER NODES`.
#[derive(Debug, PartialEq, Eq)]
struct Myself {
    /// Id, epoch and slots.
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

/// FNV-1a: the same in every process that goes on with a walk.
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
