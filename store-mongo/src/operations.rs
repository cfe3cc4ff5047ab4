//! Calls on one key.
//!
//! Concurrent loads share a command. Each write is a command of its own, because a command with several writes reports how many
//! of them matched, but not which.

use std::collections::HashMap;

use mongodb::bson::raw::RawDocument;
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::Result as Driven;
use mongodb::options::FindOptions;
use session_core::{Outcome, Record, Result, StoreKey, Timestamp, Version};
use session_store_kit::AnyWrite;
use session_store_kit::batch::{Answers, RoundTrip, Trip};
use session_store_kit::operations::{Access, Create, Delete, Load, Save, Touch};
use session_store_kit::outcome::Write as _;

use crate::documents;
use crate::error::{self, DUPLICATE_KEY};
use crate::execute::Server;
use crate::schema::{self, by_key, live};

impl RoundTrip<Load> for Server {
    async fn run(&self, items: &[Load], trip: Trip) -> Answers<Load> {
        Ok(self.send(Access::Read, items.len(), trip, || load_all(items, self)).await?)
    }
}

async fn load_all(items: &[Load], server: &Server) -> Driven<Vec<Result<Option<Record>>>> {
    if let [item] = items {
        return Ok(vec![load(item, server).await?]);
    }
    let keys: Vec<Bson> = items.iter().map(|item| documents::key_value(&item.key)).collect();
    let options = FindOptions::builder().max_time(server.timeout).batch_size(size(items.len())).build();
    let filter = doc! { "_id": { "$in": keys } };
    let read = |document: &RawDocument| (documents::key(document), documents::record(document));
    let found = server.first(filter, options, read).await?;
    // Documents with an invalid key are left out because no call asks for them.
    let records: HashMap<_, _> =
        found.records.into_iter().filter_map(|(key, record)| Some((key.ok()?, record))).collect();
    let mut answers = Vec::with_capacity(items.len());
    for item in items {
        answers.push(match records.get(&item.key) {
            Some(found) => item.answer(found),
            None if found.whole => Ok(None),
            None => load(item, server).await?,
        });
    }
    Ok(answers)
}

fn size(items: usize) -> u32 {
    // One more than can be found, so that the server knows that the result is complete.
    u32::try_from(items).unwrap_or(u32::MAX).saturating_add(1)
}

async fn load(item: &Load, server: &Server) -> Driven<Result<Option<Record>>> {
    let found = server.sessions.find_one(live(&item.key, item.now)).max_time(server.timeout).await?;
    Ok(found.map(|document| documents::record(&document)).transpose())
}

impl RoundTrip<AnyWrite> for Server {
    async fn run(&self, items: &[AnyWrite], trip: Trip) -> Answers<AnyWrite> {
        let run = || async {
            let mut answers = Vec::with_capacity(items.len());
            for item in items {
                answers.push(write(item, self).await?);
            }
            Ok(answers)
        };
        Ok(self.send(Access::Write, items.len(), trip, run).await?)
    }
}

/// Tries one compare-and-set. If it did not match, reads the record to find out why.
///
/// The read comes after the attempt, so its result was true at one instant during the call: there is no live record, or one
/// with another version, and this write changed nothing. If the result does not explain the failure, the record has changed
/// since the attempt, or the server has missed it while it was being written. Then both commands are repeated, until the time-out at
/// most.
///
/// An attempt that changed nothing, or met a duplicate key, still waits until a majority has the state that it saw (the
/// server's own tests of `lastOp` require that). So the read, which has read concern `majority`, sees no older state.
async fn write(write: &AnyWrite, server: &Server) -> Driven<Result<Outcome>> {
    loop {
        if attempt(write, server).await? {
            return Ok(Ok(Outcome::Done));
        }
        let stored = match stored(write, server).await? {
            Ok(stored) => stored,
            Err(error) => return Ok(Err(error)),
        };
        if let Some(outcome) = write.refused(stored) {
            return Ok(Ok(outcome));
        }
    }
}

/// Sends the write. Returns whether its condition held.
async fn attempt(write: &AnyWrite, server: &Server) -> Driven<bool> {
    let sessions = &server.sessions;
    match write {
        AnyWrite::Create(Create { now, key, record }) => {
            // Matches an expired record, or inserts one. A live record makes the insert fail with a duplicate `_id`.
            let mut dead = by_key(key);
            dead.insert("expires_at", schema::by(*now));
            match sessions.replace_one(dead, documents::document(key, record)).upsert(true).await {
                Ok(_) => Ok(true),
                Err(error) if error::is(&error, DUPLICATE_KEY) => Ok(false),
                Err(error) => Err(error),
            }
        }
        AnyWrite::Save(Save { now, key, expected, record }) => {
            let saved = sessions.replace_one(of(key, *now, Some(*expected)), documents::document(key, record)).await?;
            // Counts matched documents, because a repeated write matches without modifying.
            Ok(saved.matched_count > 0)
        }
        AnyWrite::Touch(Touch { now, key, expected, expires_at }) => {
            let farther = doc! { "$max": { "expires_at": documents::instant(*expires_at) } };
            Ok(sessions.update_one(of(key, *now, Some(*expected)), farther).await?.matched_count > 0)
        }
        AnyWrite::Delete(Delete { now, key, expected }) => {
            Ok(sessions.delete_one(of(key, *now, *expected)).await?.deleted_count > 0)
        }
    }
}

/// Reads the version of the live record.
async fn stored(write: &AnyWrite, server: &Server) -> Driven<Result<Option<Version>>> {
    let found = server.sessions.find_one(live(write.target(), write.now())).max_time(server.timeout);
    let found = found.projection(doc! { "_id": 0, "version": 1 }).await?;
    Ok(found.map(|document| documents::version(&document)).transpose())
}

/// Returns a filter for the live record, with this version if one is expected.
fn of(key: &StoreKey, now: Timestamp, expected: Option<Version>) -> Document {
    let mut filter = live(key, now);
    filter.extend(expected.map(|version| ("version".to_owned(), Bson::Int64(version.as_i64()))));
    filter
}
