//! Calls on many keys: lists, scans and the removal of all sessions of a principal.

use std::num::NonZeroU32;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::stream::{StreamExt as _, TryStreamExt as _, iter};
use session_core::{Cursor, Error, ErrorKind, Page, Principal, Record, Result, StoreKey, Timestamp};
use session_store_kit::batch::Item as Call;
use tokio::time::Instant;

use crate::execute::{Server, Single};
use crate::items::{self, Item, PK, SK};
use crate::reads::MOST_KEYS;
use crate::writes::{Change, Condition, Entry, Write, Written};

/// Maximum number of requests of one call in flight.
const AT_ONCE: usize = 8;

/// Maximum number of entries in one answer.
const ENTRIES: usize = 1_000;

pub(crate) struct SessionsOf {
    pub(crate) now: Timestamp,
    pub(crate) principal: Principal,
    pub(crate) limit: NonZeroU32,
}

pub(crate) struct DeleteAll {
    pub(crate) now: Timestamp,
    pub(crate) principal: Principal,
    pub(crate) keep: Option<StoreKey>,
}

pub(crate) struct Scan {
    pub(crate) now: Timestamp,
    pub(crate) after: Option<Cursor>,
    pub(crate) limit: NonZeroU32,
}

/// Implements [`Call`] for calls with these answers.
macro_rules! items {
    ($($op:ident -> $output:ty;)*) => {$(
        impl Call for $op {
            type Output = $output;

            fn key(&self) -> Option<StoreKey> {
                None
            }

            fn len(&self) -> usize {
                1
            }
        }
    )*};
}

items! {
    SessionsOf -> Vec<(StoreKey, Record)>;
    DeleteAll -> u64;
    Scan -> Page;
}

/// Keys of sessions in the order of the index, and the position of the next page, if there is one.
type Entries = (Vec<StoreKey>, Option<Item>);

impl Server {
    /// Reads a page of a principal's entries.
    async fn entries(
        &self,
        principal: &Principal,
        after: Option<Item>,
        limit: usize,
        until: Instant,
    ) -> Result<Entries> {
        let request = || {
            let query = self.clients.reads.query().table_name(&self.table).consistent_read(true);
            let query = query.key_condition_expression("pk = :pk").projection_expression(SK).limit(page(limit));
            let query = query.expression_attribute_values(":pk", items::partition(principal));
            query.set_exclusive_start_key(after.clone()).send()
        };
        let answer = self.read(until, request).await?;
        // Entries with an invalid key belong to no session.
        let keys = answer.items.unwrap_or_default().iter().filter_map(|item| items::key(item, SK).ok()).collect();
        Ok((keys, answer.last_evaluated_key))
    }
}

/// Returns the record, or `None` with an event if it cannot be read, so that a list still shows the other records.
fn readable<T>(record: Result<T>) -> Option<T> {
    record.inspect_err(|error| tracing::warn!(%error, "a session cannot be read, and is left out of a list")).ok()
}

fn page(limit: usize) -> i32 {
    i32::try_from(limit.min(ENTRIES)).unwrap_or(i32::MAX)
}

impl Single for SessionsOf {
    async fn run(&self, server: &Server, until: Instant) -> Result<Vec<(StoreKey, Record)>> {
        let Self { now, principal, limit } = self;
        let limit = limit.get() as usize;
        let (mut sessions, mut after) = (Vec::new(), None);
        loop {
            let (keys, next) = server.entries(principal, after, limit.max(MOST_KEYS), until).await?;
            let chunks: Vec<_> = keys.chunks(MOST_KEYS).map(<[_]>::to_vec).collect();
            let get = |keys: Vec<_>| async move { server.get_all(&keys, until).await };
            let mut found = iter(chunks).map(get).buffered(AT_ONCE);
            while let Some(found) = found.try_next().await? {
                for (key, record) in found {
                    let Some(record) = readable(record) else { continue };
                    // An entry is ignored if its session has ended or now has another principal.
                    if record.is_live(*now) && record.principal.as_ref() == Some(principal) {
                        sessions.push((key, record));
                    }
                }
                if sessions.len() >= limit {
                    sessions.truncate(limit);
                    return Ok(sessions);
                }
            }
            match next {
                Some(next) => after = Some(next),
                None => return Ok(sessions),
            }
        }
    }
}

