//! Execution of each kind of call: a single call uses a plain statement, several share statements for many keys.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::sync::Arc;

use session_core::{Error, Outcome, Principal, Record, Result, StoreKey, Timestamp, Version};
use session_store_sqlx::operations::{Create, Delete, List, ListTarget, Load, Save, Sweep, SweepTarget, Touch};
use session_store_sqlx::outcome::{self, FoundVersions, Write};
use session_store_sqlx::{Answered, Dialect, Failure, Locks, ServerLimits, Sql, Steps, Written, rows};
use sqlx::mysql::MySqlRow;
use sqlx::{AssertSqlSafe, Error as Driver, Executor as _, MySql, MySqlConnection, RawSql, Row as _};
use tokio::time::Instant;

use crate::error::{self, DUPLICATE};
use crate::galera;
use crate::json::{self, Row, sorted};
use crate::schema::{self, CREATES, NO_KEY, SAVES, Statements, WIDTHS};
use crate::widths::{Bound, Rows, in_widths, keys};

/// Version that stands for any version in a `delete`. Real versions are never negative.
const ANY: i64 = -1;

impl Dialect for Statements {
    type Database = MySql;

    fn failure(error: &Driver) -> Failure {
        error::in_use(error)
    }

    fn is_full(error: &Driver) -> bool {
        matches!(error::number(error), Some(1040 | 1203 | 1226))
    }

    async fn limit(&self, limits: ServerLimits, connection: &mut MySqlConnection) -> sqlx::Result<()> {
        connection.execute(sqlx::raw_sql(AssertSqlSafe(schema::limits(limits)))).await.map(drop)
    }

    async fn locked(&self, error: Error, connection: &mut MySqlConnection) -> Failure {
        if self.is_node && galera::has_left(connection).await {
            return Failure::Demoted(galera::LEFT);
        }
        Failure::Locked(error)
    }

    async fn load(&self, items: &[Load], connection: &mut MySqlConnection) -> Answered<Option<Record>> {
        if let [item] = items {
            let query = self.load.query().bind(&item.key.as_bytes()[..]).bind(item.now.as_millis());
            let row = query.fetch_all(connection).await?.pop();
            return Ok(vec![row.map(|row| rows::record(&row, 0)).transpose()]);
        }
        let mut found = Vec::with_capacity(items.len());
        for (at, items, missing) in in_widths(items, &WIDTHS) {
            let query = keys(self.load_many[at].query(), items.iter().map(|item| &item.key), missing);
            found.extend(query.fetch_all(&mut *connection).await?);
        }
        Ok(outcome::loaded(items, &rows::by_key(&found)))
    }

    async fn create(&self, items: &[Create], connection: &mut MySqlConnection) -> Written {
        if let [item] = items {
            return self.create_one(item, connection).await.map(|outcome| Ok(vec![outcome]));
        }
        // A part is inserted completely, or not at all if one of its keys exists. Only the calls of such a part are run again, each on
        // its own. Those of the other parts had their effect: a record may have been removed again since.
        let (mut undone, mut stored) = (HashSet::new(), false);
        for part in sorted(items, |item| &item.key).chunks(CREATES) {
            let row = |query: Bound, item: &&Create| bind(query.bind(&item.key.as_bytes()[..]), &item.record);
            match part.iter().fold(self.insert[part.len() - 1].query(), row).execute(&mut *connection).await {
                Ok(_) => stored = true,
                Err(error) if refuses_statement(&error) => undone.extend(part.iter().map(|item| item.key)),
                Err(error) => return Err(if stored { unknown(error) } else { error }),
            }
        }
        Ok(Locks::answers(items, items.iter().map(|_| Ok(Outcome::Done)).collect(), &undone))
    }

    async fn save(&self, items: &[Save], locks: Locks, connection: &mut MySqlConnection) -> Written {
        if let ([item], Locks::Wait) = (items, locks) {
            return self.save_one(item, connection).await.map(|outcome| Ok(vec![outcome]));
        }
        if locks == Locks::Wait && items.iter().all(|item| item.record.is_live(item.now)) {
            return self
                .in_transaction(connection, async |connection| self.save_together(items, connection).await)
                .await
                .map(Ok);
        }
        self.in_transaction(connection, async |connection| {
            let (found, locked) = self.lock(items, locks, connection).await?;
            let there: Vec<&Save> = items.iter().filter(|item| found.contains_key(&item.key)).collect();
            if !there.is_empty() {
                self.save_rows(&there, connection).await?;
            }
            Ok(Locks::answers(items, outcome::outcomes(items, &found), &locked))
        })
        .await
    }

