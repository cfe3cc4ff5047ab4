//! Calls on one key.
//!
//! A write first sends the plain request that fits the usual case; nothing is read before it. A refusal tells what is stored,
//! which decides the outcome or the transaction that is needed instead.

use session_core::{ErrorKind, Outcome, Principal, Result, StoreKey, Timestamp};
use session_store_kit::operations::{Create, Delete, Save, Touch};
use session_store_kit::outcome::Write as _;
use tokio::time::Instant;

use crate::execute::{Server, Single};
use crate::items::{self, Stored, entry_until};
use crate::writes::{Change, Condition, Entry, Write, Written};

/// State of the stored session when a write was refused.
enum Current {
    Absent,
    Expired(Stored),
    Live(Stored),
}

fn current(item: Option<items::Item>, now: Timestamp) -> Result<Current> {
    let Some(item) = item else { return Ok(Current::Absent) };
    let stored = Stored::of(&item)?;
    Ok(if stored.is_live(now) { Current::Live(stored) } else { Current::Expired(stored) })
}

/// Returns the changes of the index when a session's principal changes. An unchanged principal has one change only, because an
/// item cannot be in a transaction twice.
fn entries<'a>(before: Option<&'a Principal>, after: Option<&'a Principal>, until: Timestamp) -> Vec<Entry<'a>> {
    let gone = before.filter(|principal| after != Some(principal)).map(Entry::Remove);
    after.map(|principal| Entry::Put(principal, until)).into_iter().chain(gone).collect()
}

impl Single for Create {
    async fn run(&self, server: &Server, until: Instant) -> Result<Outcome> {
        let Self { now, key, record } = self;
        let index_until = entry_until(record.expires_at);
        let mut expired: Option<Stored> = None;
        loop {
            let before = expired.as_ref().and_then(|stored| stored.principal.as_ref());
            let write = Write {
                key,
                change: Change::Put(record, record.principal.is_some().then_some(index_until)),
                condition: match &expired {
                    None => Condition::absent(),
                    Some(stored) => Condition::expired(stored.version, *now),
                },
                entries: entries(before, record.principal.as_ref(), index_until),
                returns_stored: true,
            };
            match server.write(until, &write).await? {
                Written::Done => return Ok(Outcome::Done),
                Written::Refused(item) => match current(item, *now)? {
                    Current::Live(stored) => return Ok(self.refused(Some(stored.version)).unwrap_or(Outcome::Exists)),
                    Current::Expired(stored) => expired = Some(stored),
                    Current::Absent => expired = None,
                },
            }
        }
    }
}

impl Single for Save {
    async fn run(&self, server: &Server, until: Instant) -> Result<Outcome> {
        let Self { now, key, expected, record } = self;
        let condition = Condition::live(*now).version(*expected);
        let (change, same_principal) = match &record.principal {
            // All of the item is replaced, and on DynamoDB Local a put takes two thirds of the time of an update.
            None => (Change::Put(record, None), condition.clone().without_principal()),
            Some(principal) => (Change::Save(record), condition.clone().of(principal).entered_until(record.expires_at)),
        };
        let write = Write { key, change, condition: same_principal, entries: Vec::new(), returns_stored: true };
        let mut stored = match outcome(self, server.write(until, &write).await?)? {
            Ok(outcome) => return Ok(outcome),
            Err(stored) => stored,
        };
        let index_until = entry_until(record.expires_at);
        loop {
            let write = Write {
                key,
                change: Change::Put(record, record.principal.is_some().then_some(index_until)),
                // A version is always stored with the same principal, so the condition need not name the principal.
                condition: condition.clone(),
                entries: entries(stored.principal.as_ref(), record.principal.as_ref(), index_until),
                returns_stored: true,
            };
            match outcome(self, server.write(until, &write).await?)? {
                Ok(outcome) => return Ok(outcome),
                Err(other) => stored = other,
            }
        }
    }
}

/// Returns the outcome of a save, or the stored session if it has the expected version. Such a session has another principal, or its entry
/// must be renewed.
fn outcome(save: &Save, written: Written) -> Result<Result<Outcome, Stored>> {
    let Written::Refused(item) = written else { return Ok(Ok(Outcome::Done)) };
    Ok(match current(item, save.now)? {
        Current::Absent | Current::Expired(_) => Ok(Outcome::Missing),
        Current::Live(stored) => save.refused(Some(stored.version)).ok_or(stored),
    })
}

impl Single for Touch {
    async fn run(&self, server: &Server, until: Instant) -> Result<Outcome> {
        let Self { now, key, expected, expires_at } = self;
        let farther = Condition::live(*now).version(*expected).before(*expires_at);
        loop {
            let write = Write {
                key,
                change: Change::Touch(*expires_at, None),
                condition: farther.clone().entered_until(*expires_at),
                entries: Vec::new(),
                // The returned item would include the data.
                returns_stored: false,
            };
            if let Written::Done = server.write(until, &write).await? {
                return Ok(Outcome::Done);
            }
            let Some(stored) = server.head(key, until).await?.filter(|stored| stored.is_live(*now)) else {
                return Ok(Outcome::Missing);
            };
            if let Some(outcome) = self.refused(Some(stored.version)) {
                return Ok(outcome);
            }
            if stored.expires_at >= *expires_at {
                return Ok(Outcome::Done);
            }
            // The entry must be renewed, or the session has changed in between.
            let Some(principal) = &stored.principal else { continue };
            let index_until = entry_until(*expires_at);
            let write = Write {
                key,
                change: Change::Touch(*expires_at, Some(index_until)),
                condition: farther.clone().of(principal),
                entries: vec![Entry::Put(principal, index_until)],
                returns_stored: false,
            };
            if let Written::Done = server.write(until, &write).await? {
                return Ok(Outcome::Done);
            }
        }
    }
}

impl Single for Delete {
    async fn run(&self, server: &Server, until: Instant) -> Result<Outcome> {
        let Self { now, key, expected } = self;
        let condition = match expected {
            Some(version) => Condition::live(*now).version(*version),
            None => Condition::live(*now),
        };
        let mut principal: Option<Principal> = None;
        loop {
            let condition = match &principal {
                None => condition.clone().without_principal(),
                Some(principal) => condition.clone().of(principal),
            };
            let entries = entries(principal.as_ref(), None, *now);
            let write = Write { key, change: Change::Delete, condition, entries, returns_stored: true };
            match server.write(until, &write).await? {
                Written::Done => return Ok(Outcome::Done),
                Written::Refused(item) => match current(item, *now) {
                    Err(error) if error.kind() == ErrorKind::Corrupt && expected.is_none() => {
                        return remove_unread(key, server, until).await;
                    }
                    Err(error) => return Err(error),
                    Ok(Current::Absent | Current::Expired(_)) => return Ok(Outcome::Missing),
                    Ok(Current::Live(stored)) => match self.refused(Some(stored.version)) {
                        Some(outcome) => return Ok(outcome),
                        None => principal = stored.principal,
                    },
                },
            }
        }
    }
}

/// Removes an item that cannot be read. Its index entry, if there is one, is ignored from then on and expires.
async fn remove_unread(key: &StoreKey, server: &Server, until: Instant) -> Result<Outcome> {
    let write = Write {
        key,
        change: Change::Delete,
        condition: Condition::present(),
        entries: Vec::new(),
        returns_stored: false,
    };
    Ok(match server.write(until, &write).await? {
        Written::Done => Outcome::Done,
        Written::Refused(_) => Outcome::Missing,
    })
}
