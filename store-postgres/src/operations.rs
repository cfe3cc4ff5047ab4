//! Execution of each kind of call: a single call uses a plain statement, several share one for many keys.

use std::collections::HashSet;
use std::sync::Arc;

use session_core::{Outcome, Record, Result, StoreKey, Version};
use session_store_sqlx::operations::{Create, Delete, List, ListTarget, Load, Save, Sweep, SweepTarget, Touch};
use session_store_sqlx::outcome::{self, FoundVersions, Write};
use session_store_sqlx::{Answered, Dialect, Failure, Locks, ServerLimits, Steps, Written, rows};
use sqlx::{PgConnection, Postgres, Row as _};
use tokio::time::Instant;

use crate::schema::Statements;
use crate::statement::{Query, Sending, Statement};
use crate::{error, limits};

/// Maximum number of rows that one statement removes, so that its transaction is short.
const STEP: u32 = 1_000;

/// Collects one column of a batch.
fn column<'a, O, T>(items: &'a [O], of: impl Fn(&'a O) -> T) -> Vec<T> {
    items.iter().map(of).collect()
}

/// The statements of one namespace, and how they are sent.
pub struct Calls {
    statements: Arc<Statements>,
    sending: Sending,
}

impl Dialect for Calls {
    type Database = Postgres;

    fn failure(error: &sqlx::Error) -> Failure {
        error::in_use(error)
    }

    fn is_full(error: &sqlx::Error) -> bool {
        error::state(error).as_deref() == Some("53300")
    }

    async fn limit(&self, limits: ServerLimits, connection: &mut PgConnection) -> sqlx::Result<()> {
        limits::set(limits, connection).await
    }

    fn bringing(&self, limits: ServerLimits) -> Option<Self> {
        match self.sending {
            Sending::Prepared => None,
            Sending::Text(_) => Some(Self { statements: Arc::clone(&self.statements), sending: Sending::with(limits) }),
        }
    }

    async fn load(&self, items: &[Load], connection: &mut PgConnection) -> Answered<Option<Record>> {
        if let [item] = items {
            let query = self.query(&self.statements.load).bind(&item.key.as_bytes()[..]).bind(item.now.as_millis());
            let row = query.fetch_optional(connection).await?;
            return Ok(vec![row.map(|row| rows::record(&row, 0)).transpose()]);
        }
        let keys = column(items, |item| &item.key.as_bytes()[..]);
        let found = self.query(&self.statements.load_many).bind(keys).fetch_all(connection).await?;
        Ok(outcome::loaded(items, &rows::by_key(&found)))
    }

    async fn create(&self, items: &[Create], connection: &mut PgConnection) -> Written {
        let created = |done| Ok(if done { Outcome::Done } else { Outcome::Exists });
        if let [Create { now, key, record }] = items {
            let query = self.query(&self.statements.create).bind(&key.as_bytes()[..]).bind(record.version.as_i64());
            let query = query.bind(record.created_at.as_millis()).bind(record.expires_at.as_millis());
            let query = query.bind(rows::name(record)).bind(&record.data[..]).bind(now.as_millis());
            let done = query.execute(connection).await?;
            return Ok(Ok(vec![created(done.rows_affected() > 0)]));
        }
        let query = self.query(&self.statements.create_many).bind(column(items, |item| &item.key.as_bytes()[..]));
        let query = query.bind(column(items, |item| item.record.version.as_i64()));
        let query = query.bind(column(items, |item| item.record.created_at.as_millis()));
        let query = query.bind(column(items, |item| item.record.expires_at.as_millis()));
        let query = query.bind(column(items, |item| rows::name(&item.record)));
        let query = query.bind(column(items, |item| &item.record.data[..]));
        let query = query.bind(column(items, |item| item.now.as_millis()));
        let done = query.fetch_all(connection).await?;
        let done: Vec<_> = done.iter().filter_map(|row| rows::key(row, 0).ok()).collect();
        Ok(Ok(items.iter().map(|item| created(done.contains(&item.key))).collect()))
    }

