//! A connection, which is opened when it is needed and replaced when it breaks, does not answer or leads to a replica.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, Pipeline, PushInfo, PushKind, RedisError, Value};
use session_core::Result;
use session_store_kit::{PasswordSource, TIMED_OUT};
use tokio::sync::watch;
use tokio::time;

use crate::address::Address;
use crate::error::{STOPPED, UNEXPECTED_REPLY, ends_connection};
use crate::failure::Failure;
use crate::no_master::NAMED_REPLICA;
use crate::primary::{Proof, hello, is_replica};
use crate::sentinel::{SUPERSEDED, Sentinels, unreachable};

/// Capacity of the channel between the calls and a connection's task, in commands.
const PIPELINE: usize = 1024;

/// Time after a failed attempt to connect in which other connections are used instead.
const RETRY: Duration = Duration::from_secs(1);

/// Time after an attempt that found no primary in which calls are refused without another attempt.
const PAUSE: Duration = Duration::from_millis(100);

/// An open connection of the driver.
#[derive(Clone)]
struct Opened {
    /// Number of the attempt that opened it.
    number: u64,
    driver: MultiplexedConnection,
    /// Proof that the server is the primary, if it must be.
    proof: Option<Arc<Proof>>,
    /// Address that the sentinels named, if they are asked.
    master: Option<Arc<Address>>,
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
    /// Whether the server must be a primary. A node of a cluster need not, because a replica redirects all commands.
    pub(crate) primary: bool,
}

/// Where a connection leads to.
pub(crate) enum Source {
    /// To the address of a client. Its name is resolved by each attempt.
    Address(Arc<Client>),
    /// To the server that the sentinels name as the master.
    Sentinels(Arc<Sentinels>),
}

/// Result of an attempt to connect, shared by all calls that wait for it.
type Attempt = watch::Receiver<Option<Result<Opened, Failure>>>;

/// One connection, which is opened again after it has ended.
pub(crate) struct Connection {
    source: Source,
    pub(crate) timeout: Duration,
    password: Option<PasswordSource>,
    primary: bool,
    state: Mutex<ConnectionState>,
}

#[derive(Default)]
struct ConnectionState {
    /// Number of the latest attempt to connect, so that a report about an old connection does not affect a new one.
    number: u64,
    live: Option<Opened>,
    attempt: Option<Attempt>,
    /// Time of the latest attempt, if it failed.
    refused: Option<Instant>,
    /// Time and result of the latest attempt, if it found no primary.
    no_primary: Option<(Instant, Failure)>,
}

impl Connection {
    pub(crate) fn new(source: Source, connecting: &Connecting) -> Self {
        let Connecting { timeout, password, primary, .. } = connecting.clone();
        Self { source, timeout, password, primary, state: Mutex::default() }
    }

    /// Opens a connection of the driver for attempt `number`.
    async fn connect(&self, number: u64, config: &AsyncConnectionConfig) -> Result<Opened, Failure> {
        match &self.source {
            Source::Address(client) => self.connect_to(client, number, config).await,
            Source::Sentinels(sentinels) => Box::pin(self.connect_to_master(sentinels, number, config)).await,
        }
    }

    /// Connects to the server that the sentinels name, and to another one as soon as they name that.
    async fn connect_to_master(
        &self,
        sentinels: &Arc<Sentinels>,
        number: u64,
        config: &AsyncConnectionConfig,
    ) -> Result<Opened, Failure> {
        let watching = sentinels.watch();
        let mut master = watching.master().await?;
        loop {
            let client = sentinels.client(&master)?;
            let opened = tokio::select! {
                opened = self.connect_to(&client, number, config) => opened,
                other = watching.other_than(&master) => {
                    master = other;
                    continue;
                }
            };
            return match opened {
                Ok(opened) => Ok(Opened { master: Some(Arc::new(master)), ..opened }),
                Err(Failure::Replica) => Err(Failure::Sentinel(NAMED_REPLICA)),
                Err(failure) => Err(unreachable(failure)),
            };
        }
    }

    /// Connects with the password of this moment. The server must be a primary, if that is asked for.
    async fn connect_to(
        &self,
        client: &Client,
        number: u64,
        config: &AsyncConnectionConfig,
    ) -> Result<Opened, Failure> {
        let with_password;
        let client = match &self.password {
            None => client,
            Some(source) => {
                let password = source.ask().await.map_err(Failure::NoPassword)?;
                let info = client.get_connection_info().clone();
                let redis = info.redis_settings().clone().set_password(password);
                with_password = Client::open(info.set_redis_settings(redis)).map_err(Failure::NotConnected)?;
                &with_password
            }
        };
        let opened = client.get_multiplexed_async_connection_with_config(config).await;
        let mut driver = opened.map_err(Failure::NotConnected)?;
        let asked = Instant::now();
        if !self.primary {
            return Ok(Opened { number, driver, proof: None, master: None });
        }
        let greeting = driver.send_packed_command(&hello()).await.map_err(Failure::NotConnected)?;
        if is_replica(&greeting) {
            return Err(Failure::Replica);
        }
        Ok(Opened { number, driver, proof: Some(Arc::new(Proof::new(asked))), master: None })
    }