impl Single for DeleteAll {
    async fn run(&self, server: &Server, until: Instant) -> Result<u64> {
        let (mut removed, mut after) = (0, None);
        loop {
            let (keys, next) = server.entries(&self.principal, after, ENTRIES, until).await?;
            let keys: Vec<_> = keys.into_iter().filter(|key| self.keep.as_ref() != Some(key)).collect();
            let mut removing = iter(keys).map(|key| self.remove(key, server, until)).buffer_unordered(AT_ONCE);
            while let Some(done) = removing.try_next().await? {
                removed += u64::from(done);
            }
            match next {
                Some(next) => after = Some(next),
                None => return Ok(removed),
            }
        }
    }
}

impl DeleteAll {
    /// Removes a session, whatever its version, if it is live and still has the principal. Returns whether it did.
    async fn remove(&self, key: StoreKey, server: &Server, until: Instant) -> Result<bool> {
        let write = Write {
            key: &key,
            change: Change::Delete,
            condition: Condition::live(self.now).of(&self.principal),
            entries: vec![Entry::Remove(&self.principal)],
            returns_stored: false,
        };
        Ok(matches!(server.write(until, &write).await?, Written::Done))
    }
}

impl Single for Scan {
    async fn run(&self, server: &Server, until: Instant) -> Result<Page> {
        let after = self.after.as_ref().map(position).transpose()?;
        let request = || {
            let scan = server.clients.reads.scan().table_name(&server.table).consistent_read(true);
            // Entries and the layout have no attribute of this name.
            let scan = scan.filter_expression("expires_at > :now").limit(page(self.limit.get() as usize));
            let scan = scan.expression_attribute_values(":now", items::instant(self.now));
            scan.set_exclusive_start_key(after.clone()).send()
        };
        let answer = server.read(until, request).await?;
        let keyed = |item: Item| Ok((items::key(&item, PK)?, items::record(item)?));
        let items = answer.items.unwrap_or_default().into_iter();
        let records = items.filter_map(|item| readable(keyed(item))).collect();
        Ok(Page::new(records, answer.last_evaluated_key.as_ref().map(cursor).transpose()?))
    }
}

/// Returns a cursor with the primary key of the last item that was read, which need not be a session. It holds the length of the
/// first part, then both parts.
fn cursor(last: &Item) -> Result<Cursor> {
    let (pk, sk) = (items::blob(last, PK)?, items::blob(last, SK)?);
    let length = u8::try_from(pk.len()).map_err(|_| NO_CURSOR)?;
    Ok(Cursor::new([&[length][..], pk, sk].concat()))
}

fn position(cursor: &Cursor) -> Result<Item> {
    let (length, rest) = cursor.as_bytes().split_first().ok_or(NO_CURSOR)?;
    let (pk, sk) = rest.split_at_checked(usize::from(*length)).ok_or(NO_CURSOR)?;
    if pk.is_empty() || sk.is_empty() {
        return Err(NO_CURSOR);
    }
    Ok(items::item::<2>([(PK, items::bytes(pk)), (SK, items::bytes(sk))] as [(&str, AttributeValue); 2]))
}

const NO_CURSOR: Error = Error::fixed(ErrorKind::Corrupt, "the cursor is not one that this store returned");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_where_it_came_from() {
        for (pk, sk) in [(&[7; 32][..], &b"s"[..]), (&[7; 33], &[8; 32]), (b"layout", b"layout")] {
            let last = items::item([(PK, items::bytes(pk)), (SK, items::bytes(sk))]);
            assert_eq!(position(&cursor(&last).unwrap()).unwrap(), last);
        }
        for strange in [&b""[..], b"\0", b"\x01", b"\x01p", b"\x05abc"] {
            let error = position(&Cursor::new(strange.to_vec())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{strange:?}");
        }
    }
}
