//! Errors of stored values that are not valid, and the conversion of a stored principal.

use session_core::{Error, ErrorKind, Principal, Result};

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
