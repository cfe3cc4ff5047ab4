//! Operations on the threads of the store. The writer commits many calls in one transaction; a reader replies many from one snapshot.

use std::time::Instant;

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use session_core::{
    Clock as _, Error, ErrorKind, Live, Outcome, Purged, Result, StoreKey, SystemClock, Timestamp, Version,
};
use session_store_kit::batch::{Answers, Reply, Request, RequestKind, Worker};
use session_store_kit::{TIMED_OUT, operations};

use crate::connection::{ManagedConnection, Ready};
use crate::schema::Statements;
use crate::{error, rows};

/// Maximum number of rows that one purge removes, whatever its limit, so that queued writes wait only milliseconds for it.
/// In a file of hundreds of megabytes each expired row may touch a page or two.
const PURGE_ROWS: u32 = 100;

/// The only thread that writes. It also does all reads of a database in memory, and some reads of a file.
pub(crate) struct Writer(pub(crate) ManagedConnection);

impl Worker for Writer {
    type Item = Request;

    fn run(&mut self, requests: &[Request]) -> Answers<Request> {
        if requests.iter().all(|request| request.kind.only_reads()) {
            return read(self.0.ready()?, requests);
        }
        let mut ready = self.0.for_writing()?;
        let mut written = write(&mut ready, requests);
        let mut in_place = ready.is_in_place();
        if !in_place {
            // The path names another file since. Nothing was written to that one, so the calls are run again on it.
            drop(ready);
            ready = self.0.ready()?;
            written = write(&mut ready, requests);
            in_place = ready.is_in_place();
        }
        let failure = match written {
            Ok(Committed::Yes(replies)) if in_place => return Ok(replies),
            Ok(Committed::Yes(_)) => REPLACED,
            Ok(Committed::Unknown(error)) => ready.failed(&error),
            // The lock was not available and nothing was written. Every call fails, because waiting for it again for each call would only add delay.
            Err(error) if error::is_busy(&error) => error::in_use(&error),
            // Nothing was written, so each call is run again on its own.
            Err(error) => return Err(ready.failed(&error).into()),
        };
        Ok(requests.iter().map(|_| Err(failure.clone())).collect())
    }
}

const REPLACED: Error =
    Error::fixed(ErrorKind::Unavailable, "the database file was removed or replaced while it was written; try again");

/// How a transaction ended.
enum Committed {
    Yes(Vec<Result<Reply>>),
    /// The commit failed, so the transaction may be stored or not.
    Unknown(rusqlite::Error),
}

/// Executes the calls in one transaction.
///
/// The write lock is taken at the start, because a transaction that reads first may fail when it then tries to write.
///
/// # Errors
/// The error of a statement, after which nothing is written.
fn write(ready: &mut Ready<'_>, requests: &[Request]) -> rusqlite::Result<Committed> {
    let statements = &ready.config.statements;
    let tx = ready.connection().transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Some callers may have timed out while this thread waited for the lock. Their calls must not be executed any more.
    let locked = Instant::now();
    let in_time = |request: &Request| {
        if request.deadline > locked { execute(&tx, statements, request) } else { Ok(Err(TIMED_OUT)) }
    };
    let replies = requests.iter().map(in_time).collect::<rusqlite::Result<_>>()?;
    Ok(match tx.commit() {
        Ok(()) => Committed::Yes(replies),
        Err(error) => Committed::Unknown(error),
    })
}

/// A thread that reads.
pub(crate) struct Reader(pub(crate) ManagedConnection);

impl Worker for Reader {
    type Item = Request;

    fn run(&mut self, requests: &[Request]) -> Answers<Request> {
        read(self.0.ready()?, requests)
    }
}

fn read(mut ready: Ready<'_>, requests: &[Request]) -> Answers<Request> {
    let statements = &ready.config.statements;
    answer_all(ready.connection(), statements, requests).map_err(|error| ready.failed(&error).into())
}

/// Answers all calls from one snapshot. It is taken after the calls were made, so each sees everything committed before it.
fn answer_all(
    connection: &mut Connection,
    statements: &Statements,
    requests: &[Request],
) -> rusqlite::Result<Vec<Result<Reply>>> {
    let tx = if requests.len() > 1 { Some(connection.unchecked_transaction()?) } else { None };
    let replies =
        requests.iter().map(|request| execute(connection, statements, request)).collect::<rusqlite::Result<_>>()?;
    if let Some(tx) = tx {
        tx.commit()?;
    }
    Ok(replies)
}

