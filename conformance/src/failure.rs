//! Result of a clause.

use std::fmt;

/// Result of a clause: success, or a [`Failure`].
pub type Verdict = Result<(), Failure>;

/// Reason why a clause failed: what was promised and what was seen instead.
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
