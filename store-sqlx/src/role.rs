//! Servers that take no writes, such as replicas.

use std::fmt;

use sqlx::Error as Driver;

/// Error of a connection to a server that takes no writes: a replica, or a server that an operator has made read-only.
///
/// A backend returns it from the [`SetUp`](crate::SetUp) of a connection, so that the next server of a list is tried.
///
/// ```
/// use session_store_sqlx::TakesNoWrites;
///
/// let error = TakesNoWrites("the server is a replica; connect to the primary").into_driver();
/// assert_eq!(TakesNoWrites::of(&error), Some("the server is a replica; connect to the primary"));
/// assert_eq!(TakesNoWrites::of(&sqlx::Error::PoolTimedOut), None);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TakesNoWrites(
    /// The reason, and what to do.
    pub &'static str,
);

impl TakesNoWrites {
    /// Returns this error in the form of the driver's errors.
    pub fn into_driver(self) -> Driver {
        Driver::Configuration(Box::new(self))
    }

    /// Returns the reason if `error` is such an error.
    pub fn of(error: &Driver) -> Option<&'static str> {
        match error {
            Driver::Configuration(error) => error.downcast_ref::<Self>().map(|Self(why)| *why),
            _ => None,
        }
    }
}

impl fmt::Display for TakesNoWrites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for TakesNoWrites {}
