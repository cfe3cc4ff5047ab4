//! Connections, which all calls share. They are opened when needed and replaced when they break or do not answer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, PushInfo, PushKind, RedisError, Value};
use session_core::{Error, Result};
use tokio::sync::watch;
use tokio::time;

use crate::error::{GIVEN_UP, TIMED_OUT, ends_connection, meaning};

/// Capacity of the channel between the calls and a connection's task, in commands.
const PIPELINE: usize = 1024;

/// One server, and the connections to it.
pub(crate) struct Server {
    links: Box<[Arc<Link>]>,
    turn: AtomicUsize,
}

impl Server {
    pub(crate) fn new(client: &Client, connections: usize, timeout: Duration) -> Self {
        let links = (0..connections).map(|_| Arc::new(Link::new(client.clone(), timeout))).collect();
        Self { links, turn: AtomicUsize::new(0) }
    }

    /// Sends one command and waits for its reply.
    ///
    /// The connection's own task writes the command and reads the reply.
    /// A dropped future therefore leaves neither half a command nor a reply that another call could take for its own.
    pub(crate) async fn send(&self, command: &Cmd) -> Result<Value, Failure> {
        let turn = if self.links.len() == 1 { 0 } else { self.turn.fetch_add(1, Ordering::Relaxed) };
        self.links[turn % self.links.len()]
            .send(async |mut connection| connection.send_packed_command(command).await)
            .await
    }

    /// Sends one command preceded by `ASKING`, which a node requires while it imports the key's slot.
    #[cfg(feature = "cluster")]
    pub(crate) async fn send_asking(&self, command: &Cmd) -> Result<Value, Failure> {
        let mut both = redis::Pipeline::with_capacity(2);
        both.cmd("ASKING").add_command(command.clone());
        self.links[0]
            .send(async |mut connection| {
                let mut answers = connection.send_packed_commands(&both, 1, 1).await?;
                Ok(answers.pop().unwrap_or(Value::Nil))
            })
            .await
    }
}

/// Reason why a command has no reply.
pub(crate) enum Failure {
    /// The command was not sent.
    Link(Error),
    /// The server or the driver returned an error.
    Server(RedisError),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Link(error) => error,
            Failure::Server(error) => meaning(&error),
        }
    }
}

/// A command in flight.
struct Waiting<'a> {
    link: &'a Link,
    number: u64,
    since: Instant,
    answered: bool,
}

impl Waiting<'_> {
    fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Waiting<'_> {
    /// Drops the connection if the call was given up without a reply, so that an unresponsive connection does not delay the next call.
    ///
    /// Keeps it if the command was in flight for less than half of the time-out, because the call spent its time elsewhere.
    fn drop(&mut self) {
        if !self.answered && self.since.elapsed() >= self.link.timeout / 2 {
            self.link.drop_connection(self.number);
        }
    }
}

/// Result of an attempt to connect, shared by all calls that wait for it.
type Attempt = watch::Receiver<Option<Result<(u64, MultiplexedConnection)>>>;

/// Slot for one connection.
struct Link {
    client: Client,
    timeout: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Number of the latest connection attempt, so that a report about an old connection does not affect a new one.
    number: u64,
    live: Option<MultiplexedConnection>,
    attempt: Option<Attempt>,
}

impl Link {
    fn new(client: Client, timeout: Duration) -> Self {
        Self { client, timeout, state: Mutex::default() }
    }

    /// Locks the state. Poisoning is ignored, because nothing under this lock can panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(
        self: &Arc<Self>,
        ask: impl AsyncFnOnce(MultiplexedConnection) -> Result<Value, RedisError>,
    ) -> Result<Value, Failure> {
        let (number, connection) = self.connection().await.map_err(Failure::Link)?;
        let waiting = Waiting { link: self, number, since: Instant::now(), answered: false };
        let answer = ask(connection).await.and_then(Value::extract_error);
        waiting.answered();
        if let Err(error) = &answer
            && ends_connection(error)
        {
            self.drop_connection(number);
        }
        answer.map_err(Failure::Server)
    }

    fn drop_connection(&self, number: u64) {
        let mut state = self.lock();
        // The connection is dropped after the lock is released, because dropping it ends its task.
        let _gone = (state.number == number).then(|| state.live.take());
        drop(state);
    }

    /// Returns the open connection, or waits for one attempt to connect that is shared by all calls.
    async fn connection(self: &Arc<Self>) -> Result<(u64, MultiplexedConnection)> {
        let mut attempt = {
            let mut state = self.lock();
            if let Some(live) = &state.live {
                return Ok((state.number, live.clone()));
            }
            match &state.attempt {
                // An attempt whose runtime has ended never finishes.
                Some(attempt) if attempt.has_changed().is_ok() => attempt.clone(),
                _ => {
                    let (told, attempt) = watch::channel(None);
                    state.attempt = Some(attempt.clone());
                    state.number += 1;
                    tokio::spawn(connect(Arc::clone(self), state.number, told));
                    attempt
                }
            }
        };
        match attempt.wait_for(Option::is_some).await {
            Ok(result) => result.clone().unwrap_or(Err(GIVEN_UP)),
            Err(_) => Err(GIVEN_UP),
        }
    }
}

/// Opens a connection. Runs in its own task, because the call that started the attempt may be dropped while others wait for it.
async fn connect(link: Arc<Link>, number: u64, told: watch::Sender<Option<Result<(u64, MultiplexedConnection)>>>) {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(link.timeout))
        .set_response_timeout(None) // each call has its own time-out
        .set_pipeline_buffer_size(PIPELINE)
        .set_push_sender(disconnected(Arc::downgrade(&link), number));
    let connecting = link.client.get_multiplexed_async_connection_with_config(&config);
    let result = match time::timeout(link.timeout, connecting).await {
        Ok(Ok(connection)) => Ok((number, connection)),
        Ok(Err(error)) => Err(meaning(&error)),
        Err(_) => Err(TIMED_OUT),
    };
    let mut state = link.lock();
    state.attempt = None;
    if let Ok((_, connection)) = &result {
        state.live = Some(connection.clone());
    }
    drop(state);
    told.send_replace(Some(result));
}

/// Returns a handler that drops the connection as soon as it ends, so that no call sends a command on a dead connection.
fn disconnected(link: Weak<Link>, number: u64) -> impl Fn(PushInfo) -> Result<(), ()> + Send + Sync {
    move |push| {
        if push.kind == PushKind::Disconnection
            && let Some(link) = link.upgrade()
        {
            link.drop_connection(number);
        }
        Ok(())
    }
}
