//! The calls that concern one key: one alone takes the plain statement, several go together.

use std::collections::HashMap;

use session_core::{Error, Outcome, Record, Result, StoreKey, Timestamp, Version};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use store_batch::Item;

use crate::rows;
use crate::schema::Statements;
use crate::server::Op;

/// What a call puts on the wire besides its data.
const OVERHEAD: usize = 128;

pub(crate) struct Load {
    pub(crate) now: Timestamp,
    pub(crate) key: StoreKey,
}

pub(crate) struct Create {
    pub(crate) now: Timestamp,
    pub(crate) key: StoreKey,
    pub(crate) record: Record,
}

pub(crate) struct Save {
    pub(crate) now: Timestamp,
    pub(crate) key: StoreKey,
    pub(crate) expected: Version,
    pub(crate) record: Record,
}

pub(crate) struct Touch {
    pub(crate) now: Timestamp,
    pub(crate) key: StoreKey,
    pub(crate) expires_at: Timestamp,
}

pub(crate) struct Delete {
    pub(crate) now: Timestamp,
    pub(crate) key: StoreKey,
    pub(crate) expected: Option<Version>,
}

impl Item for Load {
    type Output = Option<Record>;

    fn key(&self) -> Option<StoreKey> {
        None
    }

    fn len(&self) -> usize {
        OVERHEAD
    }
}

/// Writes: of a key only one in a batch.
macro_rules! writes {
    ($($op:ident: $len:expr;)*) => {$(
        impl Item for $op {
            type Output = Outcome;

            fn key(&self) -> Option<StoreKey> {
                Some(self.key)
            }

            fn len(&self) -> usize {
                let len: fn(&$op) -> usize = $len;
                OVERHEAD + len(self)
            }
        }
    )*};
}

writes! {
    Create: |op| op.record.data.len();
    Save: |op| op.record.data.len();
    Touch: |_| 0;
    Delete: |_| 0;
}

/// A column of a batch.
fn column<'a, O, T>(items: &'a [O], of: impl Fn(&'a O) -> T) -> Vec<T> {
    items.iter().map(of).collect()
}

type Answered<T> = sqlx::Result<Vec<Result<T>>>;

impl Op for Load {
    const READS: bool = true;

    async fn run(items: &[Self], sql: &Statements, connection: &mut PgConnection) -> Answered<Option<Record>> {
        if let [item] = items {
            let query = sql.load.query().bind(&item.key.as_bytes()[..]).bind(item.now.as_millis());
            let row = query.fetch_optional(connection).await?;
            return Ok(vec![row.map(|row| rows::record(&row, 0)).transpose()]);
        }
        let keys = column(items, |item| &item.key.as_bytes()[..]);
        let found = sql.load_many.query().bind(keys).fetch_all(connection).await?;
        // By the row's bytes: a row with a key that is none has nobody who asks for it.
        let found: HashMap<_, _> = found.iter().filter_map(|row| Some((rows::key(row, 0).ok()?, row))).collect();
        let load = |item: &Self| match found.get(&item.key) {
            Some(row) => rows::record(row, 1).map(|record| record.is_live(item.now).then_some(record)),
            None => Ok(None),
        };
        Ok(items.iter().map(load).collect())
    }
}

impl Op for Create {
    const READS: bool = false;

    async fn run(items: &[Self], sql: &Statements, connection: &mut PgConnection) -> Answered<Outcome> {
        let outcome = |done| Ok(if done { Outcome::Done } else { Outcome::Exists });
        if let [Self { now, key, record }] = items {
            let query = sql.create.query().bind(&key.as_bytes()[..]).bind(record.version.as_i64());
            let query = query.bind(record.created_at.as_millis()).bind(record.expires_at.as_millis());
            let query = query.bind(rows::name(record)).bind(&record.data[..]).bind(now.as_millis());
            let created = query.execute(connection).await?;
            return Ok(vec![outcome(created.rows_affected() > 0)]);
        }
        let query = sql.create_many.query().bind(column(items, |item| &item.key.as_bytes()[..]));
        let query = query.bind(column(items, |item| item.record.version.as_i64()));
        let query = query.bind(column(items, |item| item.record.created_at.as_millis()));
        let query = query.bind(column(items, |item| item.record.expires_at.as_millis()));
        let query = query.bind(column(items, |item| rows::name(&item.record)));
        let query = query.bind(column(items, |item| &item.record.data[..]));
        let query = query.bind(column(items, |item| item.now.as_millis()));
        let done = query.fetch_all(connection).await?;
        let done: Vec<_> = done.iter().filter_map(|row| rows::key(row, 0).ok()).collect();
        Ok(items.iter().map(|item| outcome(done.contains(&item.key))).collect())
    }
}

impl Op for Save {
    const READS: bool = false;

    async fn run(items: &[Self], sql: &Statements, connection: &mut PgConnection) -> Answered<Outcome> {
        if let [item] = items {
            return item.alone(sql, connection).await.map(|outcome| vec![outcome]);
        }
        let query = sql.save_many.query().bind(column(items, |item| &item.key.as_bytes()[..]));
        let query = query.bind(column(items, |item| item.expected.as_i64()));
        let query = query.bind(column(items, |item| item.now.as_millis()));
        let query = query.bind(column(items, |item| item.record.version.as_i64()));
        let query = query.bind(column(items, |item| item.record.created_at.as_millis()));
        let query = query.bind(column(items, |item| item.record.expires_at.as_millis()));
        let query = query.bind(column(items, |item| rows::name(&item.record)));
        let query = query.bind(column(items, |item| &item.record.data[..]));
        let found = found(&query.fetch_all(connection).await?);
        let told = |item: &Self, version| {
            if version == item.expected || version == item.record.version { Outcome::Done } else { Outcome::Conflict }
        };
        Ok(items.iter().map(|item| outcome(&found, &item.key, item.now, |version| told(item, version))).collect())
    }
}

