//! Calls on many keys: lists, scans, purge and the removal of all sessions of a principal.

use mongodb::bson::raw::RawDocument;
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::{Error as Driver, Result as Driven};
use mongodb::options::FindOptions;
use session_core::{Principal, Record, StoreKey, Timestamp};
use session_store_kit::batch::{Answers, RoundTrip, Trip};
use session_store_kit::operations::{Access, List, ListTarget, Sweep, SweepTarget};

use crate::documents;
use crate::execute::Server;
use crate::schema::{after, by};

/// Maximum number of records that one purge removes, whatever its limit, so that it is short.
const PURGED: u32 = 1_000;

/// Maximum number of records in one reply.
const PAGE: usize = 1_000;

impl RoundTrip<List> for Server {
    async fn run(&self, items: &[List], trip: Trip) -> Answers<List> {
        let run = || async {
            let mut answers = Vec::with_capacity(items.len());
            for item in items {
                answers.push(Ok(list(item, self).await?));
            }
            Ok(answers)
        };
        Ok(self.send(Access::Read, items.len(), trip, run).await?)
    }
}

/// Reads page by page in the order of keys, each page with its own query; see [`Server::first`].
async fn list(list: &List, server: &Server) -> Driven<Vec<(StoreKey, Record)>> {
    let limit = list.limit as usize;
    let (filter, mut last) = match &list.target {
        ListTarget::Of(principal) => (doc! { "principal": principal.as_str() }, None),
        ListTarget::After(key) => (doc! {}, *key),
    };
    let mut records = Vec::new();
    loop {
        let mut filter = filter.clone();
        filter.insert("expires_at", after(list.now));
        if let Some(last) = &last {
            filter.insert("_id", doc! { "$gt": documents::key_value(last) });
        }
        let page = PAGE.min(limit - records.len());
        let read = |document: &RawDocument| (documents::key(document), documents::keyed(document));
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
            return Ok(records);
        }
    }
}

fn options(server: &Server, page: usize) -> FindOptions {
    let (limit, batch) = (i64::try_from(page).unwrap_or(i64::MAX), u32::try_from(page).unwrap_or(u32::MAX));
    FindOptions::builder().sort(doc! { "_id": 1 }).limit(limit).batch_size(batch).max_time(server.timeout).build()
}

impl RoundTrip<Sweep> for Server {
    async fn run(&self, items: &[Sweep], trip: Trip) -> Answers<Sweep> {
        let run = || async {
            let mut answers = Vec::with_capacity(items.len());
            for Sweep { now, target } in items {
                answers.push(Ok(match target {
                    SweepTarget::Expired(limit) => purge(self, *now, (*limit).min(PURGED)).await?,
                    SweepTarget::Of(principal, keep) => {
                        (delete_all(self, *now, principal, keep.as_ref()).await?, false)
                    }
                }));
            }
            Ok(answers)
        };
        Ok(self.send(Access::Write, items.len(), trip, run).await?)
    }
}

/// Removes expired records. The server does the same about once a minute, unless its `ttlMonitorEnabled` is off.
async fn purge(server: &Server, now: Timestamp, limit: u32) -> Driven<(u64, bool)> {
    let now = now.min(clock(server).await?);
    let options = FindOptions::builder().projection(doc! { "_id": 1 }).limit(i64::from(limit)).batch_size(limit);
    let options = options.max_time(server.timeout).build();
    let found = server.first(doc! { "expires_at": by(now) }, options, documents::key).await?;
    let keys: Vec<Bson> = found.records.iter().flatten().map(documents::key_value).collect();
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
        filter.insert("_id", doc! { "$ne": documents::key_value(keep) });
    }
    Ok(server.sessions.delete_many(filter).await?.deleted_count)
}
