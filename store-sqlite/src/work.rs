//! Work of the store's threads. The writer commits many calls in one transaction; a reader answers many calls from one snapshot.

use std::time::Instant;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};
use session_core::{
    Bytes, Clock as _, Error, ErrorKind, Live, Outcome, Principal, Purged, Record, Result, StoreKey, SystemClock,
    Timestamp, Version,
};
use session_store_kit::batch::{Answers, Item, Worker};
use session_store_kit::operations;

use crate::connection::Link;
use crate::error;
use crate::schema::Statements;

/// Maximum number of rows that one purge removes, whatever its limit, so that queued writes wait only milliseconds for it.
/// In a file of hundreds of megabytes each expired row may touch a page or two.
const PURGE_ROWS: u32 = 100;

/// A call to the store.
pub(crate) struct Op {
    pub(crate) now: Timestamp,
    /// Time at which the caller stops waiting.
    pub(crate) until: Instant,
    pub(crate) what: What,
}

/// Operation of a call, with its arguments.
pub(crate) enum What {
    Create(StoreKey, Record),
    Load(StoreKey),
    Save(StoreKey, Version, Record),
    Touch(StoreKey, Version, Timestamp),
    Delete(StoreKey, Option<Version>),
    Purge(u32),
    SessionsOf(Principal, u32),
    DeleteAll(Principal, Option<StoreKey>),
    Scan(Option<StoreKey>, u32),
}

impl What {
    const fn only_reads(&self) -> bool {
        matches!(self, Self::Load(_) | Self::SessionsOf(..) | Self::Scan(..))
    }
}

/// Result of a call.
pub(crate) enum Answer {
    Outcome(Outcome),
    Record(Option<Record>),
    Records(Vec<(StoreKey, Record)>),
    Purged(Purged),
    Removed(u64),
}

impl Item for Op {
    type Output = Answer;

    /// Returns `None`: a batch may hold several calls for one key, because its statements run in order and each sees the effect of the last.
    fn key(&self) -> Option<StoreKey> {
        None
    }

    /// Keeps reads and writes in separate batches, so that reads wait for neither the lock nor the commit of a write.
    fn goes_with(&self, other: &Self) -> bool {
        self.what.only_reads() == other.what.only_reads()
    }

    fn len(&self) -> usize {
        match &self.what {
            What::Create(_, record) | What::Save(_, _, record) => record.data.len() + 128,
            _ => 128,
        }
    }
}

/// The only thread that writes. It also does all reads of a database in memory, and some reads of a file.
pub(crate) struct Writer(pub(crate) Link);

impl Worker for Writer {
    type Item = Op;

    fn run(&mut self, ops: &[Op]) -> Answers<Op> {
        let (connection, config) = self.0.ready()?;
        if ops.iter().all(|op| op.what.only_reads()) {
            return read(connection, &config.statements, ops).map_err(|error| self.0.failed(&error));
        }
        match write(connection, &config.statements, ops) {
            Ok(answers) => {
                self.0.in_place()?;
                Ok(answers)
            }
            // The lock was not available and nothing was written. Every call fails, because waiting for it again for each call would only add delay.
            Err(error) if error::is_busy(&error) => Ok(ops.iter().map(|_| Err(error::in_use(&error))).collect()),
            Err(error) => Err(self.0.failed(&error)),
        }
    }
}

/// Executes the calls in one transaction.
///
/// The write lock is taken at the start, because a transaction that reads first may fail when it then tries to write.
fn write(connection: &mut Connection, statements: &Statements, ops: &[Op]) -> rusqlite::Result<Vec<Result<Answer>>> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Some callers may have timed out while this thread waited for the lock. Their calls must not be executed any more.
    let locked = Instant::now();
    let in_time = |op: &Op| if op.until > locked { execute(&tx, statements, op) } else { Ok(Err(TOO_LATE)) };
    let answers = ops.iter().map(in_time).collect::<rusqlite::Result<_>>()?;
    tx.commit()?;
    Ok(answers)
}

const TOO_LATE: Error = Error::fixed(ErrorKind::Unavailable, "no answer within the time-out");

/// A thread that reads.
pub(crate) struct Reader(pub(crate) Link);

