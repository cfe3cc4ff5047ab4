//! The contract for one key, as a sequential state machine.

use session_core::{Outcome, Timestamp, Version};

/// State of a key: nothing, or a record's version and expiry. An expired record may remain stored.
pub type State = Option<(Version, Timestamp)>;

/// An operation on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
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

/// Answer of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// Outcome of a write.
    Ended(Outcome),
    /// Record that `load` returned.
    Showed(State),
    /// An error. The operation may have taken effect, may do so later, or never.
    Unknown,
}

/// An operation, with the places of its call and its answer in the history.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Event {
    /// Number of the task that made the call.
    pub task: usize,
    /// The operation.
    pub action: Action,
    /// The call's `now`.
    pub now: Timestamp,
    /// Place of the call among all calls and answers.
    pub called: u64,
    /// Place of the answer among all calls and answers.
    pub answered: u64,
    /// Answer of the operation.
    pub answer: Answer,
}

impl Event {
    /// Creates an event of `task` at `now`. `places` are those of the call and the answer.
    pub const fn new(task: usize, action: Action, now: Timestamp, places: (u64, u64), answer: Answer) -> Self {
        Self { task, action, now, called: places.0, answered: places.1, answer }
    }

    /// Returns whether the answer shows that nothing was changed: a read, or a refused write.
    pub(super) fn never_changes(&self) -> bool {
        match self.answer {
            Answer::Showed(_) => true,
            Answer::Ended(outcome) => outcome != Outcome::Done,
            Answer::Unknown => false,
        }
    }

    /// Returns the next state, and whether the answer is right, if the operation takes effect in `state`.
    pub(super) fn apply(&self, state: State) -> (State, bool) {
        use Outcome::{Conflict, Done, Exists, Missing};
        let live = state.filter(|(_, expires_at)| *expires_at > self.now);
        let (after, outcome) = match (self.action, live) {
            (Action::Load, _) => return (state, self.answer == Answer::Showed(live) || self.answer == Answer::Unknown),
            (Action::Create(version, _), Some((stored, _))) if stored == version => (state, Done),
            (Action::Create(..), Some(_)) => (state, Exists),
            (Action::Create(version, expires_at), None) => (Some((version, expires_at)), Done),
            (Action::Save(_, version, _), Some((stored, _))) if stored == version => (state, Done),
            (Action::Save(expected, version, expires_at), Some((stored, _))) if stored == expected => {
                (Some((version, expires_at)), Done)
            }
            (Action::Save(..), Some(_)) => (state, Conflict),
            (Action::Touch(expected, at), Some((stored, expires_at))) if stored == expected => {
                (Some((stored, expires_at.max(at))), Done)
            }
            (Action::Touch(..), Some(_)) => (state, Conflict),
            (Action::Delete(expected), Some((stored, _))) if expected.is_some_and(|version| version != stored) => {
                (state, Conflict)
            }
            (Action::Delete(_), Some(_)) => (None, Done),
            (Action::Save(..) | Action::Touch(..) | Action::Delete(_), None) => (state, Missing),
        };
        (after, self.answer == Answer::Ended(outcome) || self.answer == Answer::Unknown)
    }
}
