//! A server, and the connections to it that all calls share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use redis::{Arg, Cmd, Value};
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinSet;
use tokio::time;

use crate::connection::{Connecting, Connection, Source};
use crate::failure::Failure;
use crate::record::UNREFUSED_LEN;

/// A single server or a node of a cluster, and the connections to it.
pub(crate) struct Node {
    connections: Box<[Arc<Connection>]>,
    /// Number of commands sent so far, to use the connections in turn.
    sent: AtomicUsize,
    /// Connection for commands that the server may refuse for their length, because it then closes the connection.
    long: Arc<Connection>,
    /// Held while a long command is in flight, so that a refusal concerns no other command.
    turn: Arc<AsyncMutex<()>>,
}

impl Node {
    /// Creates a node without connecting. Each of its connections leads to a `source`.
    pub(crate) fn new(source: impl Fn() -> Source, connecting: &Connecting) -> Self {
        let new = || Arc::new(Connection::new(source(), connecting));
        let connections = (0..connecting.connections).map(|_| new()).collect();
        Self { connections, sent: AtomicUsize::new(0), long: new(), turn: Arc::default() }
    }

    /// Sends one command and waits for its reply.
    ///
    /// The connection's own task writes the command and reads the reply.
    /// A dropped future therefore leaves neither half a command nor a reply that another call could take for its own.
    pub(crate) async fn send(&self, command: &Cmd) -> Result<Value, Failure> {
        if is_long(command) {
            return Box::pin(self.send_long(command.clone())).await;
        }
        let [only] = &*self.connections else { return self.send_by_one_of_several(command).await };
        only.send(command).await
    }

    /// Uses the connections in turn. If the server lets the store open fewer, the others are used.
    async fn send_by_one_of_several(&self, command: &Cmd) -> Result<Value, Failure> {
        let next = self.sent.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        let mut in_turn = self.connections[next..].iter().chain(&self.connections[..next]);
        let first = &self.connections[next];
        let connection = if first.is_refused() { in_turn.find(|one| one.is_live()).unwrap_or(first) } else { first };
        match connection.send(command).await {
            Err(Failure::NotConnected(error)) => match self.connections.iter().find(|one| one.is_live()) {
                Some(live) => live.send(command).await,
                None => Err(Failure::NotConnected(error)),
            },
            answer => answer,
        }
    }

    /// Sends a long command while no other long command is in flight.
    ///
    /// In a task, because a caller that stops polling must not keep the turn. A dropped call ends its task.
    async fn send_long(&self, command: Cmd) -> Result<Value, Failure> {
        let (connection, turn) = (Arc::clone(&self.long), Arc::clone(&self.turn));
        let mut task = JoinSet::new();
        task.spawn(async move {
            let _turn = turn.lock().await;
            time::timeout(connection.timeout, connection.send(&command)).await.unwrap_or_else(|_| Err(Failure::lost()))
        });
        task.join_next().await.and_then(Result::ok).unwrap_or_else(|| Err(Failure::lost()))
    }

    /// Sends one command preceded by `ASKING`, which a node requires while it imports the key's slot.
    #[cfg(feature = "cluster")]
    pub(crate) async fn send_asking(&self, command: &Cmd) -> Result<Value, Failure> {
        self.connections[0].send_after(&redis::cmd("ASKING"), command).await
    }
}

/// Whether an argument of the command is so long that a server may refuse it, whatever the rest of the command is.
fn is_long(command: &Cmd) -> bool {
    command.args_iter().any(|argument| matches!(argument, Arg::Simple(bytes) if bytes.len() > UNREFUSED_LEN))
}
