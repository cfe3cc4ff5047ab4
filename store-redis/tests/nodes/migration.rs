//! Migration of a slot of a cluster to another node.

use session_store_redis::redis;

use crate::nodes::{Node, Nodes};
use crate::records::cmd;

/// Migration of a slot, in the steps of an operator's tool.
pub(crate) struct Move {
    pub(crate) slot: u16,
    pub(crate) from: usize,
    pub(crate) to: usize,
}

impl Move {
    pub(crate) async fn open(&self, nodes: &mut Nodes) {
        let (from, to) = (id(nodes, self.from).await, id(nodes, self.to).await);
        let slot = self.slot.to_string();
        tell(&mut nodes.0[self.to], &[b"CLUSTER", b"SETSLOT", slot.as_bytes(), b"IMPORTING", &from]).await;
        tell(&mut nodes.0[self.from], &[b"CLUSTER", b"SETSLOT", slot.as_bytes(), b"MIGRATING", &to]).await;
    }

    pub(crate) async fn carry(&self, nodes: &mut Nodes, password: &str) {
        let (host, port) = nodes.0[self.to].address.rsplit_once(':').unwrap();
        let (host, port) = (host.to_owned(), port.to_owned());
        let slot = self.slot.to_string();
        loop {
            let from = &mut nodes.0[self.from].connection;
            let get = cmd(&[b"CLUSTER", b"GETKEYSINSLOT", slot.as_bytes(), b"100"]);
            let keys: Vec<Vec<u8>> = get.query_async(from).await.unwrap();
            if keys.is_empty() {
                return;
            }
            let mut migrate = redis::cmd("MIGRATE");
            migrate.arg(&host).arg(&port).arg("").arg(0).arg(5000).arg("AUTH").arg(password).arg("KEYS").arg(keys);
            migrate.exec_async(from).await.unwrap();
        }
    }

    pub(crate) async fn close(&self, nodes: &mut Nodes) {
        let (to, slot) = (id(nodes, self.to).await, self.slot.to_string());
        // The importing node first, then the exporting node, then the others.
        let mut order: Vec<usize> = (0..nodes.0.len()).collect();
        order.sort_by_key(|place| if *place == self.to { 0 } else { 1 + usize::from(*place != self.from) });
        for place in order {
            tell(&mut nodes.0[place], &[b"CLUSTER", b"SETSLOT", slot.as_bytes(), b"NODE", &to]).await;
        }
    }

    pub(crate) async fn all(&self, nodes: &mut Nodes, password: &str) {
        self.open(nodes).await;
        self.carry(nodes, password).await;
        self.close(nodes).await;
    }
}

async fn id(nodes: &mut Nodes, place: usize) -> Vec<u8> {
    cmd(&[b"CLUSTER", b"MYID"]).query_async(&mut nodes.0[place].connection).await.unwrap()
}

/// Sends a command to one node, whose answer does not matter.
pub(crate) async fn tell(node: &mut Node, command: &[&[u8]]) {
    cmd(command).exec_async(&mut node.connection).await.unwrap();
}
