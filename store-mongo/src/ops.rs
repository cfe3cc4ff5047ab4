//! The calls that concern one key.
//!
//! Loads that come together travel together. Each write is a command of its own: one command with many would say how many of
//! them matched, and not which.

use std::collections::HashMap;

use mongodb::bson::{Bson, doc};
use mongodb::error::Result as Driven;
use mongodb::options::FindOptions;
use session_core::{Outcome, Record, Result, StoreKey, Timestamp, Version};
use store_batch::Item;

use crate::error::{self, DUPLICATE_KEY};
use crate::rows;
use crate::schema::{self, by_key, live};
use crate::server::{Op, Server};

/// What a call puts on the wire besides its data.
const OVERHEAD: usize = 128;

pub(crate) struct Load {
    pub(crate) now: Timestamp,
    pub(crate) key: StoreKey,
}

/// A call that changes the record of one key.
pub(crate) struct Write {
    pub(crate) now: Timestamp,
    pub(crate) key: StoreKey,
    pub(crate) what: What,
}

pub(crate) enum What {
    Create(Record),
    Save(Version, Record),
    Touch(Timestamp),
    Delete(Option<Version>),
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

impl Item for Write {
    type Output = Outcome;

    fn key(&self) -> Option<StoreKey> {
        None
    }

    fn len(&self) -> usize {
        match &self.what {
            What::Create(record) | What::Save(_, record) => OVERHEAD + record.data.len(),
            What::Touch(_) | What::Delete(_) => OVERHEAD,
        }
    }
}

impl Op for Load {
    const READS: bool = true;

    async fn run(items: &[Self], server: &Server) -> Driven<Vec<Result<Option<Record>>>> {
        if let [item] = items {
            return Ok(vec![item.alone(server).await?]);
        }
        let keys: Vec<Bson> = items.iter().map(|item| rows::key_value(&item.key)).collect();
        let options = FindOptions::builder().max_time(server.timeout).batch_size(size(items.len())).build();
        let filter = doc! { "_id": { "$in": keys } };
        let found = server.first(filter, options, |document| (rows::key(document), rows::record(document))).await?;
        // A document with a key that is none has nobody who asks for it.
        let records: HashMap<_, _> =
            found.records.into_iter().filter_map(|(key, record)| Some((key.ok()?, record))).collect();
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            answers.push(match records.get(&item.key) {
                Some(Ok(record)) => Ok(record.is_live(item.now).then(|| record.clone())),
                Some(Err(error)) => Err(error.clone()),
                None if found.whole => Ok(None),
                None => item.alone(server).await?,
            });
        }
        Ok(answers)
    }
}

fn size(items: usize) -> u32 {
    // One more than can be found: then the server knows that it is done.
    u32::try_from(items).unwrap_or(u32::MAX).saturating_add(1)
}

impl Load {
    async fn alone(&self, server: &Server) -> Driven<Result<Option<Record>>> {
        let found = server.sessions.find_one(live(&self.key, self.now)).max_time(server.timeout).await?;
        Ok(found.map(|document| rows::record(&document)).transpose())
    }
}

impl Op for Write {
    const READS: bool = false;

    async fn run(items: &[Self], server: &Server) -> Driven<Vec<Result<Outcome>>> {
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            answers.push(item.alone(server).await?);
        }
        Ok(answers)
    }
}

impl Write {
    /// One compare-and-set, and only when it did not match a look at why.
    ///
    /// The look comes after the attempt, so the answer is what was true at one instant within the call, and it may be given:
    /// no live record, or one of another version, and nothing of ours changed. What the look cannot explain has changed since the attempt;
    /// then both are done again, at most until the time-out.
    ///
    /// An attempt that changed nothing, or met a duplicate key, still waits until a majority has what it saw (the server's own tests of `lastOp`
    /// hold it to that). So the look, which is at what a majority has, is at nothing older.
    async fn alone(&self, server: &Server) -> Driven<Result<Outcome>> {
        loop {
            if self.attempt(server).await? {
                return Ok(Ok(Outcome::Done));
            }
            let stored = match self.stored(server).await? {
                Ok(stored) => stored,
                Err(error) => return Ok(Err(error)),
            };
            if let Some(outcome) = self.explain(stored) {
                return Ok(Ok(outcome));
            }
        }
    }

    /// Whether the record was as it has to be, and is changed.
    async fn attempt(&self, server: &Server) -> Driven<bool> {
        let Self { now, key, what } = self;
        let sessions = &server.sessions;
        let of = |version: Version| {
            let mut filter = live(key, *now);
            filter.insert("version", version.as_i64());
            filter
        };
        match what {
            What::Create(record) => {
                // Over an expired record, or where there is none; over a live one it would be a second with the same `_id`.
                let mut dead = by_key(key);
                dead.insert("expires_at", schema::by(*now));
                match sessions.replace_one(dead, rows::document(key, record)).upsert(true).await {
                    Ok(_) => Ok(true),
                    Err(error) if error::is(&error, DUPLICATE_KEY) => Ok(false),
                    Err(error) => Err(error),
                }
            }
            What::Save(expected, record) => {
                let saved = sessions.replace_one(of(*expected), rows::document(key, record)).await?;
                // Matched and not modified: the same once more changes nothing.
                Ok(saved.matched_count > 0)
            }
            What::Touch(expires_at) => {
                let farther = doc! { "$max": { "expires_at": rows::instant(*expires_at) } };
                Ok(sessions.update_one(live(key, *now), farther).await?.matched_count > 0)
            }
            What::Delete(expected) => {
                let filter = expected.map_or_else(|| live(key, *now), of);
                Ok(sessions.delete_one(filter).await?.deleted_count > 0)
            }
        }
    }

    /// The version of the live record.
    async fn stored(&self, server: &Server) -> Driven<Result<Option<Version>>> {
        let found = server.sessions.find_one(live(&self.key, self.now)).max_time(server.timeout);
        let found = found.projection(doc! { "_id": 0, "version": 1 }).await?;
        Ok(found.map(|document| rows::version(&document)).transpose())
    }

    /// Why an attempt failed, if that is what is stored now.
    fn explain(&self, stored: Option<Version>) -> Option<Outcome> {
        match (&self.what, stored) {
            // What was there has gone, and the way is free.
            (What::Create(_), None) => None,
            (_, None) => Some(Outcome::Missing),
            // This very call was carried out before.
            (What::Create(record) | What::Save(_, record), Some(version)) if version == record.version => {
                Some(Outcome::Done)
            }
            (What::Create(_), Some(_)) => Some(Outcome::Exists),
            (What::Save(expected, _) | What::Delete(Some(expected)), Some(version)) if version != *expected => {
                Some(Outcome::Conflict)
            }
            // It came to be what was expected after the attempt.
            (What::Save(..) | What::Touch(_) | What::Delete(_), Some(_)) => None,
        }
    }
}