impl Worker for Reader {
    type Item = Op;

    fn run(&mut self, ops: &[Op]) -> Answers<Op> {
        let (connection, config) = self.0.ready()?;
        read(connection, &config.statements, ops).map_err(|error| self.0.failed(&error))
    }
}

/// Answers all calls from one snapshot. It is taken after the calls were made, so each sees everything committed before it.
fn read(connection: &mut Connection, statements: &Statements, ops: &[Op]) -> rusqlite::Result<Vec<Result<Answer>>> {
    let tx = if ops.len() > 1 { Some(connection.unchecked_transaction()?) } else { None };
    let answers = ops.iter().map(|op| execute(connection, statements, op)).collect::<rusqlite::Result<_>>()?;
    if let Some(tx) = tx {
        tx.commit()?;
    }
    Ok(answers)
}

/// Executes one call. The outer error fails the whole batch; the inner error concerns only this call.
fn execute(connection: &Connection, sql: &Statements, op: &Op) -> rusqlite::Result<Result<Answer>> {
    let now = op.now.as_millis();
    let change =
        |statement: &str, params: &[&dyn rusqlite::ToSql]| connection.prepare_cached(statement)?.execute(params);
    match &op.what {
        What::Create(key, record) => {
            let (version, created_at, expires_at, principal, data) = fields(record);
            let row = params![key.as_bytes(), version, created_at, expires_at, principal, data, now];
            match change(&sql.insert, row)? {
                0 => outcome(connection, sql, op.now, key, |live| live.create(record.version)),
                _ => done(),
            }
        }
        What::Load(key) => {
            let mut load = connection.prepare_cached(&sql.load)?;
            let record = load.query_row(params![key.as_bytes(), now], |row| Ok(record(row, 0))).optional()?;
            Ok(record.transpose().map(Answer::Record))
        }
        What::Save(key, expected, record) => {
            let (version, created_at, expires_at, principal, data) = fields(record);
            let row = params![key.as_bytes(), expected.as_i64(), now, version, created_at, expires_at, principal, data];
            let saved = match change(&sql.save_plain, row)? {
                0 => change(&sql.save, row)?,
                rows => rows,
            };
            match saved {
                0 => outcome(connection, sql, op.now, key, |live| live.save(*expected, record.version)),
                _ => done(),
            }
        }
        What::Touch(key, expected, expires_at) => {
            match change(&sql.touch, params![key.as_bytes(), expected.as_i64(), now, expires_at.as_millis()])? {
                0 => outcome(connection, sql, op.now, key, |live| live.touch(*expected)),
                _ => done(),
            }
        }
        What::Delete(key, expected) => {
            match change(&sql.delete, params![key.as_bytes(), now, expected.map(Version::as_i64)])? {
                0 => outcome(connection, sql, op.now, key, |live| live.delete(*expected)),
                _ => done(),
            }
        }
        What::Purge(limit) => {
            let cutoff = op.now.min(SystemClock.now()).as_millis();
            purge(connection, sql, cutoff, (*limit).min(PURGE_ROWS)).map(Ok)
        }
        What::SessionsOf(principal, limit) => records(connection, &sql.sessions_of, (&principal.as_str(), now), *limit),
        What::DeleteAll(principal, keep) => {
            let keep = keep.as_ref().map(StoreKey::as_bytes);
            let removed = change(&sql.delete_all, params![principal.as_str(), now, keep])?;
            Ok(Ok(Answer::Removed(removed as u64)))
        }
        What::Scan(after, limit) => {
            let after = after.as_ref().map_or(&[][..], |key| key.as_bytes());
            records(connection, &sql.scan, (&after, now), *limit)
        }
    }
}

