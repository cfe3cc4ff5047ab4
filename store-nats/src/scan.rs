//! Walks over all records.

use std::sync::Arc;

use bytes::Bytes;
use session_core::{Cursor, Error, ErrorKind, Page, Result, Timestamp};

use crate::local::Local;
use crate::schema::{self, Subjects};

/// Maximum number of messages that one call looks at, each with a round trip of its own.
const LONGEST_PAGE: usize = 128;

const NO_CURSOR: Error = Error::fixed(ErrorKind::Corrupt, "the cursor of a scan does not come from this store");

impl Local {
    /// Returns a page of the records in the order in which they were last written.
    ///
    /// A record that is written during the walk moves behind its position, so it is met again rather than missed.
    pub(crate) async fn scan(self: &Arc<Self>, now: Timestamp, after: Option<Cursor>, limit: usize) -> Result<Page> {
        let mut sequence = match after {
            None => 1,
            Some(cursor) => u64::from_be_bytes(cursor.as_bytes().try_into().map_err(|_| NO_CURSOR)?),
        };
        let (subjects, mut records) = (self.at.subjects.records(), Vec::new());
        // Markers and expired records count, so that a page ends within the time-out.
        for _ in 0..limit.min(LONGEST_PAGE) {
            let Some(message) = self.next(sequence, &subjects).await? else {
                return Ok(Page::new(records, None));
            };
            sequence = message.sequence + 1;
            let key = Subjects::key_of(&message.subject).filter(|_| !message.value.is_empty());
            let Some(key) = key else { continue };
            match schema::decode(message.value) {
                Ok((record, _)) => records.extend(record.is_live(now).then_some((key, record))),
                Err(error) => tracing::warn!(%error, "a session cannot be read, and is left out of a walk"),
            }
        }
        Ok(Page::new(records, Some(Cursor::new(Bytes::copy_from_slice(&sequence.to_be_bytes())))))
    }
}
