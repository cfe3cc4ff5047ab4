//! Names of tables, key prefixes and collections on a server.

use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind, Result};

/// Namespace on a server, which a store uses as the name of a table or collection, or as a key prefix.
///
/// It matches `[a-z_][a-z0-9_]{0,39}`, so a caller cannot inject text into a statement.
/// Index names made from it stay within 63 bytes, the lowest limit of the supported servers.
///
/// ```
/// use session_core::Namespace;
///
/// assert_eq!(Namespace::new("web_sessions")?.as_str(), "web_sessions");
/// assert!(Namespace::new("x; drop table users").is_err());
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Namespace(Box<str>);

impl Namespace {
    /// Longest name in bytes.
    pub const MAX_LEN: usize = 40;

    /// Creates a namespace from `name`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if `name` does not match `[a-z_][a-z0-9_]{0,39}`.
    pub fn new(name: &str) -> Result<Self> {
        let first = name.bytes().next().is_some_and(|b| b == b'_' || b.is_ascii_lowercase());
        let rest = name.bytes().all(|b| b == b'_' || b.is_ascii_lowercase() || b.is_ascii_digit());
        if first && rest && name.len() <= Self::MAX_LEN {
            return Ok(Self(name.into()));
        }
        Err(Error::fixed(
            ErrorKind::Config,
            "a namespace must have 1 to 40 characters of a-z, 0-9 and _, and must not begin with a digit",
        ))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Namespace {
    /// Returns the namespace `sessions`.
    fn default() -> Self {
        Self("sessions".into())
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Namespace({})", self.0)
    }
}

impl FromStr for Namespace {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::new(name)
    }
}

#[cfg(test)]
mod tests {
    use super::Namespace;

    #[test]
    fn only_plain_names_pass() {
        for good in ["a", "_", "sessions_2", &"x".repeat(40)] {
            assert!(Namespace::new(good).is_ok(), "{good}");
        }
        for bad in ["", "2a", "A", "a b", "a;b", "a\"", "a'", "a\0", "ä", "a-b", "a.b", &"x".repeat(41)] {
            assert!(Namespace::new(bad).is_err(), "{bad}");
        }
    }
}