/// Checks the rows that are due: deletes the expired ones and postpones those whose expiry was extended.
fn purge(connection: &Connection, sql: &Statements, cutoff: i64, limit: u32) -> rusqlite::Result<Answer> {
    let mut due = connection.prepare_cached(&sql.due)?;
    let due = due.query_map(params![cutoff, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let due = due.collect::<rusqlite::Result<Vec<(i64, bool)>>>()?;
    let (mut purge, mut postpone) = (connection.prepare_cached(&sql.purge)?, connection.prepare_cached(&sql.postpone)?);
    let mut removed = 0;
    for (row, expired) in due {
        if expired {
            purge.execute([row])?;
            removed += 1;
        } else {
            postpone.execute([row])?;
        }
    }
    let more = connection.prepare_cached(&sql.any_due)?.query_row([cutoff], |row| row.get(0))?;
    Ok(Answer::Purged(Purged::new(removed, more)))
}

fn done() -> rusqlite::Result<Result<Answer>> {
    Ok(Ok(Answer::Outcome(Outcome::Done)))
}

/// Returns the outcome of a statement that changed no row, as `decide` derives it from the live version.
///
/// The version is the one that the statement met, because both run in one transaction.
fn outcome(
    connection: &Connection,
    sql: &Statements,
    now: Timestamp,
    key: &StoreKey,
    decide: impl FnOnce(Live) -> Option<Outcome>,
) -> rusqlite::Result<Result<Answer>> {
    let mut version = connection.prepare_cached(&sql.version)?;
    let stored = version.query_row(params![key.as_bytes(), now.as_millis()], |row| Ok(integer(row, 0))).optional()?;
    let live = stored.map(|stored| stored.and_then(Version::from_i64)).transpose().map(Live::from);
    Ok(live.and_then(|live| decide(live).map(Answer::Outcome).ok_or(CHANGED)))
}

fn records(
    connection: &Connection,
    statement: &str,
    (of, now): (&dyn rusqlite::ToSql, i64),
    limit: u32,
) -> rusqlite::Result<Result<Answer>> {
    let mut statement = connection.prepare_cached(statement)?;
    let mut asked = limit;
    loop {
        let rows = statement.query_map(params![of, now, asked], |row| {
            Ok(blob(row, 0).and_then(StoreKey::from_slice).and_then(|key| Ok((key, record(row, 1)?))))
        })?;
        let found = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        if let Some(records) = operations::readable(found, limit, &mut asked) {
            return Ok(Ok(Answer::Records(records)));
        }
    }
}

type Fields<'a> = (i64, i64, i64, Option<&'a str>, &'a [u8]);

fn fields(record: &Record) -> Fields<'_> {
    let principal = record.principal.as_ref().map(Principal::as_str);
    (record.version.as_i64(), record.created_at.as_millis(), record.expires_at.as_millis(), principal, &record.data)
}

/// Reads the record in the columns from `at` on.
fn record(row: &Row<'_>, at: usize) -> Result<Record> {
    Ok(Record::new(
        Version::from_i64(integer(row, at)?)?,
        Timestamp::from_millis(integer(row, at + 1)?)?,
        Timestamp::from_millis(integer(row, at + 2)?)?,
        principal(row, at + 3)?,
        Bytes::copy_from_slice(blob(row, at + 4)?),
    ))
}

const CHANGED: Error =
    Error::fixed(ErrorKind::Other, "a row changed within a transaction that had locked the database");
const WRONG_TYPE: Error = Error::fixed(ErrorKind::Corrupt, "a column holds a value of another type");
const NOT_TEXT: Error = Error::fixed(ErrorKind::Corrupt, "a stored principal is not 1 to 255 bytes of UTF-8");

fn integer(row: &Row<'_>, at: usize) -> Result<i64> {
    row.get_ref(at).ok().and_then(|value| value.as_i64().ok()).ok_or(WRONG_TYPE)
}

fn blob<'a>(row: &'a Row<'_>, at: usize) -> Result<&'a [u8]> {
    row.get_ref(at).ok().and_then(|value| value.as_blob().ok()).ok_or(WRONG_TYPE)
}

fn principal(row: &Row<'_>, at: usize) -> Result<Option<Principal>> {
    match row.get_ref(at) {
        Ok(ValueRef::Null) => Ok(None),
        Ok(ValueRef::Text(text)) => {
            let text = str::from_utf8(text).map_err(|_| NOT_TEXT)?;
            Principal::new(text).map(Some).map_err(|_| NOT_TEXT)
        }
        _ => Err(WRONG_TYPE),
    }
}