    async fn touch(&self, items: &[Touch], locks: Locks, connection: &mut MySqlConnection) -> Written {
        if let ([item], Locks::Wait) = (items, locks) {
            return self.touch_one(item, connection).await.map(|outcome| Ok(vec![outcome]));
        }
        let touched = |row: &mut Row, item: &Touch| {
            row.number(item.now.as_millis());
            row.number(item.expected.as_i64());
            row.number(item.expires_at.as_millis());
        };
        self.together(items, locks, &self.touch_many, touched, connection).await
    }

    async fn delete(&self, items: &[Delete], locks: Locks, connection: &mut MySqlConnection) -> Written {
        if let ([item], Locks::Wait) = (items, locks) {
            return self.delete_one(item, connection).await.map(|outcome| Ok(vec![outcome]));
        }
        let deleted = |row: &mut Row, item: &Delete| {
            row.number(item.now.as_millis());
            row.number(item.expected.map_or(ANY, Version::as_i64));
        };
        self.together(items, locks, &self.delete_many, deleted, connection).await
    }

    async fn list(
        &self,
        List { now, target, limit }: &List,
        connection: &mut MySqlConnection,
    ) -> Answered<(StoreKey, Record)> {
        let query = match target {
            ListTarget::Of(principal) => self.sessions_of.query().bind(principal.as_str().as_bytes()),
            ListTarget::After(key) => self.scan.query().bind(key.as_ref().map_or(NO_KEY, |key| key.as_bytes())),
        };
        let found = query.bind(now.as_millis()).bind(i64::from(*limit)).fetch_all(connection).await?;
        Ok(found.iter().map(rows::keyed).collect())
    }

    async fn sweep(
        &self,
        Sweep { now, target }: &Sweep,
        until: Instant,
        connection: &mut MySqlConnection,
    ) -> sqlx::Result<(u64, bool)> {
        match target {
            SweepTarget::Expired(limit) => self.purge(*now, *limit, connection).await,
            SweepTarget::Of(principal, keep) => {
                let mut steps = Steps::new(self.purge_rows, until);
                while !steps.done() {
                    let step = self.delete_step(principal, *now, keep.as_ref(), connection).await;
                    steps.note::<Self>(step)?;
                }
                Ok((steps.removed(), false))
            }
        }
    }
}

impl Statements {
    async fn create_one(&self, item: &Create, connection: &mut MySqlConnection) -> sqlx::Result<Result<Outcome>> {
        let Create { now, key, record } = item;
        loop {
            let query = bind(self.insert[0].query().bind(&key.as_bytes()[..]), record);
            match query.execute(&mut *connection).await {
                Ok(_) => return Ok(Ok(Outcome::Done)),
                Err(error) if error::number(&error) == Some(DUPLICATE) => {}
                Err(error) => return Err(error),
            }
            let query = bind(self.replace.query(), record).bind(&key.as_bytes()[..]).bind(now.as_millis());
            if query.execute(&mut *connection).await?.rows_affected() > 0 {
                return Ok(Ok(Outcome::Done));
            }
            // If the row was removed between the statements, the create is tried again.
            if let Some(outcome) = self.refused(item, connection).await? {
                return Ok(outcome);
            }
        }
    }

    async fn save_one(&self, item: &Save, connection: &mut MySqlConnection) -> sqlx::Result<Result<Outcome>> {
        let Save { now, key, expected, record } = item;
        loop {
            let query = bind(self.save.query(), record).bind(&key.as_bytes()[..]);
            let query = query.bind(expected.as_i64()).bind(now.as_millis());
            // The driver counts matched rows, so a row that already holds these values counts as well.
            if query.execute(&mut *connection).await?.rows_affected() > 0 {
                return Ok(Ok(Outcome::Done));
            }
            if let Some(outcome) = self.refused(item, connection).await? {
                return Ok(outcome);
            }
        }
    }

    async fn touch_one(&self, item: &Touch, connection: &mut MySqlConnection) -> sqlx::Result<Result<Outcome>> {
        let Touch { now, key, expected, expires_at } = item;
        loop {
            let query = self.touch.query().bind(expires_at.as_millis()).bind(&key.as_bytes()[..]);
            let query = query.bind(expected.as_i64()).bind(now.as_millis());
            // The driver counts matched rows, so a row that already expires as late counts as well.
            if query.execute(&mut *connection).await?.rows_affected() > 0 {
                return Ok(Ok(Outcome::Done));
            }
            if let Some(outcome) = self.refused(item, connection).await? {
                return Ok(outcome);
            }
        }
    }

