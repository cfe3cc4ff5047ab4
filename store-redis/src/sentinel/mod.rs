//! The master as Redis Sentinel names it, and proof that it still is.
//!
//! The driver's own client for Sentinel is not used. It takes the first answer, which may be that of a sentinel that was away during the
//! last failover. It connects once more to ask for the role, which takes a right that few users have. And it looks only when it is asked,
//! so a connection to a master that hangs would stay.
//!
//! Here the sentinels are asked while calls are in flight, and by the first call after a pause, beside its own command.

mod answer;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};
use session_core::{Error, ErrorKind};
use tokio::sync::{Mutex as AsyncMutex, Notify, mpsc, watch};
use tokio::time;

use crate::address::{Address, Announced};
use crate::error::Moment;
use crate::failure::Failure;
use crate::no_master::SILENT;
use crate::primary::{BELIEVED, RENEWED};
pub(crate) use answer::unreachable;
use answer::{Named, Question, best, more_helpful, refused};

/// Longest time in which a majority of the sentinels may answer. After that, those that have answered decide.
const MAJORITY: Duration = Duration::from_millis(400);

/// Age of a look from which an attempt to connect asks for another. Attempts that fail follow each other at once.
const RECENT: Duration = Duration::from_millis(50);

/// Longest time in which one sentinel may answer, connecting included.
const SILENCE: Duration = Duration::from_secs(1);

/// Answer about a server that was the master and no longer is.
pub(crate) const SUPERSEDED: Error = Error::fixed(
    ErrorKind::Unavailable,
    "the sentinels name another master than the one that was asked, so its answer is not believed",
);

/// The sentinels of one master, asked by all connections of a runtime.
pub(crate) struct Sentinels {
    question: Arc<Question>,
    sentinels: Box<[Arc<Sentinel>]>,
    master: Announced,
    seen: watch::Sender<Seen>,
    state: Mutex<State>,
    /// Wakes the task that asks, before its time.
    wanted: Notify,
}

struct Sentinel {
    client: Client,
    /// Connection, if one is open. Locked while the sentinel is asked, because another question would only wait behind the first.
    connection: Arc<AsyncMutex<Option<MultiplexedConnection>>>,
}

/// Result of the latest look.
#[derive(Clone, Default)]
struct Seen {
    /// Time at which it began.
    asked: Option<Instant>,
    /// Master, as the latest look that had an answer found it.
    master: Option<Address>,
    /// Reason why the latest look had no answer.
    failure: Option<Failure>,
}

impl Seen {
    fn is_younger(&self, age: Duration, now: Instant) -> bool {
        self.asked.is_some_and(|asked| now.saturating_duration_since(asked) < age)
    }
}

#[derive(Default)]
struct State {
    /// Number of calls in flight and of attempts to connect.
    users: usize,
    /// Whether the task that asks is running.
    asking: bool,
}

impl Sentinels {
    /// Creates the sentinels at the addresses of `clients`, without connecting.
    pub(crate) fn new(clients: &[Client], name: &str, master: Announced) -> Arc<Self> {
        let sentinel = |client: &Client| Arc::new(Sentinel { client: client.clone(), connection: Arc::default() });
        Arc::new(Self {
            question: Arc::new(Question::about(name)),
            sentinels: clients.iter().map(sentinel).collect(),
            master,
            seen: watch::Sender::default(),
            state: Mutex::default(),
            wanted: Notify::new(),
        })
    }

    /// Lets the sentinels be asked until the returned value is dropped, because a call is in flight.
    pub(crate) fn watch(self: &Arc<Self>) -> Watching<'_> {
        let mut state = self.lock();
        state.users += 1;
        if !state.asking {
            state.asking = true;
            tokio::spawn(ask_while_used(Asking { sentinels: Arc::clone(self), over: false }));
        }
        drop(state);
        Watching(self)
    }

    /// Returns the client of a server that was named.
    pub(crate) fn client(&self, master: &Address) -> Result<Client, Failure> {
        self.master.client(master).map_err(Failure::NotSent)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks all sentinels side by side, until a majority has answered, or some have and the rest is late.
    async fn look(&self) -> Result<Address, Failure> {
        let (to, mut answers) = mpsc::unbounded_channel();
        for sentinel in &self.sentinels {
            sentinel.ask(&self.question, to.clone());
        }
        drop(to);
        let begun = Instant::now();
        let mut named: Vec<Named> = Vec::new();
        let mut reason: Option<Failure> = None;
        while named.len() <= self.sentinels.len() / 2 {
            let left = MAJORITY.saturating_sub(begun.elapsed());
            let next = match &named[..] {
                [] => answers.recv().await,
                _ => time::timeout(left, answers.recv()).await.unwrap_or(None),
            };
            match next {
                Some(Ok(answer)) => named.push(answer),
                Some(Err(failure)) => reason = Some(more_helpful(reason, failure)),
                None => break,
            }
        }
        let before = self.seen.borrow().master.clone();
        best(named, before.as_ref()).ok_or_else(|| reason.unwrap_or(Failure::Sentinel(SILENT)))
    }
}

