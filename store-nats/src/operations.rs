//! Calls about one record.
//!
//! A write decides on what is stored, and then writes under the condition that it still is, by the sequence number of its message.
//! If another write came first, it begins again.

use std::sync::Arc;

use session_core::{Clock as _, Live, Outcome, Principal, Record, Result, StoreKey, SystemClock, Timestamp};
use session_store_kit::operations::{Create, Delete, Load, Save};
use session_store_kit::outcome::Write as _;
use session_store_kit::{AnyWrite, fits};

use crate::api::{Content, Expected, Message, Written};
use crate::local::Local;
use crate::principals;
use crate::revisions::Head;
use crate::schema::{self, Entry, shifted, time_to_live};

/// Seconds for which a deleted record leaves a marker.
///
/// A create that began before the deletion then finds that its key has been in use, and writes its index entry again. No call takes
/// longer than an hour, the longest time-out.
pub(crate) const MARKER_LIVES: i64 = 2 * 3600;

/// What is stored under a key.
enum Found {
    /// No message, or a marker with this sequence number. It may have been assumed.
    Nothing(u64),
    Record(Head, Option<Record>),
    /// A message with this sequence number that cannot be read.
    Unread(u64, session_core::Error),
}

impl Found {
    const fn sequence(&self) -> u64 {
        match self {
            Self::Nothing(sequence) | Self::Unread(sequence, _) => *sequence,
            Self::Record(head, _) => head.sequence,
        }
    }

    const fn head(&self) -> Option<&Head> {
        match self {
            Self::Record(head, _) => Some(head),
            _ => None,
        }
    }
}

impl Local {
    pub(crate) async fn load(self: &Arc<Self>, load: &Load) -> Result<Option<Record>> {
        let message = self.last(&self.at.subjects.record(&load.key)).await?;
        Ok(match self.read(&load.key, message) {
            Found::Nothing(_) => None,
            Found::Record(_, record) => record.filter(|record| record.is_live(load.now)),
            Found::Unread(_, error) => return Err(error),
        })
    }

    fn read(&self, key: &StoreKey, message: Option<Message>) -> Found {
        let Some(Message { sequence, value, .. }) = message else {
            self.at.revisions.forget(key);
            return Found::Nothing(0);
        };
        if value.is_empty() {
            self.at.revisions.forget(key);
            return Found::Nothing(sequence);
        }
        match schema::decode(value) {
            Ok((record, entry)) => {
                let head = Head::of(&record, sequence, entry);
                self.at.revisions.note(key, head.clone());
                Found::Record(head, Some(record))
            }
            Err(error) => Found::Unread(sequence, error),
        }
    }

    /// Carries out a write.
    pub(crate) async fn write(self: &Arc<Self>, write: &AnyWrite) -> Result<Outcome> {
        if let AnyWrite::Create(Create { record, .. }) | AnyWrite::Save(Save { record, .. }) = write {
            fits(record, self.at.max_data_len)?;
        }
        let key = write.target();
        let subject = self.at.subjects.record(key);
        let mut assumed = self.assumed(write);
        loop {
            let certain = assumed.is_none();
            let found = match assumed.take() {
                Some(found) => found,
                None => self.read(key, self.last(&subject).await?),
            };
            match decided(write, &found) {
                None => {}
                // What is only assumed refuses nothing.
                Some(_) if !certain => continue,
                Some(outcome) => return outcome,
            }
            match self.change(write, &subject, &found).await? {
                Written::At(_) => return Ok(Outcome::Done),
                Written::Changed => self.at.revisions.forget(key),
            }
        }
    }

    /// Returns what is probably stored, for a write that need not read it: nothing under the key of a create, and what is known.
    fn assumed(&self, write: &AnyWrite) -> Option<Found> {
        match write {
            AnyWrite::Create(_) => Some(Found::Nothing(0)),
            // A touch writes the data again, so it has to read it.
            AnyWrite::Touch(_) => None,
            AnyWrite::Save(_) | AnyWrite::Delete(_) => {
                self.at.revisions.get(write.target()).map(|head| Found::Record(head, None))
            }
        }
    }