/// Executes one call. The outer error fails the whole batch; the inner error concerns only this call.
fn execute(connection: &Connection, sql: &Statements, request: &Request) -> rusqlite::Result<Result<Reply>> {
    let now = request.now.as_millis();
    let change =
        |statement: &str, params: &[&dyn rusqlite::ToSql]| connection.prepare_cached(statement)?.execute(params);
    match &request.kind {
        RequestKind::Create(key, record) => {
            let (version, created_at, expires_at, principal, data) = rows::fields(record);
            let row = params![key.as_bytes(), version, created_at, expires_at, principal, data, now];
            match change(&sql.insert, row)? {
                0 => outcome(connection, sql, request.now, key, |live| live.create(record.version)),
                _ => done(),
            }
        }
        RequestKind::Load(key) => {
            let mut load = connection.prepare_cached(&sql.load)?;
            let record = load.query_row(params![key.as_bytes(), now], |row| Ok(rows::record(row, 0))).optional()?;
            Ok(record.transpose().map(Reply::Record))
        }
        RequestKind::Save(key, expected, record) => {
            let (version, created_at, expires_at, principal, data) = rows::fields(record);
            let row = params![key.as_bytes(), expected.as_i64(), now, version, created_at, expires_at, principal, data];
            let saved = match change(&sql.save_plain, row)? {
                0 => change(&sql.save, row)?,
                rows => rows,
            };
            match saved {
                0 => outcome(connection, sql, request.now, key, |live| live.save(*expected, record.version)),
                _ => done(),
            }
        }
        RequestKind::Touch(key, expected, expires_at) => {
            match change(&sql.touch, params![key.as_bytes(), expected.as_i64(), now, expires_at.as_millis()])? {
                0 => outcome(connection, sql, request.now, key, |live| live.touch(*expected)),
                _ => done(),
            }
        }
        RequestKind::Delete(key, expected) => {
            match change(&sql.delete, params![key.as_bytes(), now, expected.map(Version::as_i64)])? {
                0 => outcome(connection, sql, request.now, key, |live| live.delete(*expected)),
                _ => done(),
            }
        }
        RequestKind::Purge(limit) => {
            let cutoff = request.now.min(SystemClock.now()).as_millis();
            purge(connection, sql, cutoff, (*limit).min(PURGE_ROWS)).map(Ok)
        }
        RequestKind::SessionsOf(principal, limit) => {
            records(connection, &sql.sessions_of, (&principal.as_str(), now), *limit)
        }
        RequestKind::DeleteAll(principal, keep) => {
            let keep = keep.as_ref().map(StoreKey::as_bytes);
            let removed = change(&sql.delete_all, params![principal.as_str(), now, keep])?;
            Ok(Ok(Reply::Removed(removed as u64)))
        }
        RequestKind::Scan(after, limit) => {
            let after = after.as_ref().map_or(&[][..], |key| key.as_bytes());
            records(connection, &sql.scan, (&after, now), *limit)
        }
    }
}

/// Checks the rows that are due: deletes the expired ones and postpones those whose expiry was extended.
fn purge(connection: &Connection, sql: &Statements, cutoff: i64, limit: u32) -> rusqlite::Result<Reply> {
    let mut due = connection.prepare_cached(&sql.due)?;
    let due = due.query_map(params![cutoff, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let due = due.collect::<rusqlite::Result<Vec<(Vec<u8>, bool)>>>()?;
    let (mut purge, mut postpone) = (connection.prepare_cached(&sql.purge)?, connection.prepare_cached(&sql.postpone)?);
    let mut removed = 0;
    for (key, expired) in due {
        if expired {
            removed += u32::try_from(purge.execute(params![key, cutoff])?).unwrap_or(u32::MAX);
        } else {
            postpone.execute(params![key, cutoff])?;
        }
    }
    let more = connection.prepare_cached(&sql.any_due)?.query_row([cutoff], |row| row.get(0))?;
    Ok(Reply::Purged(Purged::new(removed, more)))
}

const CHANGED: Error =
    Error::fixed(ErrorKind::Other, "a row changed within a transaction that had locked the database");

fn done() -> rusqlite::Result<Result<Reply>> {
    Ok(Ok(Reply::Outcome(Outcome::Done)))
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
) -> rusqlite::Result<Result<Reply>> {
    let mut version = connection.prepare_cached(&sql.version)?;
    let stored =
        version.query_row(params![key.as_bytes(), now.as_millis()], |row| Ok(rows::version(row))).optional()?;
    let live = stored.transpose().map(Live::from);
    Ok(live.and_then(|live| decide(live).map(Reply::Outcome).ok_or(CHANGED)))
}

fn records(
    connection: &Connection,
    statement: &str,
    (of, now): (&dyn rusqlite::ToSql, i64),
    limit: u32,
) -> rusqlite::Result<Result<Reply>> {
    let mut statement = connection.prepare_cached(statement)?;
    let mut asked = limit;
    loop {
        let found = statement.query_map(params![of, now, asked], |row| Ok(rows::keyed(row)))?;
        let found = found.collect::<rusqlite::Result<Vec<_>>>()?;
        if let Some(records) = operations::readable(found, limit, &mut asked) {
            return Ok(Ok(Reply::Records(records)));
        }
    }
}
