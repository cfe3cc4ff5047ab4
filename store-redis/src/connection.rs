//! Connections, which all calls share. They are opened when needed and replaced when they break or do not answer.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{Arg, AsyncConnectionConfig, Client, Cmd, PushInfo, PushKind, RedisError, Value};
use session_core::{Error, ErrorKind, Result};
use session_store_kit::{PasswordSource, TIMED_OUT};
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::task::JoinSet;
use tokio::time;

use crate::error::{Moment, STOPPED, driver_error, ends_connection, is_full, is_starting};
use crate::record::UNREFUSED_LEN;

/// Capacity of the channel between the calls and a connection's task, in commands.
const PIPELINE: usize = 1024;

/// Time after a failed attempt to connect in which other connections are used instead.
const RETRY: Duration = Duration::from_secs(1);

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

/// How a node's connections are made.
#[derive(Clone)]
pub(crate) struct Connecting {
    /// Number of connections that calls share.
    pub(crate) connections: usize,
    /// Time-out of a call, connecting included.
    pub(crate) timeout: Duration,
    /// Source of the password, in place of the client's.
    pub(crate) password: Option<PasswordSource>,
}

impl Node {
    pub(crate) fn new(client: &Client, connecting: &Connecting) -> Self {
        let Connecting { connections, timeout, password } = connecting;
        let new = || Arc::new(Connection::new(client.clone(), *timeout, password.clone()));
        let connections = (0..*connections).map(|_| new()).collect();
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
        only.send(async |mut driver| driver.send_packed_command(command).await).await
    }

    /// Uses the connections in turn. If the server lets the store open fewer, the others are used.
    async fn send_by_one_of_several(&self, command: &Cmd) -> Result<Value, Failure> {
        let next = self.sent.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        let mut in_turn = self.connections[next..].iter().chain(&self.connections[..next]);
        let first = &self.connections[next];
        let connection = if first.is_refused() { in_turn.find(|one| one.is_live()).unwrap_or(first) } else { first };
        match connection.send(async |mut driver| driver.send_packed_command(command).await).await {
            Err(Failure::NotConnected(error)) => match self.connections.iter().find(|one| one.is_live()) {
                Some(live) => live.send(async |mut driver| driver.send_packed_command(command).await).await,
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
            let sending = connection.send(async |mut driver| driver.send_packed_command(&command).await);
            time::timeout(connection.timeout, sending).await.unwrap_or_else(|_| Err(Failure::lost()))
        });
        task.join_next().await.and_then(Result::ok).unwrap_or_else(|| Err(Failure::lost()))
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

/// Whether an argument of the command is so long that a server may refuse it, whatever the rest of the command is.
fn is_long(command: &Cmd) -> bool {
    command.args_iter().any(|argument| matches!(argument, Arg::Simple(bytes) if bytes.len() > UNREFUSED_LEN))
}

/// Reason why a command has no reply.
#[derive(Clone)]
pub(crate) enum Failure {
    /// The store gave up before the command was sent, or has no answer of the server.
    NotSent(Error),
    /// No node of the cluster serves a slot.
    #[cfg(feature = "cluster")]
    NotReady,
    /// The password for a new connection could not be had.
    NoPassword(Error),
    /// No connection could be opened.
    NotConnected(RedisError),
    /// The server or the driver returned an error.
    Server(RedisError),
}

impl Failure {
    /// Returns the failure of a command that may or may not have been executed.
    fn lost() -> Self {
        Self::Server(io::Error::from(io::ErrorKind::TimedOut).into())
    }

    /// Whether the reason may pass soon: the server is starting, or has no room for a connection.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::NotSent(_) | Self::NoPassword(_) => false,
            #[cfg(feature = "cluster")]
            Self::NotReady => true,
            Self::NotConnected(error) | Self::Server(error) => is_starting(error) || is_full(error),
        }
    }