    /// Changes what was found, if it is still stored.
    async fn change(self: &Arc<Self>, write: &AnyWrite, subject: &str, found: &Found) -> Result<Written> {
        match write {
            AnyWrite::Create(Create { now, key, record }) | AnyWrite::Save(Save { now, key, record, .. }) => {
                self.store(*now, key, subject, found, record).await
            }
            AnyWrite::Touch(touch) => {
                let Found::Record(head, Some(stored)) = found else { return Ok(Written::Changed) };
                if touch.expires_at <= stored.expires_at {
                    return Ok(Written::At(head.sequence));
                }
                let mut record = stored.clone();
                record.expires_at = touch.expires_at;
                self.store(touch.now, &touch.key, subject, found, &record).await
            }
            // A delete of any version has a condition too: what another write has stored meanwhile may have expired.
            AnyWrite::Delete(Delete { key, .. }) => {
                let expected = Expected::Sequence(found.sequence());
                let written = self.put(subject, Content::Deleted, expected, Some(MARKER_LIVES)).await?;
                if let (Written::At(_), Some(head)) = (written, found.head()) {
                    self.at.revisions.forget(key);
                    self.drop_entry(key, head);
                }
                Ok(written)
            }
        }
    }

    /// Stores a record over what was found. Its index entry is written first.
    async fn store(
        self: &Arc<Self>,
        now: Timestamp,
        key: &StoreKey,
        subject: &str,
        found: &Found,
        record: &Record,
    ) -> Result<Written> {
        let entry = match &record.principal {
            None => Entry::default(),
            Some(principal) => match found.head().filter(|head| principals::suffices(head, principal, record)) {
                Some(head) => head.entry,
                None => self.enter(now, principal, key, record.expires_at).await?,
            },
        };
        let seconds = self.seconds_until(record.expires_at.as_millis(), now);
        let content = Content::Value(schema::encode(record, entry));
        let expected = Expected::Sequence(found.sequence());
        let written = self.put(subject, content, expected, seconds).await?;
        if let Written::At(sequence) = written {
            self.at.revisions.note(key, Head::of(record, sequence, entry));
            if let Some(head) = found.head().filter(|head| head.principal != record.principal) {
                self.drop_entry(key, head);
            }
        }
        Ok(written)
    }

    /// Removes the record under `key` if it is live and belongs to the principal, or cannot be read.
    pub(crate) async fn remove_of(
        self: &Arc<Self>,
        now: Timestamp,
        principal: &Principal,
        key: &StoreKey,
    ) -> Result<bool> {
        let subject = self.at.subjects.record(key);
        let delete = AnyWrite::Delete(Delete { now, key: *key, expected: None });
        loop {
            let found = self.read(key, self.last(&subject).await?);
            match &found {
                Found::Nothing(_) => return Ok(false),
                Found::Record(head, _) if head.expires_at <= now || head.principal.as_ref() != Some(principal) => {
                    return Ok(false);
                }
                _ => {}
            }
            if let Written::At(_) = self.change(&delete, &subject, &found).await? {
                return Ok(true);
            }
        }
    }

    /// Returns the seconds after which the server may remove what is kept until `expires_at`.
    pub(crate) fn seconds_until(&self, expires_at: i64, now: Timestamp) -> Option<i64> {
        time_to_live(expires_at, [now, shifted(SystemClock.now(), self.at.ahead)])
    }
}

/// Returns the outcome of a write that must not be carried out.
fn decided(write: &AnyWrite, found: &Found) -> Option<Result<Outcome>> {
    match found {
        Found::Nothing(_) => write.decide(Live::from(None)).map(Ok),
        Found::Record(head, _) => write.decide(Live::at(write.now(), Some((head.version, head.expires_at)))).map(Ok),
        Found::Unread(_, error) => match write.outcome_unread() {
            Some(_) => None,
            None => Some(Err(error.clone())),
        },
    }
}
