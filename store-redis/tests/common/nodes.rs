//! Direct connections to the nodes of a cluster, bypassing the store.

use session_conformance::server::Server;
use session_store_redis::redis::{
    self, Client, Cmd, FromRedisValue, RedisError, RedisResult, aio::MultiplexedConnection,
};

/// A connection to each master.
#[derive(Clone)]
pub(crate) struct Nodes(pub(crate) Vec<Node>);

#[derive(Clone)]
pub(crate) struct Node {
    /// Address that the cluster announces.
    pub(crate) address: String,
    pub(crate) connection: MultiplexedConnection,
}

/// Answer to `CLUSTER SLOTS`: ranges of slots with the host, port and id of their master.
pub(crate) type Slots = Vec<(u16, u16, (String, u16, String, redis::Value))>;

impl Nodes {
    /// Connects to the masters, as reported by the first node of the URL.
    pub(crate) async fn of(server: &Server) -> RedisResult<Self> {
        let at = |address: &str| Client::open(format!("redis://:{}@{address}", server.password()));
        let mut first = at(server.address())?.get_multiplexed_async_connection().await?;
        let slots: Slots = redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut first).await?;
        let mut addresses: Vec<_> = slots.into_iter().map(|(.., (host, port, ..))| format!("{host}:{port}")).collect();
        addresses.sort_unstable();
        addresses.dedup();
        let mut nodes = Vec::new();
        for address in addresses {
            let connection = at(&address)?.get_multiplexed_async_connection().await?;
            nodes.push(Node { address, connection });
        }
        Ok(Self(nodes))
    }

    /// Returns the answer of the node that holds the command's key.
    pub(crate) async fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        let mut moved: Option<RedisError> = None;
        for node in &mut self.0 {
            match command.query_async(&mut node.connection).await {
                Err(error) if error.redirect_node().is_some() => moved = Some(error),
                answer => return answer,
            }
        }
        Err(moved.expect("there are nodes"))
    }
}
