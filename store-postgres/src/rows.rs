//! Records to rows and back.

use session_core::{Bytes, Error, ErrorKind, Principal, Record, Result, StoreKey, Timestamp, Version};
use sqlx::postgres::PgRow;
use sqlx::{Row as _, ValueRef as _};

const WRONG_TYPE: Error = Error::fixed(ErrorKind::Corrupt, "a column holds a value of another type");
const NOT_TEXT: Error = Error::fixed(ErrorKind::Corrupt, "a stored principal is not 1 to 255 bytes of UTF-8");

/// The record in the columns from `at` on.
pub(crate) fn record(row: &PgRow, at: usize) -> Result<Record> {
    Ok(Record::new(
        version(row, at)?,
        instant(row, at + 1)?,
        instant(row, at + 2)?,
        principal(row, at + 3)?,
        Bytes::copy_from_slice(bytes(row, at + 4)?.ok_or(WRONG_TYPE)?),
    ))
}

pub(crate) fn keyed(row: &PgRow) -> Result<(StoreKey, Record)> {
    Ok((key(row, 0)?, record(row, 1)?))
}

pub(crate) fn key(row: &PgRow, at: usize) -> Result<StoreKey> {
    StoreKey::from_slice(bytes(row, at)?.ok_or(WRONG_TYPE)?)
}

pub(crate) fn version(row: &PgRow, at: usize) -> Result<Version> {
    Version::from_i64(integer(row, at)?)
}

pub(crate) fn instant(row: &PgRow, at: usize) -> Result<Timestamp> {
    Timestamp::from_millis(integer(row, at)?)
}

pub(crate) fn name(record: &Record) -> Option<&str> {
    record.principal.as_ref().map(Principal::as_str)
}

fn principal(row: &PgRow, at: usize) -> Result<Option<Principal>> {
    let Some(bytes) = bytes(row, at)? else { return Ok(None) };
    let text = str::from_utf8(bytes).map_err(|_| NOT_TEXT)?;
    Principal::new(text).map(Some).map_err(|_| NOT_TEXT)
}

/// Columns are read as the bytes that PostgreSQL sends; their types were checked when the store was opened.
fn bytes(row: &PgRow, at: usize) -> Result<Option<&[u8]>> {
    let value = row.try_get_raw(at).map_err(|_| WRONG_TYPE)?;
    if value.is_null() { Ok(None) } else { value.as_bytes().map(Some).map_err(|_| WRONG_TYPE) }
}

fn integer(row: &PgRow, at: usize) -> Result<i64> {
    let bytes = bytes(row, at)?.and_then(|bytes| bytes.try_into().ok()).ok_or(WRONG_TYPE)?;
    Ok(i64::from_be_bytes(bytes))
}