    async fn save(&self, items: &[Save], locks: Locks, connection: &mut PgConnection) -> Written {
        if let ([item], Locks::Wait) = (items, locks) {
            return self.save_one(item, connection).await.map(|outcome| Ok(vec![outcome]));
        }
        let query =
            self.query(&self.statements.save_many[locks as usize]).bind(column(items, |item| &item.key.as_bytes()[..]));
        let query = query.bind(column(items, |item| item.expected.as_i64()));
        let query = query.bind(column(items, |item| item.now.as_millis()));
        let query = query.bind(column(items, |item| item.record.version.as_i64()));
        let query = query.bind(column(items, |item| item.record.created_at.as_millis()));
        let query = query.bind(column(items, |item| item.record.expires_at.as_millis()));
        let query = query.bind(column(items, |item| rows::name(&item.record)));
        let query = query.bind(column(items, |item| &item.record.data[..]));
        let found = rows::found(&query.fetch_all(&mut *connection).await?);
        self.outcomes(items, &found, locks, connection).await
    }

    async fn touch(&self, items: &[Touch], locks: Locks, connection: &mut PgConnection) -> Written {
        if let ([item], Locks::Wait) = (items, locks) {
            return self.touch_one(item, connection).await.map(|outcome| Ok(vec![outcome]));
        }
        let query = self
            .query(&self.statements.touch_many[locks as usize])
            .bind(column(items, |item| &item.key.as_bytes()[..]));
        let query = query.bind(column(items, |item| item.expected.as_i64()));
        let query = query.bind(column(items, |item| item.now.as_millis()));
        let query = query.bind(column(items, |item| item.expires_at.as_millis()));
        let found = rows::found(&query.fetch_all(&mut *connection).await?);
        self.outcomes(items, &found, locks, connection).await
    }

    async fn delete(&self, items: &[Delete], locks: Locks, connection: &mut PgConnection) -> Written {
        if let ([item], Locks::Wait) = (items, locks) {
            return self.delete_one(item, connection).await.map(|outcome| Ok(vec![outcome]));
        }
        let query = self
            .query(&self.statements.delete_many[locks as usize])
            .bind(column(items, |item| &item.key.as_bytes()[..]));
        let query = query.bind(column(items, |item| item.now.as_millis()));
        let query = query.bind(column(items, |item| item.expected.map(Version::as_i64)));
        let found = rows::found(&query.fetch_all(&mut *connection).await?);
        self.outcomes(items, &found, locks, connection).await
    }

    async fn list(
        &self,
        List { now, target, limit }: &List,
        connection: &mut PgConnection,
    ) -> Answered<(StoreKey, Record)> {
        let query = match target {
            ListTarget::Of(principal) => self.query(&self.statements.sessions_of).bind(principal.as_str()),
            ListTarget::After(key) => {
                self.query(&self.statements.scan).bind(key.as_ref().map_or(&[][..], |key| key.as_bytes()))
            }
        };
        let found = query.bind(now.as_millis()).bind(i64::from(*limit)).fetch_all(connection).await?;
        Ok(found.iter().map(rows::keyed).collect())
    }

    async fn sweep(
        &self,
        Sweep { now, target }: &Sweep,
        until: Instant,
        connection: &mut PgConnection,
    ) -> sqlx::Result<(u64, bool)> {
        match target {
            SweepTarget::Expired(limit) => {
                let limit = (*limit).min(STEP);
                let query = self.query(&self.statements.purge).bind(now.as_millis()).bind(i64::from(limit));
                let checked = query.fetch_one(connection).await?;
                let (due, removed): (i64, i64) = (checked.try_get(0)?, checked.try_get(1)?);
                Ok((removed.unsigned_abs(), due == i64::from(limit)))
            }
            SweepTarget::Of(principal, keep) => {
                let keep = keep.as_ref().map(|key| &key.as_bytes()[..]);
                let mut steps = Steps::new(STEP, until);
                while !steps.done() {
                    let query = self
                        .query(&self.statements.delete_all)
                        .bind(principal.as_str())
                        .bind(now.as_millis())
                        .bind(keep);
                    let step = query.bind(i64::from(STEP)).fetch_one(&mut *connection).await;
                    steps.note::<Self>(step.and_then(|step| Ok((step.try_get(0)?, step.try_get(1)?))))?;
                }
                Ok((steps.removed(), false))
            }
        }
    }
}

