//! Connections, which all calls share. They are opened when needed and replaced when they break or do not answer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, PushInfo, PushKind, RedisError, Value};
use session_core::{Error, Result};
use session_store_kit::TIMED_OUT;
use tokio::sync::watch;
use tokio::time;

use crate::error::{STOPPED, driver_error, ends_connection};

/// Capacity of the channel between the calls and a connection's task, in commands.
const PIPELINE: usize = 1024;

/// A single server or a node of a cluster, and the connections to it.
pub(crate) struct Node {
    connections: Box<[Arc<Connection>]>,
    /// Number of commands sent so far, to use the connections in turn.
    sent: AtomicUsize,
}

impl Node {
    pub(crate) fn new(client: &Client, connections: usize, timeout: Duration) -> Self {
        let connections = (0..connections).map(|_| Arc::new(Connection::new(client.clone(), timeout))).collect();
        Self { connections, sent: AtomicUsize::new(0) }
    }

    /// Sends one command and waits for its reply.
    ///
    /// The connection's own task writes the command and reads the reply.
    /// A dropped future therefore leaves neither half a command nor a reply that another call could take for its own.
    pub(crate) async fn send(&self, command: &Cmd) -> Result<Value, Failure> {
        let count = self.connections.len();
        let next = if count == 1 { 0 } else { self.sent.fetch_add(1, Ordering::Relaxed) % count };
        self.connections[next].send(async |mut driver| driver.send_packed_command(command).await).await
    }

    /// Sends one command preceded by `ASKING`, which a node requires while it imports the key's slot.
    #[cfg(feature = "cluster")]
    pub(crate) async fn send_asking(&self, command: &Cmd) -> Result<Value, Failure> {
        let mut both = redis::Pipeline::with_capacity(2);
        both.cmd("ASKING").add_command(command.clone());
        self.connections[0]
            .send(async |mut driver| {
                let mut answers = driver.send_packed_commands(&both, 1, 1).await?;
                Ok(answers.pop().unwrap_or(Value::Nil))
            })
            .await
    }
}

/// Reason why a command has no reply.
pub(crate) enum Failure {
    NotSent(Error),
    /// The server or the driver returned an error.
    Server(RedisError),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotSent(error) => error,
            Failure::Server(error) => driver_error(&error),
        }
    }
}

/// A connection of the driver with the number of the attempt that opened it.
type Opened = (u64, MultiplexedConnection);

/// Result of an attempt to connect, shared by all calls that wait for it.
type Attempt = watch::Receiver<Option<Result<Opened>>>;

/// One connection, which is opened again after it has ended.
struct Connection {
    client: Client,
    timeout: Duration,
    state: Mutex<ConnectionState>,
}

#[derive(Default)]
struct ConnectionState {
    /// Number of the latest attempt to connect, so that a report about an old connection does not affect a new one.
    number: u64,
    live: Option<MultiplexedConnection>,
    attempt: Option<Attempt>,
}

impl Connection {
    fn new(client: Client, timeout: Duration) -> Self {
        Self { client, timeout, state: Mutex::default() }
    }

    /// Locks the state. Poisoning is ignored, because nothing under this lock can panic.
    fn lock(&self) -> MutexGuard<'_, ConnectionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(
        self: &Arc<Self>,
        ask: impl AsyncFnOnce(MultiplexedConnection) -> Result<Value, RedisError>,
    ) -> Result<Value, Failure> {
        let (number, driver) = self.opened().await.map_err(Failure::NotSent)?;
        let guard = ReplyGuard { connection: self, number, since: Instant::now(), answered: false };
        let answer = ask(driver).await.and_then(Value::extract_error);
        guard.answered();
        if let Err(error) = &answer
            && ends_connection(error)
        {
            self.disconnect(number);
        }
        answer.map_err(Failure::Server)
    }

    /// Drops the connection that attempt `number` opened. The next call opens another.
    fn disconnect(&self, number: u64) {
        let mut state = self.lock();
        // The connection is dropped after the lock is released, because dropping it ends its task.
        let _ended = (state.number == number).then(|| state.live.take());
        drop(state);
    }

    /// Returns the open connection, or waits for one attempt to connect that is shared by all calls.
    async fn opened(self: &Arc<Self>) -> Result<Opened> {
        let mut attempt = {
            let mut state = self.lock();
            if let Some(live) = &state.live {
                return Ok((state.number, live.clone()));
            }
            match &state.attempt {
                // An attempt whose runtime has ended never finishes.
                Some(attempt) if attempt.has_changed().is_ok() => attempt.clone(),
                _ => {
                    let (sender, attempt) = watch::channel(None);
                    state.attempt = Some(attempt.clone());
                    state.number += 1;
                    tokio::spawn(connect(Arc::clone(self), state.number, sender));
                    attempt
                }
            }
        };
        match attempt.wait_for(Option::is_some).await {
            Ok(result) => result.clone().unwrap_or(Err(STOPPED)),
            Err(_) => Err(STOPPED),
        }
    }
}

/// Watches a command in flight, and drops the connection if it does not answer.
struct ReplyGuard<'a> {
    connection: &'a Connection,
    number: u64,
    since: Instant,
    answered: bool,
}

impl ReplyGuard<'_> {
    fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for ReplyGuard<'_> {
    /// Drops the connection if the call was given up without a reply, so that an unresponsive connection does not delay the next call.
    ///
    /// Keeps it if the command was in flight for less than half of the time-out, because the call spent its time elsewhere.
    fn drop(&mut self) {
        if !self.answered && self.since.elapsed() >= self.connection.timeout / 2 {
            self.connection.disconnect(self.number);
        }
    }
}

/// Opens a connection. Runs in its own task, because the call that started the attempt may be dropped while others wait for it.
async fn connect(connection: Arc<Connection>, number: u64, sender: watch::Sender<Option<Result<Opened>>>) {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(connection.timeout))
        .set_response_timeout(None) // each call has its own time-out
        .set_pipeline_buffer_size(PIPELINE)
        .set_push_sender(on_disconnection(Arc::downgrade(&connection), number));
    let connecting = connection.client.get_multiplexed_async_connection_with_config(&config);
    let result = match time::timeout(connection.timeout, connecting).await {
        Ok(Ok(driver)) => Ok((number, driver)),
        Ok(Err(error)) => Err(driver_error(&error)),
        Err(_) => Err(TIMED_OUT),
    };
    let mut state = connection.lock();
    state.attempt = None;
    if let Ok((_, driver)) = &result {
        state.live = Some(driver.clone());
    }
    drop(state);
    sender.send_replace(Some(result));
}

/// Returns a handler that drops the connection as soon as it ends, so that no call sends a command on a dead connection.
fn on_disconnection(connection: Weak<Connection>, number: u64) -> impl Fn(PushInfo) -> Result<(), ()> + Send + Sync {
    move |push| {
        if push.kind == PushKind::Disconnection
            && let Some(connection) = connection.upgrade()
        {
            connection.disconnect(number);
        }
        Ok(())
    }
}
