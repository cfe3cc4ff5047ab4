//! Conversion of a row's columns to a record, for stores in SQL databases.

use session_core::{Bytes, Error, ErrorKind, Principal, Record, Result, Timestamp, Version};

/// Error of a column whose value has another type than the store has written: [`ErrorKind::Corrupt`].
pub const WRONG_TYPE: Error = Error::fixed(ErrorKind::Corrupt, "a column holds a value of another type");
const NOT_TEXT: Error = Error::fixed(ErrorKind::Corrupt, "a stored principal is not 1 to 255 bytes of UTF-8");

/// Makes a record from the values of its columns. `numbers` are its version, creation and expiry. The data is copied.
///
/// ```
/// use session_core::ErrorKind;
/// use session_store_kit::columns::record;
///
/// assert_eq!(record([1, 0, 60_000], Some(b"ann"), b"{}")?.expires_at.as_millis(), 60_000);
/// assert_eq!(record([1, 0, 60_000], Some(b""), b"{}").unwrap_err().kind(), ErrorKind::Corrupt);
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Corrupt`] if a value is out of its range.
pub fn record(numbers: [i64; 3], principal: Option<&[u8]>, data: &[u8]) -> Result<Record> {
    let [version, created_at, expires_at] = numbers;
    Ok(Record::new(
        Version::from_i64(version)?,
        Timestamp::from_millis(created_at)?,
        Timestamp::from_millis(expires_at)?,
        principal.map(self::principal).transpose()?,
        Bytes::copy_from_slice(data),
    ))
}

fn principal(text: &[u8]) -> Result<Principal> {
    let text = str::from_utf8(text).map_err(|_| NOT_TEXT)?;
    Principal::new(text).map_err(|_| NOT_TEXT)
}
