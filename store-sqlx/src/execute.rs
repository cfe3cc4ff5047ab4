//! Sends batches to the server, and retries those that may be sent again.

use std::sync::Arc;
use std::time::Duration;

use session_core::{Error, Result};
use session_store_kit::TIMED_OUT;
use session_store_kit::batch::{Answers, Item, RoundTrip, Trip, Undone};
use tokio::time::{Instant, timeout_at};

use crate::dialect::{Connection, Dialect};
use crate::failure::Failure;
use crate::locks::{Locks, ServerLimits, Wariness};
use crate::operations::{Access, Create, Delete, List, Load, Save, Sweep, Touch, readable};
use crate::places::Purpose;
use crate::pool::{Pool, Pooled};

/// Connections and dialect that all batches of a store share on one runtime.
pub(crate) struct Server<D: Dialect> {
    pub(crate) pool: Pool<D::Database>,
    pub(crate) dialect: Arc<D>,
    pub(crate) timeout: Duration,
    pub(crate) wariness: Wariness,
}

/// A kind of call, which a method of the dialect carries out.
pub(crate) trait Operation: Item {
    const PURPOSE: Purpose;

    /// Carries out a batch of at least one call. Nothing may be sent after `until`.
    fn run<D: Dialect>(
        items: &[Self],
        locks: Locks,
        until: Instant,
        dialect: &D,
        connection: &mut Connection<D>,
    ) -> impl Future<Output = sqlx::Result<Answers<Self>>> + Send
    where
        Self: Sized;
}

/// Implements [`Operation`] for writes that a method of the dialect carries out in batches.
macro_rules! writes {
    ($($call:ident: $method:ident($($locks:ident)?);)*) => {$(
        impl Operation for $call {
            const PURPOSE: Purpose = Purpose::Write;

            async fn run<D: Dialect>(
                items: &[Self],
                _locks: Locks,
                _: Instant,
                dialect: &D,
                connection: &mut Connection<D>,
            ) -> sqlx::Result<Answers<Self>> {
                $(let $locks = _locks;)?
                dialect.$method(items, $($locks,)? connection).await
            }
        }
    )*};
}

writes! {
    Create: create();
    Save: save(locks);
    Touch: touch(locks);
    Delete: delete(locks);
}

impl Operation for Load {
    const PURPOSE: Purpose = Purpose::Read;

    async fn run<D: Dialect>(
        items: &[Self],
        _: Locks,
        _: Instant,
        dialect: &D,
        connection: &mut Connection<D>,
    ) -> sqlx::Result<Answers<Self>> {
        Ok(Ok(dialect.load(items, connection).await?))
    }
}

impl Operation for List {
    const PURPOSE: Purpose = Purpose::Read;

    async fn run<D: Dialect>(
        items: &[Self],
        _: Locks,
        _: Instant,
        dialect: &D,
        connection: &mut Connection<D>,
    ) -> sqlx::Result<Answers<Self>> {
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            let mut list = item.clone();
            let records = loop {
                let found = dialect.list(&list, connection).await?;
                if let Some(records) = readable(found, item.limit, &mut list.limit) {
                    break records;
                }
            };
            answers.push(Ok(records));
        }
        Ok(Ok(answers))
    }
}

impl Operation for Sweep {
    const PURPOSE: Purpose = Purpose::Wait;

    async fn run<D: Dialect>(
        items: &[Self],
        _: Locks,
        until: Instant,
        dialect: &D,
        connection: &mut Connection<D>,
    ) -> sqlx::Result<Answers<Self>> {
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            answers.push(Ok(dialect.sweep(item, until, connection).await?));
        }
        Ok(Ok(answers))
    }
}

