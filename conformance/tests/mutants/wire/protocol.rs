//! Lines between the client and the server, and the defects that a client may have.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use session_core::{Bytes, Outcome, Principal, Record, Result, Timestamp, Version};

/// Defect of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quirk {
    None,
    SwallowsOutages,
    WrongKind,
    NoTimeOut,
    StaysBroken,
    KeepsDeadConnections,
    RetriesRenewed,
    ResendsWrites,
    InCallersFuture,
    TellsPassword,
}

/// Long enough for a busy machine, and short for clauses that wait for it.
pub(super) const TIME_OUT: Duration = Duration::from_millis(1_500);

/// A record on the wire: version, created, expires, principal, data.
pub(super) type Row = (i64, i64, i64, Option<String>, Vec<u8>);

#[derive(Clone, Serialize, Deserialize)]
pub(super) enum Ask {
    Create(Row),
    Load,
    Save(i64, Row),
    Touch(i64, i64),
    Delete(Option<i64>),
    Purge(NonZeroU32),
    SessionsOf(String, NonZeroU32),
    DeleteAll(String, Option<[u8; 32]>),
    Scan(Option<Vec<u8>>, NonZeroU32),
}

/// A line from the client: namespace, `now`, key, question.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Line(pub(super) String, pub(super) i64, pub(super) [u8; 32], pub(super) Ask);

pub(super) fn to_row(record: &Record) -> Row {
    let who = record.principal.as_ref().map(|who| who.as_str().to_owned());
    let times = (record.created_at.as_millis(), record.expires_at.as_millis());
    (record.version.as_i64(), times.0, times.1, who, record.data.to_vec())
}

pub(super) fn from_row((version, created_at, expires_at, who, data): Row) -> Result<Record> {
    Ok(Record::new(
        Version::from_i64(version)?,
        Timestamp::from_millis(created_at)?,
        Timestamp::from_millis(expires_at)?,
        who.map(Principal::new).transpose()?,
        Bytes::from(data),
    ))
}

/// Outcomes by their number on the wire.
pub(super) const OUTCOMES: [Outcome; 4] = [Outcome::Done, Outcome::Exists, Outcome::Conflict, Outcome::Missing];
