//! Sends requests to DynamoDB, and retries those that may be sent again.

use std::future::Future;
use std::time::Duration;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::SdkError;
use session_core::Result;
use session_store_kit::TIMED_OUT;
use session_store_kit::batch::{Answers, Item, RoundTrip, Trip};
use session_store_kit::operations::Access;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::client::Clients;
use crate::error::{self, Explains, Failure, Moment};

/// Maximum length of the first pause. The maximum doubles with each pause.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// Maximum length of any pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Clients and limits that all calls of a store share on one runtime.
pub(crate) struct Server {
    pub(crate) clients: Clients,
    pub(crate) table: String,
    pub(crate) timeout: Duration,
    /// Semaphore with a permit for each request that may be in flight.
    pub(crate) room: Semaphore,
    pub(crate) moment: Moment,
}

/// A call that sends requests of its own. It shares none with other calls.
pub(crate) trait Single: Item {
    /// Carries out the call.
    fn run(&self, server: &Server, until: Instant) -> impl Future<Output = Result<Self::Output>> + Send;
}

impl<S: Single> RoundTrip<S> for Server {
    async fn run(&self, items: &[S], trip: Trip) -> Answers<S> {
        let until = trip.deadline;
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            answers.push(item.run(self, until).await);
        }
        Ok(answers)
    }
}

impl Server {
    /// Sends the request that `request` makes. Retries a read once after a lost answer, and any request while the server is busy.
    pub(crate) async fn ask<T, E, F>(
        &self,
        until: Instant,
        access: Access,
        request: impl Fn() -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: Explains,
    {
        let mut pauses = Pauses::until(until);
        let mut again = access == Access::Read;
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

    /// Sends a read, which has no condition.
    pub(crate) async fn read<T, E, F>(&self, until: Instant, request: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: Explains,
    {
        self.ask(until, Access::Read, request).await.map_err(Failure::error)
    }
}

/// Growing pauses of random length, so that requests that conflicted do not conflict again.
pub(crate) struct Pauses {
    longest: Duration,
    until: Instant,
}

impl Pauses {
    pub(crate) fn until(until: Instant) -> Self {
        Self { longest: FIRST_PAUSE, until }
    }

    /// Waits. Returns `false` at once if the pause would not end before the deadline.
    pub(crate) async fn pause(&mut self) -> bool {
        let end = Instant::now() + self.longest.mul_f64(rand::random::<f64>());
        if end >= self.until {
            return false;
        }
        // sleep: DynamoDB does not tell when it will take the request.
        sleep_until(end).await;
        self.longest = (2 * self.longest).min(LONGEST_PAUSE);
        true
    }
}
