//! The contract for one key, as a sequential state machine.

use session_core::{Outcome, Timestamp, Version};

/// State of a key: nothing, or a record's version and expiry. An expired record may remain stored.
pub type KeyState = Option<(Version, Timestamp)>;

/// An operation on a key.
///
/// ```
/// use session_conformance::history::KeyOperation;
/// use session_core::{Timestamp, Version};
///
/// let version = Version::random();
/// assert_ne!(KeyOperation::Create(version, Timestamp::MAX), KeyOperation::Touch(version, Timestamp::MAX));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyOperation {
    /// A `create` of a record with this version and expiry.
    Create(Version, Timestamp),
    /// A `load`.
    Load,
    /// A `save` that expects the first version, of a record with the second version and this expiry.
    Save(Version, Version, Timestamp),
    /// A `touch` that expects this version, up to this instant.
    Touch(Version, Timestamp),
    /// A `delete`, of this version only if one is given.
    Delete(Option<Version>),
}

/// Answer of an operation on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Response {
    /// Outcome of a write.
    Written(Outcome),
    /// Record that `load` returned.
    Loaded(KeyState),
    /// An error. The operation may have taken effect, may do so later, or never.
    Unknown,
}

/// An operation, with the places of its call and its answer in the history.
///
/// ```
/// use session_conformance::history::{Event, KeyOperation, Response};
/// use session_core::Timestamp;
///
/// let load = Event::new(3, KeyOperation::Load, Timestamp::MIN, (10, 12), Response::Loaded(None));
/// assert_eq!((load.task, load.called, load.answered), (3, 10, 12));
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Event {
    /// Number of the task that made the call.
    pub task: usize,
    /// The operation.
    pub action: KeyOperation,
    /// The call's `now`.
    pub now: Timestamp,
    /// Place of the call among all calls and answers.
    pub called: u64,
    /// Place of the answer among all calls and answers.
    pub answered: u64,
    /// Answer of the operation.
    pub answer: Response,
}

impl Event {
    /// Creates an event of `task` at `now`. `places` are those of the call and the answer.
    pub const fn new(task: usize, action: KeyOperation, now: Timestamp, places: (u64, u64), answer: Response) -> Self {
        Self { task, action, now, called: places.0, answered: places.1, answer }
    }

    /// Returns whether the answer shows that nothing was changed: a read, or a refused write.
    pub(super) fn never_changes(&self) -> bool {
        match self.answer {
            Response::Loaded(_) => true,
            Response::Written(outcome) => outcome != Outcome::Done,
            Response::Unknown => false,
        }
    }

    /// Returns the next state, and whether the answer is right, if the operation takes effect in `state`.
    pub(super) fn apply(&self, state: KeyState) -> (KeyState, bool) {
        use Outcome::{Conflict, Done, Exists, Missing};
        let live = state.filter(|(_, expires_at)| *expires_at > self.now);
        let (after, outcome) = match (self.action, live) {
            (KeyOperation::Load, _) => {
                return (state, self.answer == Response::Loaded(live) || self.answer == Response::Unknown);
            }
            (KeyOperation::Create(version, _), Some((stored, _))) if stored == version => (state, Done),
            (KeyOperation::Create(..), Some(_)) => (state, Exists),
            (KeyOperation::Create(version, expires_at), None) => (Some((version, expires_at)), Done),
            (KeyOperation::Save(_, version, _), Some((stored, _))) if stored == version => (state, Done),
            (KeyOperation::Save(expected, version, expires_at), Some((stored, _))) if stored == expected => {
                (Some((version, expires_at)), Done)
            }
            (KeyOperation::Save(..), Some(_)) => (state, Conflict),
            (KeyOperation::Touch(expected, at), Some((stored, expires_at))) if stored == expected => {
                (Some((stored, expires_at.max(at))), Done)
            }
            (KeyOperation::Touch(..), Some(_)) => (state, Conflict),
            (KeyOperation::Delete(expected), Some((stored, _)))
                if expected.is_some_and(|version| version != stored) =>
            {
                (state, Conflict)
            }
            (KeyOperation::Delete(_), Some(_)) => (None, Done),
            (KeyOperation::Save(..) | KeyOperation::Touch(..) | KeyOperation::Delete(_), None) => (state, Missing),
        };
        (after, self.answer == Response::Written(outcome) || self.answer == Response::Unknown)
    }
}
