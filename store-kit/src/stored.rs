//! Conversion of stored values to records, and the errors of values that are not valid.

use session_core::{Bytes, Error, ErrorKind, Principal, Record, Result, Timestamp, Version};

/// Error of a record with a missing field, or with a field of another type: [`ErrorKind::Corrupt`].
pub const WRONG_TYPE: Error =
    Error::fixed(ErrorKind::Corrupt, "a field of a stored record is missing or has another type");

/// Returns the principal of a stored record, from the bytes of its text.
///
/// ```
/// use session_core::ErrorKind;
/// use session_store_kit::stored_principal;
///
/// assert_eq!(stored_principal(b"ann")?.as_str(), "ann");
/// assert_eq!(stored_principal(b"\xff").unwrap_err().kind(), ErrorKind::Corrupt);
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Corrupt`] if the bytes are not a valid principal.
pub fn stored_principal(text: &[u8]) -> Result<Principal> {
    const INVALID: Error = Error::fixed(ErrorKind::Corrupt, "a stored principal is not 1 to 255 bytes of UTF-8");
    let text = str::from_utf8(text).map_err(|_| INVALID)?;
    Principal::new(text).map_err(|_| INVALID)
}

/// Makes a record from the values of its columns. `numbers` are its version, creation and expiry. The data is copied.
///
/// ```
/// use session_core::ErrorKind;
/// use session_store_kit::stored_record;
///
/// assert_eq!(stored_record([1, 0, 60_000], Some(b"ann"), b"{}")?.expires_at.as_millis(), 60_000);
/// assert_eq!(stored_record([1, 0, 60_000], Some(b""), b"{}").unwrap_err().kind(), ErrorKind::Corrupt);
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Corrupt`] if a value is out of its range.
pub fn stored_record(numbers: [i64; 3], principal: Option<&[u8]>, data: &[u8]) -> Result<Record> {
    let [version, created_at, expires_at] = numbers;
    Ok(Record::new(
        Version::from_i64(version)?,
        Timestamp::from_millis(created_at)?,
        Timestamp::from_millis(expires_at)?,
        principal.map(stored_principal).transpose()?,
        Bytes::copy_from_slice(data),
    ))
}
