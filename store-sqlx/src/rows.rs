//! Conversion of rows to records.

use std::borrow::Cow;
use std::collections::HashMap;

use session_core::{Principal, Record, Result, StoreKey, Timestamp, Version};
use session_store_kit::outcome::FoundVersions;
use session_store_kit::{WRONG_TYPE, stored_record};
use sqlx::{ColumnIndex, Decode, Row, ValueRef as _};

/// A row whose columns are read as bytes and as numbers.
///
/// A store checks the types of its columns when it is opened, so they are not checked again for each row.
pub trait Columns {
    /// Returns the bytes in a column, or `None` if it is null.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](session_core::ErrorKind::Corrupt) if there is no such column, or its value is not bytes.
    fn bytes(&self, at: usize) -> Result<Option<Cow<'_, [u8]>>>;

    /// Returns the number in a column.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](session_core::ErrorKind::Corrupt) if there is no such column, or its value is null or not a number.
    fn integer(&self, at: usize) -> Result<i64>;
}

impl<R> Columns for R
where
    R: Row,
    usize: ColumnIndex<R>,
    for<'r> &'r [u8]: Decode<'r, R::Database>,
    for<'r> Vec<u8>: Decode<'r, R::Database>,
    for<'r> i64: Decode<'r, R::Database>,
{
    fn bytes(&self, at: usize) -> Result<Option<Cow<'_, [u8]>>> {
        let value = || self.try_get_raw(at).map_err(|_| WRONG_TYPE);
        if value()?.is_null() {
            return Ok(None);
        }
        // The answer to a statement that was not prepared holds bytes as digits.
        let bytes = <&[u8]>::decode(value()?).map(Cow::Borrowed);
        bytes.or_else(|_| Vec::decode(value()?).map(Cow::Owned).map_err(|_| WRONG_TYPE)).map(Some)
    }

    fn integer(&self, at: usize) -> Result<i64> {
        let value = self.try_get_raw(at).map_err(|_| WRONG_TYPE)?;
        i64::decode(value).map_err(|_| WRONG_TYPE)
    }
}

/// Reads a record from the columns from `at` on: version, created_at, expires_at, principal, data.
///
/// # Errors
/// [`ErrorKind::Corrupt`](session_core::ErrorKind::Corrupt) if the columns hold no valid record.
pub fn record(row: &impl Columns, at: usize) -> Result<Record> {
    stored_record(
        [row.integer(at)?, row.integer(at + 1)?, row.integer(at + 2)?],
        row.bytes(at + 3)?.as_deref(),
        &row.bytes(at + 4)?.ok_or(WRONG_TYPE)?,
    )
}

/// Reads a key and its record.
///
/// # Errors
/// [`ErrorKind::Corrupt`](session_core::ErrorKind::Corrupt) if the columns hold no valid key and record.
pub fn keyed(row: &impl Columns) -> Result<(StoreKey, Record)> {
    Ok((key(row, 0)?, record(row, 1)?))
}

/// Reads keys and records from several rows, by key. Rows with an invalid key are left out because no call asks for them.
pub fn by_key<R: Columns>(rows: &[R]) -> HashMap<StoreKey, Result<Record>> {
    rows.iter().filter_map(|row| Some((key(row, 0).ok()?, record(row, 1)))).collect()
}

/// Reads key, version and expires_at from several rows, by key. Rows with an invalid key are left out.
pub fn found<R: Columns>(rows: &[R]) -> FoundVersions {
    let of = |row| Ok((version(row, 1)?, instant(row, 2)?));
    rows.iter().filter_map(|row| Some((key(row, 0).ok()?, of(row)))).collect()
}

/// Reads the key in a column.
///
/// # Errors
/// [`ErrorKind::Corrupt`](session_core::ErrorKind::Corrupt) if the column holds no valid key.
pub fn key(row: &impl Columns, at: usize) -> Result<StoreKey> {
    StoreKey::from_slice(&row.bytes(at)?.ok_or(WRONG_TYPE)?)
}

/// Reads the version in a column.
///
/// # Errors
/// [`ErrorKind::Corrupt`](session_core::ErrorKind::Corrupt) if the column holds no valid version.
pub fn version(row: &impl Columns, at: usize) -> Result<Version> {
    Version::from_i64(row.integer(at)?)
}

fn instant(row: &impl Columns, at: usize) -> Result<Timestamp> {
    Timestamp::from_millis(row.integer(at)?)
}

/// Returns the name of a record's principal as a value to store.
pub fn name(record: &Record) -> Option<&str> {
    record.principal.as_ref().map(Principal::as_str)
}
