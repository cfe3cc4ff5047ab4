//! How a request gets to DynamoDB and back.

use std::future::Future;
use std::marker::PhantomData;
use std::time::Duration;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::SdkError;
use session_core::Result;
use store_batch::{Answers, Item, PerRuntime, RoundTrip};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::client::Clients;
use crate::error::{self, Explains, Failure, Moment, TIMED_OUT};

/// The longest first pause, and the longest of all. The second is twice as long as the first, and so on.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A kind of call.
pub(crate) trait Op: Item {
    /// Carries out at least one of them.
    fn run(items: &[Self], server: &Server, until: Instant) -> impl Future<Output = Answers<Self>> + Send
    where
        Self: Sized;
}

/// A call that is a request of its own, or several.
pub(crate) trait Alone: Item {
    /// Carries it out.
    fn alone(&self, server: &Server, until: Instant) -> impl Future<Output = Result<Self::Output>> + Send;
}

impl<A: Alone> Op for A {
    async fn run(items: &[Self], server: &Server, until: Instant) -> Answers<Self> {
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            answers.push(item.alone(server, until).await);
        }
        Ok(answers)
    }
}

/// What all calls of a store share.
pub(crate) struct Server {
    pub(crate) clients: Clients,
    pub(crate) table: String,
    pub(crate) timeout: Duration,
    /// A permit for each request that may be under way.
    pub(crate) room: Semaphore,
    pub(crate) moment: Moment,
}

/// The way of one kind of call.
pub(crate) struct Trip<O> {
    pub(crate) servers: PerRuntime<Server>,
    pub(crate) of: PhantomData<fn(O)>,
}

impl<O: Op> RoundTrip for Trip<O> {
    type Item = O;

    async fn run(&self, items: &[O]) -> Answers<O> {
        let server = self.servers.get()?;
        O::run(items, &server, Instant::now() + server.timeout).await
    }
}

/// Whether a request may be sent again when nobody knows whether it was done. A write may not, though it would do no harm
/// if it was the last one: somebody may have built on it meanwhile, and would make it look refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sends {
    Reads,
    Writes,
}

impl Server {
    /// Sends what `request` makes, once more where it is a read and its answer was lost,
    /// and again and again while the server is busy.
    pub(crate) async fn ask<T, E, F>(&self, until: Instant, sends: Sends, request: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: Explains,
    {
        let mut pauses = Pauses::until(until);
        let mut again = sends == Sends::Reads;
        loop {
            let answer = timeout_at(until, async {
                // The semaphore is never closed.
                let _room = self.room.acquire().await;
                request().await
            });
            let failure = match answer.await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error::meaning(&error, self.moment),
                Err(_) => return Err(Failure::Lost(TIMED_OUT)),
            };
            match failure {
                Failure::Busy(error) if !pauses.pause().await => return Err(Failure::Lost(error)),
                Failure::Busy(error) => tracing::debug!(%error, "a request is sent again"),
                Failure::Lost(_) if again => again = false,
                other => return Err(other),
            }
        }
    }

    /// A request without a condition.
    pub(crate) async fn read<T, E, F>(&self, until: Instant, request: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: Explains,
    {
        self.ask(until, Sends::Reads, request).await.map_err(Failure::error)
    }
}

/// Pauses that grow, each of random length so that those who met do not meet again.
pub(crate) struct Pauses {
    longest: Duration,
    until: Instant,
}

impl Pauses {
    pub(crate) fn until(until: Instant) -> Self {
        Self { longest: FIRST_PAUSE, until }
    }

    /// Waits, or says that there is no time for it.
    pub(crate) async fn pause(&mut self) -> bool {
        let end = Instant::now() + self.longest.mul_f64(rand::random::<f64>());
        if end >= self.until {
            return false;
        }
        // sleep: the server takes more in a moment, and tells nobody when.
        sleep_until(end).await;
        self.longest = (2 * self.longest).min(LONGEST_PAUSE);
        true
    }
}
