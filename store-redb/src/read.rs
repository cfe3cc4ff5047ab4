//! Execution of calls that read, from a snapshot.

use session_core::{Error, ErrorKind, Principal, Record, Result, StoreKey, Timestamp};

use crate::open_file::Snapshot;
use crate::rows;
use crate::schema::{Prefix, store_key};
use session_store_kit::batch::{Reply, Request, RequestKind};

const WRITES: Error = Error::fixed(
    ErrorKind::Other,
    "a call that writes was sent to a reader; this is a fault of the store, please report it",
);

/// Executes one call. The outer error is the database's; the inner error concerns only this call.
pub(crate) fn execute(snapshot: &Snapshot, prefix: &Prefix, request: &Request) -> Result<Result<Reply>, redb::Error> {
    Ok(match &request.kind {
        RequestKind::Load(key) => snapshot.load(prefix, key, request.now)?.map(Reply::Record),
        RequestKind::SessionsOf(principal, limit) => {
            Ok(Reply::Records(sessions_of(snapshot, prefix, principal, request.now, *limit)?))
        }
        RequestKind::Scan(after, limit) => {
            Ok(Reply::Records(scan(snapshot, prefix, after.as_ref(), request.now, *limit)?))
        }
        _ => Err(WRITES),
    })
}

fn sessions_of(
    snapshot: &Snapshot,
    prefix: &Prefix,
    principal: &Principal,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<(StoreKey, Record)>, redb::Error> {
    let mut list = List::new(limit);
    let span = prefix.entries_of(principal);
    for entry in snapshot.principals()?.range(&*span.first..&*span.end)? {
        if list.is_full() {
            break;
        }
        let Ok(key) = store_key(entry?.0.value()) else { continue };
        if let Some(value) = snapshot.records().get(&*prefix.record(&key))? {
            let record = rows::live(value.value(), now);
            // Not so for the entry of a record that was replaced when it could not be read.
            list.push(key, record.map(|record| record.filter(|record| record.principal.as_ref() == Some(principal))));
        }
    }
    Ok(list.records())
}

fn scan(
    snapshot: &Snapshot,
    prefix: &Prefix,
    after: Option<&StoreKey>,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<(StoreKey, Record)>, redb::Error> {
    let mut list = List::new(limit);
    let span = prefix.records_after(after);
    for entry in snapshot.records().range(&*span.first..&*span.end)? {
        if list.is_full() {
            break;
        }
        let (key, value) = entry?;
        match store_key(key.value()) {
            Ok(key) => list.push(key, rows::live(value.value(), now)),
            Err(error) => list.unread = Some(error),
        }
    }
    Ok(list.records())
}

/// Records of a list. One that cannot be read is left out, and takes no other record's place.
struct List {
    records: Vec<(StoreKey, Record)>,
    limit: usize,
    left_out: u32,
    unread: Option<Error>,
}

impl List {
    fn new(limit: u32) -> Self {
        Self { records: Vec::new(), limit: limit as usize, left_out: 0, unread: None }
    }

    fn is_full(&self) -> bool {
        self.records.len() >= self.limit
    }

    fn push(&mut self, key: StoreKey, record: Result<Option<Record>>) {
        match record {
            Ok(record) => self.records.extend(record.map(|record| (key, record))),
            Err(error) => {
                self.left_out += 1;
                self.unread = Some(error);
            }
        }
    }

    fn records(self) -> Vec<(StoreKey, Record)> {
        if let Some(error) = self.unread {
            tracing::warn!(%error, self.left_out, "sessions cannot be read, and are left out of a list");
        }
        self.records
    }
}
