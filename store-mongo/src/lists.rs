//! Calls on many keys: lists, scans, purge and the removal of all sessions of a principal.

use mongodb::bson::raw::RawDocument;
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::{Error as Driver, Result as Driven};
use mongodb::options::FindOptions;
use session_core::{Principal, Record, Result, StoreKey, Timestamp};
use session_store_kit::operations::{List, Listed, Sweep, Swept};

use crate::rows;
use crate::schema::{after, by};
use crate::server::{Alone, Server};

/// Maximum number of records that one purge removes, whatever its limit, so that it is short.
const PURGED: u32 = 1_000;

/// Maximum number of records in one reply.
const PAGE: usize = 1_000;

impl Alone for List {
    const READS: bool = true;

    /// Reads page by page in the order of keys, each page with its own query; see [`Server::first`].
    async fn alone(&self, server: &Server) -> Driven<Result<Vec<(StoreKey, Record)>>> {
        let limit = self.limit as usize;
        let (filter, mut last) = match &self.of {
            Listed::Of(principal) => (doc! { "principal": principal.as_str() }, None),
            Listed::After(key) => (doc! {}, *key),
        };
        let mut records = Vec::new();
        loop {
            let mut filter = filter.clone();
            filter.insert("expires_at", after(self.now));
            if let Some(last) = &last {
                filter.insert("_id", doc! { "$gt": rows::key_value(last) });
            }
            let page = PAGE.min(limit - records.len());
            let read = |document: &RawDocument| (rows::key(document), rows::keyed(document));
            let found = server.first(filter, options(server, page), read).await?;
            let (count, before) = (found.records.len(), last);
            for (key, record) in found.records {
                last = key.ok().or(last);
                match record {
                    Ok(record) => records.push(record),
                    Err(error) => tracing::warn!(%error, "a session cannot be read, and is left out of a list"),
                }
            }
            // A page without a valid key ends the list, because the next page would start at the same key.
            if records.len() >= limit || (found.whole && count < page) || last == before {
                records.truncate(limit);
                return Ok(Ok(records));
            }
        }
    }
}

fn options(server: &Server, page: usize) -> FindOptions {
    let (limit, batch) = (i64::try_from(page).unwrap_or(i64::MAX), u32::try_from(page).unwrap_or(u32::MAX));
    FindOptions::builder().sort(doc! { "_id": 1 }).limit(limit).batch_size(batch).max_time(server.timeout).build()
}

impl Alone for Sweep {
    const READS: bool = false;

    async fn alone(&self, server: &Server) -> Driven<Result<(u64, bool)>> {
        Ok(Ok(match &self.what {
            Swept::Expired(limit) => purge(server, self.now, (*limit).min(PURGED)).await?,
            Swept::Of(principal, keep) => (delete_all(server, self.now, principal, keep.as_ref()).await?, false),
        }))
    }
}

/// Removes expired records. The server does the same about once a minute, unless its `ttlMonitorEnabled` is off.
async fn purge(server: &Server, now: Timestamp, limit: u32) -> Driven<(u64, bool)> {
    let now = now.min(clock(server).await?);
    let options = FindOptions::builder().projection(doc! { "_id": 1 }).limit(i64::from(limit)).batch_size(limit);
    let options = options.max_time(server.timeout).build();
    let found = server.first(doc! { "expires_at": by(now) }, options, rows::key).await?;
    let keys: Vec<Bson> = found.records.iter().flatten().map(rows::key_value).collect();
    let count = keys.len();
    if count == 0 {
        return Ok((0, false));
    }
    // The expiry of each record is checked again, so a record that was extended meanwhile stays.
    let gone = server.sessions.delete_many(doc! { "_id": { "$in": keys }, "expires_at": by(now) }).await?;
    Ok((gone.deleted_count, count >= limit as usize))
}

/// Returns the time of the server's clock.
async fn clock(server: &Server) -> Driven<Timestamp> {
    let hello = server.hello().await?;
    let time = hello.get_datetime("localTime").ok().and_then(|at| Timestamp::from_millis(at.timestamp_millis()).ok());
    time.ok_or_else(|| Driver::custom("the server does not tell its time"))
}

/// Removes a principal's sessions with one command. A session that keeps its principal keeps its index entry, so the command
/// misses none.
async fn delete_all(server: &Server, now: Timestamp, principal: &Principal, keep: Option<&StoreKey>) -> Driven<u64> {
    let mut filter: Document = doc! { "principal": principal.as_str(), "expires_at": after(now) };
    if let Some(keep) = keep {
        filter.insert("_id", doc! { "$ne": rows::key_value(keep) });
    }
    Ok(server.sessions.delete_many(filter).await?.deleted_count)
}