impl Save {
    async fn alone(&self, sql: &Statements, connection: &mut PgConnection) -> sqlx::Result<Result<Outcome>> {
        let Self { now, key, expected, record } = self;
        loop {
            let query = sql.save.query().bind(&key.as_bytes()[..]).bind(expected.as_i64()).bind(now.as_millis());
            let query = query.bind(record.version.as_i64()).bind(record.created_at.as_millis());
            let query = query.bind(record.expires_at.as_millis()).bind(rows::name(record)).bind(&record.data[..]);
            if query.execute(&mut *connection).await?.rows_affected() > 0 {
                return Ok(Ok(Outcome::Done));
            }
            match stored(sql, connection, key, *now).await? {
                Ok(None) => return Ok(Ok(Outcome::Missing)),
                Ok(Some(version)) if version == record.version => return Ok(Ok(Outcome::Done)),
                Ok(Some(version)) if version != *expected => return Ok(Ok(Outcome::Conflict)),
                // It came to be what was expected between the two statements.
                Ok(Some(_)) => {}
                Err(error) => return Ok(Err(error)),
            }
        }
    }
}

impl Op for Touch {
    const READS: bool = false;

    async fn run(items: &[Self], sql: &Statements, connection: &mut PgConnection) -> Answered<Outcome> {
        if let [Self { now, key, expires_at }] = items {
            let query = sql.touch.query().bind(&key.as_bytes()[..]).bind(now.as_millis()).bind(expires_at.as_millis());
            let touched = query.execute(connection).await?.rows_affected() > 0;
            return Ok(vec![Ok(if touched { Outcome::Done } else { Outcome::Missing })]);
        }
        let query = sql.touch_many.query().bind(column(items, |item| &item.key.as_bytes()[..]));
        let query = query.bind(column(items, |item| item.now.as_millis()));
        let query = query.bind(column(items, |item| item.expires_at.as_millis()));
        let found = found(&query.fetch_all(connection).await?);
        Ok(items.iter().map(|item| outcome(&found, &item.key, item.now, |_| Outcome::Done)).collect())
    }
}

impl Op for Delete {
    const READS: bool = false;

    async fn run(items: &[Self], sql: &Statements, connection: &mut PgConnection) -> Answered<Outcome> {
        if let [item] = items {
            return item.alone(sql, connection).await.map(|outcome| vec![outcome]);
        }
        let query = sql.delete_many.query().bind(column(items, |item| &item.key.as_bytes()[..]));
        let query = query.bind(column(items, |item| item.now.as_millis()));
        let query = query.bind(column(items, |item| item.expected.map(Version::as_i64)));
        let found = found(&query.fetch_all(connection).await?);
        let told = |item: &Self, version| match item.expected {
            Some(expected) if expected != version => Outcome::Conflict,
            _ => Outcome::Done,
        };
        Ok(items.iter().map(|item| outcome(&found, &item.key, item.now, |version| told(item, version))).collect())
    }
}

impl Delete {
    async fn alone(&self, sql: &Statements, connection: &mut PgConnection) -> sqlx::Result<Result<Outcome>> {
        let Self { now, key, expected } = self;
        loop {
            let query = sql.delete.query().bind(&key.as_bytes()[..]).bind(now.as_millis());
            if query.bind(expected.map(Version::as_i64)).execute(&mut *connection).await?.rows_affected() > 0 {
                return Ok(Ok(Outcome::Done));
            }
            let Some(expected) = expected else { return Ok(Ok(Outcome::Missing)) };
            match stored(sql, connection, key, *now).await? {
                Ok(None) => return Ok(Ok(Outcome::Missing)),
                Ok(Some(version)) if version != *expected => return Ok(Ok(Outcome::Conflict)),
                // As in a save.
                Ok(Some(_)) => {}
                Err(error) => return Ok(Err(error)),
            }
        }
    }
}

/// The version of the live record, for a statement that changed nothing.
async fn stored(
    sql: &Statements,
    connection: &mut PgConnection,
    key: &StoreKey,
    now: Timestamp,
) -> sqlx::Result<Result<Option<Version>>> {
    let query = sql.version.query().bind(&key.as_bytes()[..]).bind(now.as_millis());
    Ok(query.fetch_optional(connection).await?.map(|row| rows::version(&row, 0)).transpose())
}

/// What a batch of writes found, and locked, before it changed it.
type Found = HashMap<StoreKey, Result<(Version, Timestamp), Error>>;

fn found(found: &[PgRow]) -> Found {
    let of = |row| Ok((rows::version(row, 1)?, rows::instant(row, 2)?));
    found.iter().filter_map(|row| Some((rows::key(row, 0).ok()?, of(row)))).collect()
}

fn outcome(found: &Found, key: &StoreKey, now: Timestamp, told: impl FnOnce(Version) -> Outcome) -> Result<Outcome> {
    match found.get(key) {
        Some(Ok((version, expires_at))) if *expires_at > now => Ok(told(*version)),
        Some(Err(error)) => Err(error.clone()),
        _ => Ok(Outcome::Missing),
    }
}
