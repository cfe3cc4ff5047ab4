//! Conversion between rows and records.

use rusqlite::Row;
use rusqlite::types::ValueRef;
use session_core::{Principal, Record, Result, StoreKey, Version};
use session_store_kit::{WRONG_TYPE, stored_record};

/// Values of a record's columns: version, created_at, expires_at, principal, data.
type Fields<'a> = (i64, i64, i64, Option<&'a str>, &'a [u8]);

/// Returns the values to store for `record`.
pub(crate) fn fields(record: &Record) -> Fields<'_> {
    let principal = record.principal.as_ref().map(Principal::as_str);
    (record.version.as_i64(), record.created_at.as_millis(), record.expires_at.as_millis(), principal, &record.data)
}

/// Reads the record in the columns from `at` on, in the order of [`Fields`].
pub(crate) fn record(row: &Row<'_>, at: usize) -> Result<Record> {
    stored_record(
        [integer(row, at)?, integer(row, at + 1)?, integer(row, at + 2)?],
        text(row, at + 3)?,
        blob(row, at + 4)?,
    )
}

/// Reads the key in column 0 and the record in the columns after it.
pub(crate) fn keyed(row: &Row<'_>) -> Result<(StoreKey, Record)> {
    Ok((StoreKey::from_slice(blob(row, 0)?)?, record(row, 1)?))
}

/// Reads the version in column 0.
pub(crate) fn version(row: &Row<'_>) -> Result<Version> {
    Version::from_i64(integer(row, 0)?)
}

fn integer(row: &Row<'_>, at: usize) -> Result<i64> {
    row.get_ref(at).ok().and_then(|value| value.as_i64().ok()).ok_or(WRONG_TYPE)
}

fn blob<'a>(row: &'a Row<'_>, at: usize) -> Result<&'a [u8]> {
    row.get_ref(at).ok().and_then(|value| value.as_blob().ok()).ok_or(WRONG_TYPE)
}

/// Reads the bytes of a text, which SQLite does not check to be UTF-8.
fn text<'a>(row: &'a Row<'_>, at: usize) -> Result<Option<&'a [u8]>> {
    match row.get_ref(at) {
        Ok(ValueRef::Null) => Ok(None),
        Ok(ValueRef::Text(text)) => Ok(Some(text)),
        _ => Err(WRONG_TYPE),
    }
}