    async fn delete_one(&self, item: &Delete, connection: &mut MySqlConnection) -> sqlx::Result<Result<Outcome>> {
        let Delete { now, key, expected } = item;
        let version = expected.map_or(ANY, Version::as_i64);
        loop {
            let query = self.delete.query().bind(&key.as_bytes()[..]).bind(now.as_millis()).bind(version).bind(version);
            if query.execute(&mut *connection).await?.rows_affected() > 0 {
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

    /// Reads the version of the live record, after a statement that changed nothing. Returns the outcome, or `None` to try again.
    async fn refused<W: Write>(
        &self,
        item: &W,
        connection: &mut MySqlConnection,
    ) -> sqlx::Result<Option<Result<Outcome>>> {
        let query = self.version.query().bind(&item.target().as_bytes()[..]).bind(item.now().as_millis());
        let live = query.fetch_all(connection).await?.first().map(|row| rows::version(row, 0)).transpose();
        Ok(live.map(|live| item.refused(live)).transpose())
    }

    /// Saves a batch of records that are all live. If some saves were refused, reads the stored versions in the same transaction,
    /// before another client can change the saved rows.
    async fn save_together(&self, items: &[Save], connection: &mut MySqlConnection) -> Answered<Outcome> {
        let saved = self.save_rows(items, &mut *connection).await?;
        if saved == items.len() as u64 {
            return Ok(items.iter().map(|_| Ok(Outcome::Done)).collect());
        }
        Ok(outcome::saved(items, &rows::found(&self.find(items, Write::target, connection).await?)))
    }

    /// Saves those of `items` whose row is live and has the expected version. Returns their number.
    async fn save_rows<S: Borrow<Save>>(&self, items: &[S], connection: &mut MySqlConnection) -> sqlx::Result<u64> {
        let mut saved = 0;
        for (at, saves, missing) in in_widths(items, &WIDTHS[..SAVES]) {
            let rows = Rows { saves, missing };
            let query = self.save_many[at].query();
            let query = rows.pairs(query, |save| Some(save.record.version.as_i64()));
            let query = rows.pairs(query, |save| Some(save.record.created_at.as_millis()));
            let query = rows.pairs(query, |save| Some(save.record.expires_at.as_millis()));
            let query = rows.pairs(query, |save| rows::name(&save.record).map(str::as_bytes));
            let query = rows.pairs(query, |save| Some(&save.record.data[..]));
            let query = keys(query, saves.iter().map(|save| &save.borrow().key), missing);
            let query = rows.pairs(query, |save| Some(save.expected.as_i64()));
            let query = rows.pairs(query, |save| Some(save.now.as_millis()));
            saved += query.execute(&mut *connection).await?.rows_affected();
        }
        Ok(saved)
    }

    /// Reads and locks the stored rows. They stay unchanged until the transaction ends. Also returns the keys of the rows that were
    /// left out because they are locked.
    async fn lock<W: Write>(
        &self,
        items: &[W],
        locks: Locks,
        connection: &mut MySqlConnection,
    ) -> sqlx::Result<(FoundVersions, HashSet<StoreKey>)> {
        let keys = json::rows(items, Write::target, |_, _| ());
        let found = self.lock_many[locks as usize].query().bind(keys).fetch_all(&mut *connection).await?;
        let (found, mut locked) = (rows::found(&found), HashSet::new());
        if locks == Locks::Skip && found.len() < items.len() {
            // A row that is missing now is missing during the call, so its outcome stands.
            let absent: Vec<&W> = items.iter().filter(|item| !found.contains_key(item.target())).collect();
            let stored = self.find(&absent, |item| item.target(), connection).await?;
            locked.extend(stored.iter().filter_map(|row| rows::key(row, 0).ok()));
        }
        Ok((found, locked))
    }

    /// Reads key, version and expiry of the stored rows, without locks.
    async fn find<T>(
        &self,
        items: &[T],
        key: impl Fn(&T) -> &StoreKey,
        connection: &mut MySqlConnection,
    ) -> sqlx::Result<Vec<MySqlRow>> {
        let mut found = Vec::with_capacity(items.len());
        for (at, items, missing) in in_widths(items, &WIDTHS[..SAVES]) {
            let query = keys(self.find_many[at].query(), items.iter().map(&key), missing);
            found.extend(query.fetch_all(&mut *connection).await?);
        }
        Ok(found)
    }

    /// Carries out a batch of writes to stored rows. Locks the rows, changes them, and derives the outcomes from the locked rows.
    ///
    /// Keys without a row are left out of the change. They could not be locked, so a row may have been created meanwhile.
    async fn together<W: Write>(
        &self,
        items: &[W],
        locks: Locks,
        write: &Sql<MySql>,
        row: impl Fn(&mut Row, &W),
        connection: &mut MySqlConnection,
    ) -> Written {
        self.in_transaction(connection, async |connection| {
            let (found, locked) = self.lock(items, locks, connection).await?;
            let there: Vec<&W> = items.iter().filter(|item| found.contains_key(item.target())).collect();
            if !there.is_empty() {
                let rows = json::rows(&there, |item| item.target(), |to, item| row(to, item));
                write.query().bind(rows).execute(connection).await?;
            }
            Ok(Locks::answers(items, outcome::outcomes(items, &found), &locked))
        })
        .await
    }

    /// Runs `work` in a transaction.
    async fn in_transaction<T>(
        &self,
        connection: &mut MySqlConnection,
        work: impl AsyncFnOnce(&mut MySqlConnection) -> sqlx::Result<T>,
    ) -> sqlx::Result<T> {
        connection.execute(text(&self.transaction.start)).await?;
        let done = match work(connection).await {
            Ok(answer) => match connection.execute(text(&self.transaction.commit)).await {
                Ok(_) => return Ok(answer),
                Err(error) if matches!(error::in_use(&error), Failure::Again(_) | Failure::Demoted(_)) => Err(error),
                Err(error) => return Err(unknown(error)),
            },
            Err(error) => Err(error),
        };
        if let Err(error @ Driver::Database(_)) = &done
            && !matches!(error::in_use(error), Failure::Demoted(_))
        {
            // A failed lock wait ends the statement and leaves the transaction open.
            // If the rollback fails, the connection is closed, as it is when the server takes no writes.
            connection.execute(text(&self.transaction.rollback)).await.map_err(unknown)?;
        }
        done
    }

    /// Removes some of a principal's live rows. Finds them without locks, then deletes them in the order of their keys, in which all
    /// writers lock. Returns the numbers of rows found and removed.
    async fn delete_step(
        &self,
        principal: &Principal,
        now: Timestamp,
        keep: Option<&StoreKey>,
        connection: &mut MySqlConnection,
    ) -> sqlx::Result<(i64, i64)> {
        let principal = principal.as_str().as_bytes();
        let query = self.keys_of.query().bind(principal).bind(now.as_millis());
        let query = query.bind(keep.map_or(NO_KEY, |key| key.as_bytes())).bind(i64::from(self.purge_rows));
        let found = query.fetch_all(&mut *connection).await?;
        let keys: Vec<StoreKey> = found.iter().filter_map(|row| rows::key(row, 0).ok()).collect();
        if keys.is_empty() {
            return Ok((0, 0));
        }
        let query = self.delete_all.query().bind(json::rows(&keys, |key| key, |_, _| ()));
        let removed = query.bind(principal).bind(now.as_millis()).execute(connection).await?.rows_affected();
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        Ok((count(found.len() as u64), count(removed)))
    }

    /// Checks the rows that are due: removes the expired ones, and postpones those whose expiry was extended. Finds them by the index
    /// without locks, then changes them in the order of their keys, in which all writers lock.
    async fn purge(&self, now: Timestamp, limit: u32, connection: &mut MySqlConnection) -> sqlx::Result<(u64, bool)> {
        let limit = limit.min(self.purge_rows);
        let query = self.due.query().bind(now.as_millis()).bind(now.as_millis()).bind(i64::from(limit));
        let due = query.fetch_all(&mut *connection).await?;
        let (mut expired, mut live) = (Vec::new(), Vec::new());
        for row in &due {
            let Ok(key) = rows::key(row, 0) else { continue };
            if row.try_get::<i64, _>(1)? != 0 { expired.push(key) } else { live.push(key) }
        }
        on_keys(&self.postpone, &live, now, connection).await?;
        let removed = on_keys(&self.purge, &expired, now, connection).await?;
        Ok((removed, due.len() == limit as usize))
    }
}

/// Runs a statement of the purge on the rows of these keys, if there are any. Returns the number of rows that it changed.
async fn on_keys(
    statement: &Sql<MySql>,
    keys: &[StoreKey],
    now: Timestamp,
    connection: &mut MySqlConnection,
) -> sqlx::Result<u64> {
    if keys.is_empty() {
        return Ok(0);
    }
    let query = statement.query().bind(json::rows(keys, |key| key, |_, _| ())).bind(now.as_millis());
    Ok(query.execute(connection).await?.rows_affected())
}

/// Whether the server refused one statement and undid it, and the connection can still be used.
fn refuses_statement(error: &Driver) -> bool {
    error::number(error) == Some(DUPLICATE)
        || matches!(error::in_use(error), Failure::Again(_) | Failure::Locked(_) | Failure::Refused(_))
}

fn text(sql: &Arc<str>) -> RawSql {
    sqlx::raw_sql(AssertSqlSafe(Arc::clone(sql)))
}

/// Turns an error into one with an unknown outcome, after which the connection is closed.
fn unknown(error: Driver) -> Driver {
    Driver::Io(std::io::Error::other(error))
}

/// Binds a record's columns, in the order in which the statements name them.
fn bind(query: Bound, record: &Record) -> Bound {
    let query = query.bind(record.version.as_i64()).bind(record.created_at.as_millis());
    let query = query.bind(record.expires_at.as_millis());
    query.bind(rows::name(record).map(str::as_bytes)).bind(&record.data[..])
}