impl Sentinel {
    /// Asks the sentinel in a task of its own, so that one that hangs holds up nothing and is connected again once it has been silent.
    fn ask(self: &Arc<Self>, question: &Arc<Question>, to: mpsc::UnboundedSender<Result<Named, Failure>>) {
        let Ok(mut connection) = Arc::clone(&self.connection).try_lock_owned() else { return };
        let (sentinel, question) = (Arc::clone(self), Arc::clone(question));
        tokio::spawn(async move {
            let asking = time::timeout(SILENCE, sentinel.answer(&mut connection, &question));
            let answer = asking.await.unwrap_or(Err(Failure::Sentinel(SILENT)));
            if answer.is_err() {
                *connection = None;
            }
            drop(connection);
            // The look is over if nothing receives the answer.
            let _ = to.send(answer);
        });
    }

    async fn answer(
        &self,
        connection: &mut Option<MultiplexedConnection>,
        question: &Question,
    ) -> Result<Named, Failure> {
        let mut open = match connection.take() {
            Some(open) => open,
            None => {
                let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
                self.client.get_multiplexed_async_connection_with_config(&config).await.map_err(refused)?
            }
        };
        let named = question.ask(&mut open).await?;
        *connection = Some(open);
        Ok(named)
    }
}

/// A call in flight, or an attempt to connect, for which the sentinels are asked.
pub(crate) struct Watching<'s>(&'s Sentinels);

impl Watching<'_> {
    /// Returns the master as the sentinels name it now.
    pub(crate) async fn master(&self) -> Result<Address, Failure> {
        let now = Instant::now();
        let mut seen = self.0.seen.subscribe();
        if !seen.borrow().is_younger(RECENT, now) {
            self.0.wanted.notify_one();
        }
        let seen = seen.wait_for(|seen| seen.is_younger(RECENT, now)).await;
        match seen.as_deref() {
            Ok(Seen { failure: None, master: Some(master), .. }) => Ok(master.clone()),
            Ok(Seen { failure: Some(failure), .. }) => Err(failure.clone()),
            _ => Err(Failure::Sentinel(SILENT)),
        }
    }

    /// Waits until the sentinels name another server than `master`, and returns it.
    pub(crate) async fn other_than(&self, master: &Address) -> Address {
        let mut seen = self.0.seen.subscribe();
        let other = seen.wait_for(|seen| seen.master.as_ref().is_some_and(|named| named != master)).await;
        match other.ok().and_then(|seen| seen.master.clone()) {
            Some(other) => other,
            // The sender is a part of what this future borrows.
            None => std::future::pending().await,
        }
    }

    /// Whether an answer of `master` that has come now is believed: the sentinels have named it within the last second.
    ///
    /// If they cannot be asked, it is, because the master itself says that it is one.
    pub(crate) async fn believes(&self, master: &Address) -> bool {
        let now = Instant::now();
        let mut seen = self.0.seen.subscribe();
        let known = |seen: &Seen| seen.failure.is_some() || seen.is_younger(BELIEVED, now);
        // A look has been under way since the call began, because the last one was too old then.
        let _ = time::timeout(MAJORITY, seen.wait_for(known)).await;
        let seen = self.0.seen.borrow();
        seen.master.as_ref().is_none_or(|named| named == master)
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.0.lock().users -= 1;
    }
}

/// The task that asks. If it is dropped before it is over, with its runtime, another one can be started.
struct Asking {
    sentinels: Arc<Sentinels>,
    over: bool,
}

impl Asking {
    /// Whether nothing is in flight. Then another task is started by the next call.
    fn is_over(&mut self) -> bool {
        let mut state = self.sentinels.lock();
        if state.users == 0 {
            (state.asking, self.over) = (false, true);
        }
        self.over
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if !self.over {
            self.sentinels.lock().asking = false;
        }
    }
}

/// Looks again and again until nothing is in flight.
async fn ask_while_used(mut asking: Asking) {
    let sentinels = Arc::clone(&asking.sentinels);
    loop {
        let last = sentinels.seen.borrow().asked;
        if let Some(left) = last.and_then(|last| RENEWED.checked_sub(last.elapsed())) {
            // sleep: the sentinels are asked a few times a second. An attempt to connect does not wait for that.
            let _ = time::timeout(left, sentinels.wanted.notified()).await;
        }
        if asking.is_over() {
            return;
        }
        let asked = Instant::now();
        let found = sentinels.look().await;
        sentinels.seen.send_modify(|seen| match found {
            Ok(master) => *seen = Seen { asked: Some(asked), master: Some(master), failure: None },
            Err(failure) => {
                let shown = failure.clone().error(Moment::InUse);
                if seen.failure.is_none() {
                    tracing::warn!(error = %shown, "no sentinel names the master");
                }
                (seen.asked, seen.failure) = (Some(asked), Some(failure));
            }
        });
    }
}
