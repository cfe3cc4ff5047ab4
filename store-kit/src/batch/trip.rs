//! Circumstances of one round trip, and the result of one that must be run again.

use session_core::{Error, Result};
use tokio::time::Instant;

/// Circumstances of one round trip.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Trip {
    /// Time at which the first caller of the batch gives up. It was fixed when that caller called.
    ///
    /// Nothing may be sent after it. No other caller of the batch has more than twice as much time left when the batch is sent.
    pub deadline: Instant,
    /// Whether this is the second run of an item whose batch could not run it. It may wait for a lock until the deadline,
    /// because the other calls do not wait for it.
    pub alone: bool,
}

impl Trip {
    pub(crate) const fn new(deadline: Instant, alone: bool) -> Self {
        Self { deadline, alone }
    }
}

/// A batch of which some items certainly had no effect. Those are run again, each on its own.
///
/// Made from an error by `into`, it says that the whole batch had no effect. A batch of one item is not run again then: its caller
/// gets the error.
#[derive(Debug)]
pub struct Undone<T> {
    pub(crate) error: Error,
    /// Answers of the items, `None` for those to run again. Empty if that is all of them.
    pub(crate) answers: Vec<Option<Result<T>>>,
}

impl<T> Undone<T> {
    /// Returns the result of a batch that ran in part. `answers` holds the answer of each item, in their order, and `None` for an
    /// item that certainly had no effect.
    ///
    /// Such an item is run again on its own, also if the batch held nothing else. If it has been, its caller gets `error`.
    ///
    /// ```
    /// use session_core::ErrorKind;
    /// use session_store_kit::batch::{Answers, Undone};
    /// # use session_core::StoreKey;
    /// # struct Save;
    /// # impl session_store_kit::batch::Item for Save {
    /// #     type Output = ();
    /// #     fn key(&self) -> Option<StoreKey> { None }
    /// #     fn len(&self) -> usize { 0 }
    /// # }
    ///
    /// // The row of the second item is locked by another client.
    /// let answers: Answers<Save> = Err(Undone::part(vec![Some(Ok(())), None], ErrorKind::Unavailable.into()));
    /// ```
    pub const fn part(answers: Vec<Option<Result<T>>>, error: Error) -> Self {
        Self { error, answers }
    }
}

impl<T> From<Error> for Undone<T> {
    fn from(error: Error) -> Self {
        Self { error, answers: Vec::new() }
    }
}