    /// Locks the state. Poisoning is ignored, because nothing under this lock can panic.
    fn lock(&self) -> MutexGuard<'_, ConnectionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn send(self: &Arc<Self>, command: &Cmd) -> Result<Value, Failure> {
        let opened = self.opened().await?;
        match &self.source {
            Source::Address(_) => self.send_on(opened, command).await,
            // Boxed, because it would enlarge the futures of all other stores.
            Source::Sentinels(sentinels) => Box::pin(self.send_to_master(sentinels, opened, command)).await,
        }
    }

    /// Sends a command to a master, and gives it up as soon as the sentinels name another one.
    async fn send_to_master(
        &self,
        sentinels: &Arc<Sentinels>,
        opened: Opened,
        command: &Cmd,
    ) -> Result<Value, Failure> {
        let (number, master) = (opened.number, opened.master.clone().unwrap_or_default());
        let watching = sentinels.watch();
        let answer = tokio::select! {
            answer = self.send_on(opened, command) => answer?,
            _ = watching.other_than(&master) => {
                self.disconnect(number);
                return Err(Failure::NotSent(SUPERSEDED));
            }
        };
        if watching.believes(&master).await {
            return Ok(answer);
        }
        self.disconnect(number);
        Err(Failure::NotSent(SUPERSEDED))
    }

    async fn send_on(&self, opened: Opened, command: &Cmd) -> Result<Value, Failure> {
        let Opened { number, mut driver, proof, .. } = opened;
        let since = Instant::now();
        if let Some(proof) = proof.as_ref().filter(|proof| proof.is_due(since)) {
            // Boxed, because it is rare and would enlarge every call's future.
            return Box::pin(self.send_proving(number, driver, proof, command)).await;
        }
        let guard = ReplyGuard { connection: self, number, since, answered: false };
        let answer = driver.send_packed_command(command).await;
        guard.answered();
        let answer = self.judged(number, answer)?;
        match &proof {
            Some(proof) if !proof.holds(Instant::now()) => Box::pin(self.prove(number, driver, proof)).await?,
            _ => {}
        }
        Ok(answer)
    }

    /// Sends a command behind the question for the server's role.
    async fn send_proving(
        &self,
        number: u64,
        driver: MultiplexedConnection,
        proof: &Proof,
        command: &Cmd,
    ) -> Result<Value, Failure> {
        let asked = Instant::now();
        let [greeting, answer] = self.send_both(number, driver, &hello(), command).await?;
        self.note_role(number, proof, asked, &greeting)?;
        self.judged(number, Ok(answer))
    }

    /// Asks for the server's role after an answer that was long in coming, because the server may have been replaced meanwhile.
    async fn prove(&self, number: u64, mut driver: MultiplexedConnection, proof: &Proof) -> Result<(), Failure> {
        let asked = Instant::now();
        let guard = ReplyGuard { connection: self, number, since: asked, answered: false };
        let greeting = driver.send_packed_command(&hello()).await;
        guard.answered();
        let greeting = self.judged(number, greeting)?;
        self.note_role(number, proof, asked, &greeting)
    }

    fn note_role(&self, number: u64, proof: &Proof, asked: Instant, greeting: &Value) -> Result<(), Failure> {
        if is_replica(greeting) {
            self.disconnect(number);
            return Err(Failure::Replica);
        }
        proof.renew(asked);
        Ok(())
    }

    /// Sends one command after another, in one packet, and returns the answer to the second.
    #[cfg(feature = "cluster")]
    pub(crate) async fn send_after(self: &Arc<Self>, first: &Cmd, command: &Cmd) -> Result<Value, Failure> {
        let Opened { number, driver, .. } = self.opened().await?;
        let [_, answer] = self.send_both(number, driver, first, command).await?;
        self.judged(number, Ok(answer))
    }

    async fn send_both(
        &self,
        number: u64,
        mut driver: MultiplexedConnection,
        first: &Cmd,
        second: &Cmd,
    ) -> Result<[Value; 2], Failure> {
        let mut both = Pipeline::with_capacity(2);
        both.add_command(first.clone()).add_command(second.clone());
        let guard = ReplyGuard { connection: self, number, since: Instant::now(), answered: false };
        let answers = driver.send_packed_commands(&both, 0, 2).await;
        guard.answered();
        let answers = answers.map_err(|error| self.failed(number, error))?;
        answers.try_into().map_err(|_| Failure::NotSent(UNEXPECTED_REPLY))
    }

    /// Takes the server's errors out of an answer, and drops the connection after one that ends it.
    fn judged(&self, number: u64, answer: Result<Value, RedisError>) -> Result<Value, Failure> {
        answer.and_then(Value::extract_error).map_err(|error| self.failed(number, error))
    }

    fn failed(&self, number: u64, error: RedisError) -> Failure {
        if ends_connection(&error) {
            self.disconnect(number);
        }
        Failure::Server(error)
    }

    pub(crate) fn is_live(&self) -> bool {
        self.lock().live.is_some()
    }

    /// Whether there is no connection, and an attempt has failed so lately that another is not worth its time.
    pub(crate) fn is_refused(&self) -> bool {
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
                return Ok(live.clone());
            }
            match &state.attempt {
                // An attempt whose runtime has ended never finishes.
                Some(attempt) if attempt.has_changed().is_ok() => attempt.clone(),
                _ => {
                    if let Some((_, failure)) = state.no_primary.as_ref().filter(|(since, _)| since.elapsed() < PAUSE) {
                        return Err(failure.clone());
                    }
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
    let connected = time::timeout(connection.timeout, connection.connect(number, &config)).await;
    let result = connected.unwrap_or(Err(Failure::NotSent(TIMED_OUT)));
    let mut state = connection.lock();
    state.attempt = None;
    state.refused = result.is_err().then(Instant::now);
    state.no_primary = match &result {
        Err(Failure::Sentinel(reason)) if reason.is_of_the_network() => None,
        Err(failure @ (Failure::Replica | Failure::Sentinel(_))) => Some((Instant::now(), failure.clone())),
        _ => None,
    };
    if let Ok(opened) = &result {
        state.live = Some(opened.clone());
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