impl Calls {
    pub(crate) fn new(statements: Statements, sending: Sending) -> Self {
        Self { statements: Arc::new(statements), sending }
    }

    fn query<'q>(&'q self, statement: &'q Statement) -> Query<'q> {
        Query::new(statement, &self.sending)
    }

    async fn save_one(&self, item: &Save, connection: &mut PgConnection) -> sqlx::Result<Result<Outcome>> {
        let Save { now, key, expected, record } = item;
        loop {
            let query = self
                .query(&self.statements.save)
                .bind(&key.as_bytes()[..])
                .bind(expected.as_i64())
                .bind(now.as_millis());
            let query = query.bind(record.version.as_i64()).bind(record.created_at.as_millis());
            let query = query.bind(record.expires_at.as_millis()).bind(rows::name(record)).bind(&record.data[..]);
            if query.execute(&mut *connection).await?.rows_affected() > 0 {
                return Ok(Ok(Outcome::Done));
            }
            if let Some(outcome) = self.refused(item, connection).await? {
                return Ok(outcome);
            }
        }
    }

    async fn touch_one(&self, item: &Touch, connection: &mut PgConnection) -> sqlx::Result<Result<Outcome>> {
        let Touch { now, key, expected, expires_at } = item;
        loop {
            let query = self.query(&self.statements.touch).bind(&key.as_bytes()[..]).bind(expected.as_i64());
            let query = query.bind(now.as_millis()).bind(expires_at.as_millis());
            if query.execute(&mut *connection).await?.rows_affected() > 0 {
                return Ok(Ok(Outcome::Done));
            }
            if let Some(outcome) = self.refused(item, connection).await? {
                return Ok(outcome);
            }
        }
    }

    async fn delete_one(&self, item: &Delete, connection: &mut PgConnection) -> sqlx::Result<Result<Outcome>> {
        let Delete { now, key, expected } = item;
        loop {
            let query = self.query(&self.statements.delete).bind(&key.as_bytes()[..]).bind(now.as_millis());
            if query.bind(expected.map(Version::as_i64)).execute(&mut *connection).await?.rows_affected() > 0 {
                return Ok(Ok(Outcome::Done));
            }
            if expected.is_none() {
                return Ok(Ok(Outcome::Missing));
            }
            if let Some(outcome) = self.refused(item, connection).await? {
                return Ok(outcome);
            }
        }
    }

    /// Returns the outcomes of a batch from the rows that it found and locked. Calls for rows that it left out because they were
    /// locked are undone.
    async fn outcomes<W: Write>(
        &self,
        items: &[W],
        found: &FoundVersions,
        locks: Locks,
        connection: &mut PgConnection,
    ) -> Written {
        let mut there = HashSet::new();
        if locks == Locks::Skip && found.len() < items.len() {
            // A row that is missing now is missing during the call, so its outcome stands.
            let absent = items.iter().map(Write::target).filter(|key| !found.contains_key(*key));
            let absent: Vec<_> = absent.map(|key| &key.as_bytes()[..]).collect();
            let stored = self.query(&self.statements.existing).bind(absent).fetch_all(connection).await?;
            there.extend(stored.iter().filter_map(|row| rows::key(row, 0).ok()));
        }
        Ok(Locks::answers(items, outcome::outcomes(items, found), &there))
    }

    /// Reads the version of the live record, after a statement that changed nothing. Returns the outcome, or `None` to try again.
    async fn refused<W: Write>(
        &self,
        item: &W,
        connection: &mut PgConnection,
    ) -> sqlx::Result<Option<Result<Outcome>>> {
        let query =
            self.query(&self.statements.version).bind(&item.target().as_bytes()[..]).bind(item.now().as_millis());
        let live = query.fetch_optional(connection).await?.map(|row| rows::version(&row, 0)).transpose();
        Ok(live.map(|live| item.refused(live)).transpose())
    }
}
