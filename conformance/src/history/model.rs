//! The contract for one key, as a sequential machine.

use session_core::{Outcome, Timestamp, Version};

/// What lies under a key: nothing, or a record by its version and expiry. An expired record may still lie there.
pub type State = Option<(Version, Timestamp)>;

/// One operation on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// `create` of a record of this version and expiry.
    Create(Version, Timestamp),
    /// `load`.
    Load,
    /// `save`, expecting the first version, of a record of the second and this expiry.
    Save(Version, Version, Timestamp),
    /// `touch`, expecting this version, out to this instant.
    Touch(Version, Timestamp),
    /// `delete`, perhaps of this version only.
    Delete(Option<Version>),
}

/// What the operation answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// A write's outcome.
    Ended(Outcome),
    /// What `load` showed.
    Showed(State),
    /// An error: it was carried out, or will be, or never.
    Unknown,
}

/// An operation with its place in the history.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Event {
    /// Which task's it is.
    pub task: usize,
    /// What was asked.
    pub action: Action,
    /// The `now` of the call.
    pub now: Timestamp,
    /// Place of the call in the order of all calls and answers.
    pub called: u64,
    /// Place of the answer.
    pub answered: u64,
    /// The answer.
    pub answer: Answer,
}

impl Event {
    /// An operation of `task`, made at `now`, whose call and answer have these places.
    pub const fn new(task: usize, action: Action, now: Timestamp, places: (u64, u64), answer: Answer) -> Self {
        Self { task, action, now, called: places.0, answered: places.1, answer }
    }

    /// Whether its answer says that it changed nothing: a read, or a write that was refused.
    pub(super) fn never_changes(&self) -> bool {
        match self.answer {
            Answer::Showed(_) => true,
            Answer::Ended(outcome) => outcome != Outcome::Done,
            Answer::Unknown => false,
        }
    }

    /// The state after it and whether its answer is right, if it takes effect in `state`.
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