impl<D: Dialect, O: Operation> RoundTrip<O> for Server<D> {
    async fn run(&self, items: &[O], trip: Trip) -> Answers<O> {
        let reads = O::PURPOSE == Purpose::Read;
        // The answer to a write may still come when its caller has given up. Waiting for it keeps the connection.
        let last = if reads { trip.deadline } else { trip.deadline + self.slack() };
        let mut limit = if reads { Access::Read.first_deadline(last) } else { last };
        let mut second = !reads;
        // A pool of the application keeps its other connections to the former primary, so each of them may be met once.
        let mut moves = if self.pool.is_own() { 1 } else { self.pool.size() + 1 };
        let mut locks = if reads || trip.alone { Locks::Wait } else { self.wariness.locks() };
        loop {
            match self.once(items, trip, locks, limit).await {
                Ok(answers) => {
                    if answers.is_err() {
                        self.wariness.met();
                    }
                    return answers;
                }
                Err(Failure::Again(error)) if Instant::now() < trip.deadline => {
                    tracing::debug!(%error, "a statement was undone and is sent again");
                }
                // A read waits for a lock of the whole table only.
                Err(Failure::Locked(_)) if reads && Instant::now() < limit => {}
                Err(Failure::Locked(_)) if !trip.alone && locks == Locks::Wait => {
                    self.wariness.met();
                    locks = Locks::Skip;
                }
                Err(Failure::Locked(error)) => {
                    return Err(Undone::part(items.iter().map(|_| None).collect(), error));
                }
                // After this error each call of the batch is run again on its own.
                Err(Failure::Again(error) | Failure::Refused(error) | Failure::Ended(error)) => {
                    return Err(error.into());
                }
                Err(Failure::Lost(_)) if !second => {
                    second = true;
                    limit = last;
                }
                Err(Failure::Demoted(_)) if moves > 0 && Instant::now() < trip.deadline => {
                    moves -= 1;
                    limit = last;
                }
                Err(Failure::Demoted(error) | Failure::Lost(error)) => {
                    return Ok(items.iter().map(|_| Err(error.clone())).collect());
                }
            }
        }
    }
}

impl<D: Dialect> Server<D> {
    /// Returns how long after the deadline of its call a write may still take effect, on connections of the store's own.
    fn slack(&self) -> Duration {
        self.timeout / 8
    }

    async fn once<O: Operation>(
        &self,
        items: &[O],
        trip: Trip,
        locks: Locks,
        limit: Instant,
    ) -> Result<Answers<O>, Failure> {
        let purpose = if trip.alone && O::PURPOSE == Purpose::Write { Purpose::Wait } else { O::PURPOSE };
        let pooled = self.pool.take(purpose, limit.min(trip.deadline)).await;
        let mut pooled = pooled.map_err(|error| Failure::Lost(Error::from(D::failure(&error))))?;
        let run = timeout_at(limit, self.run_on(&mut pooled, items, trip, locks)).await;
        let failure = match run {
            Ok(Ok(answers)) => {
                self.pool.keep(pooled);
                return Ok(answers);
            }
            Ok(Err(failure)) => failure,
            Err(_) => Failure::Lost(TIMED_OUT),
        };
        match &failure {
            Failure::Again(_) | Failure::Locked(_) | Failure::Refused(_) => self.pool.keep(pooled),
            Failure::Ended(_) => {}
            Failure::Demoted(error) | Failure::Lost(error) => {
                tracing::warn!(%error, "a connection to the session database is given up");
                self.pool.give_up_idle();
            }
        }
        Err(failure)
    }

    /// Runs a batch on a connection whose server ends each statement soon after the deadline.
    async fn run_on<O: Operation>(
        &self,
        pooled: &mut Pooled<D::Database>,
        items: &[O],
        trip: Trip,
        locks: Locks,
    ) -> Result<Answers<O>, Failure> {
        let driver = |error: sqlx::Error| D::failure(&error);
        let left = trip.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            // Its callers have given up.
            return Err(Failure::Refused(TIMED_OUT));
        }
        let usual = ServerLimits::usual(self.timeout);
        let limits = if trip.alone && O::PURPOSE != Purpose::Read {
            Some(ServerLimits::alone(left))
        } else if left + self.slack() < usual.statement && O::PURPOSE != Purpose::Read {
            Some(usual.within(left))
        } else {
            None
        };
        if let Some(dialect) = self.dialect.bringing(limits.unwrap_or(usual)) {
            let connection = pooled.connection().map_err(Failure::Refused)?;
            return O::run(items, locks, trip.deadline, &dialect, connection).await.map_err(driver);
        }
        if self.pool.is_own() && limits != pooled.limits {
            let connection = pooled.connection().map_err(Failure::Refused)?;
            self.dialect.limit(limits.unwrap_or(usual), connection).await.map_err(driver)?;
            pooled.limits = limits;
        }
        let connection = pooled.connection().map_err(Failure::Refused)?;
        match O::run(items, locks, trip.deadline, &*self.dialect, &mut *connection).await.map_err(driver) {
            Err(Failure::Locked(error)) => Err(self.dialect.locked(error, connection).await),
            answers => answers,
        }
    }
}
