//! Result of a clause.

use std::fmt;

/// Result of a clause: success, or a [`Failure`].
///
/// ```
/// use session_conformance::{Failure, Verdict};
///
/// fn check(found: u32) -> Verdict {
///     if found == 1 { Ok(()) } else { Err(Failure::new(format!("one record should be found, {found} are"))) }
/// }
/// assert!(check(1).is_ok());
/// assert_eq!(check(2).unwrap_err().to_string(), "one record should be found, 2 are");
/// ```
pub type Verdict = Result<(), Failure>;

/// Reason why a clause failed: what was promised and what was seen instead.
///
/// ```
/// let failure = session_conformance::Failure::new("the record should be gone, is there");
/// assert_eq!(failure.to_string(), "the record should be gone, is there");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(String);

impl Failure {
    /// Creates a failure with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}