    /// Returns the error for the caller.
    pub(crate) fn error(self, moment: Moment) -> Error {
        match self {
            Self::NotSent(error) => error,
            Self::NoPassword(error) => match moment {
                Moment::Opening => error,
                // The store could connect before, so this is an outage.
                Moment::InUse => {
                    Error::fixed(ErrorKind::Unavailable, "the password for a new connection cannot be had")
                        .with_source(&error)
                }
            },
            #[cfg(feature = "cluster")]
            Self::NotReady => crate::error::NOT_READY,
            Self::NotConnected(error) | Self::Server(error) => driver_error(&error, moment),
        }
    }
}

impl From<Failure> for Error {
    /// Returns the error for the caller of a store in use.
    fn from(failure: Failure) -> Self {
        failure.error(Moment::InUse)
    }
}

/// A connection of the driver with the number of the attempt that opened it.
type Opened = (u64, MultiplexedConnection);

/// Result of an attempt to connect, shared by all calls that wait for it.
type Attempt = watch::Receiver<Option<Result<Opened, Failure>>>;

/// One connection, which is opened again after it has ended.
struct Connection {
    client: Client,
    timeout: Duration,
    password: Option<PasswordSource>,
    state: Mutex<ConnectionState>,
}

#[derive(Default)]
struct ConnectionState {
    /// Number of the latest attempt to connect, so that a report about an old connection does not affect a new one.
    number: u64,
    live: Option<MultiplexedConnection>,
    attempt: Option<Attempt>,
    /// Time of the latest attempt, if it failed.
    refused: Option<Instant>,
}

impl Connection {
    fn new(client: Client, timeout: Duration, password: Option<PasswordSource>) -> Self {
        Self { client, timeout, password, state: Mutex::default() }
    }

    /// Opens a connection of the driver, with the password of this moment.
    async fn connect(&self, config: &AsyncConnectionConfig) -> Result<MultiplexedConnection, Failure> {
        let with_password;
        let client = match &self.password {
            None => &self.client,
            Some(source) => {
                let password = source.ask().await.map_err(Failure::NoPassword)?;
                let info = self.client.get_connection_info().clone();
                let redis = info.redis_settings().clone().set_password(password);
                with_password = Client::open(info.set_redis_settings(redis)).map_err(Failure::NotConnected)?;
                &with_password
            }
        };
        client.get_multiplexed_async_connection_with_config(config).await.map_err(Failure::NotConnected)
    }

    /// Locks the state. Poisoning is ignored, because nothing under this lock can panic.
    fn lock(&self) -> MutexGuard<'_, ConnectionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(
        self: &Arc<Self>,
        ask: impl AsyncFnOnce(MultiplexedConnection) -> Result<Value, RedisError>,
    ) -> Result<Value, Failure> {
        let (number, driver) = self.opened().await?;
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

    fn is_live(&self) -> bool {
        self.lock().live.is_some()
    }

    /// Whether there is no connection, and an attempt has failed so lately that another is not worth its time.
    fn is_refused(&self) -> bool {
        let state = self.lock();
        state.live.is_none() && state.refused.is_some_and(|refused| refused.elapsed() < RETRY)
    }

    /// Drops the connection that attempt `number` opened. The next call opens another.
    fn disconnect(&self, number: u64) {
        let mut state = self.lock();
        // The connection is dropped after the lock is released, because dropping it ends its task.
        let _ended = (state.number == number).then(|| state.live.take());
        drop(state);
    }

    /// Returns the open connection, or waits for one attempt to connect that is shared by all calls.
    async fn opened(self: &Arc<Self>) -> Result<Opened, Failure> {
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
            Ok(result) => result.clone().unwrap_or(Err(Failure::NotSent(STOPPED))),
            Err(_) => Err(Failure::NotSent(STOPPED)),
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
async fn connect(connection: Arc<Connection>, number: u64, sender: watch::Sender<Option<Result<Opened, Failure>>>) {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(connection.timeout))
        .set_response_timeout(None) // each call has its own time-out
        .set_pipeline_buffer_size(PIPELINE)
        .set_push_sender(on_disconnection(Arc::downgrade(&connection), number));
    let result = match time::timeout(connection.timeout, connection.connect(&config)).await {
        Ok(connected) => connected.map(|driver| (number, driver)),
        Err(_) => Err(Failure::NotSent(TIMED_OUT)),
    };
    let mut state = connection.lock();
    state.attempt = None;
    state.refused = result.is_err().then(Instant::now);
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
