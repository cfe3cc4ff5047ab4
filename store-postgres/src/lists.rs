//! The calls that concern many keys: each is a statement of its own.

use session_core::{Principal, Record, Result, StoreKey, Timestamp};
use sqlx::PgConnection;
use store_batch::Item;

use crate::rows;
use crate::schema::Statements;
use crate::server::Op;

/// Rows that one purge removes at most, whatever its limit, so that its transaction is short.
const PURGE_ROWS: u32 = 1_000;

/// A call that reads several records.
pub(crate) struct List {
    pub(crate) now: Timestamp,
    pub(crate) of: Listed,
    pub(crate) limit: u32,
}

pub(crate) enum Listed {
    Of(Principal),
    After(Option<StoreKey>),
}

/// A call that removes several records.
pub(crate) struct Sweep {
    pub(crate) now: Timestamp,
    pub(crate) what: Swept,
}

pub(crate) enum Swept {
    Expired(u32),
    Of(Principal, Option<StoreKey>),
}

impl Item for List {
    type Output = Vec<(StoreKey, Record)>;

    fn key(&self) -> Option<StoreKey> {
        None
    }

    fn len(&self) -> usize {
        0
    }
}

impl Item for Sweep {
    /// How many were removed, and of the expired whether there may be more.
    type Output = (u64, bool);

    fn key(&self) -> Option<StoreKey> {
        None
    }

    fn len(&self) -> usize {
        0
    }
}

impl Op for List {
    const READS: bool = true;

    async fn run(
        items: &[Self],
        sql: &Statements,
        connection: &mut PgConnection,
    ) -> sqlx::Result<Vec<Result<Self::Output>>> {
        let mut answers = Vec::with_capacity(items.len());
        for Self { now, of, limit } in items {
            let query = match of {
                Listed::Of(principal) => sql.sessions_of.query().bind(principal.as_str()),
                Listed::After(key) => sql.scan.query().bind(key.as_ref().map_or(&[][..], |key| key.as_bytes())),
            };
            let found = query.bind(now.as_millis()).bind(i64::from(*limit)).fetch_all(&mut *connection).await?;
            answers.push(found.iter().map(rows::keyed).collect());
        }
        Ok(answers)
    }
}

impl Op for Sweep {
    const READS: bool = false;

    async fn run(
        items: &[Self],
        sql: &Statements,
        connection: &mut PgConnection,
    ) -> sqlx::Result<Vec<Result<Self::Output>>> {
        let mut answers = Vec::with_capacity(items.len());
        for Self { now, what } in items {
            let (query, limit) = match what {
                Swept::Expired(limit) => {
                    let limit = (*limit).min(PURGE_ROWS);
                    (sql.purge.query().bind(now.as_millis()).bind(i64::from(limit)), Some(u64::from(limit)))
                }
                Swept::Of(principal, keep) => {
                    let keep = keep.as_ref().map(|key| &key.as_bytes()[..]);
                    (sql.delete_all.query().bind(principal.as_str()).bind(now.as_millis()).bind(keep), None)
                }
            };
            let removed = query.execute(&mut *connection).await?.rows_affected();
            answers.push(Ok((removed, limit == Some(removed))));
        }
        Ok(answers)
    }
}
