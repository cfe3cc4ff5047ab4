//! Faults that tests switch on to see that they are found. Without the feature `mutants` none can be.

/// A fault of the core: one of its rules is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "mutants"), expect(unreachable_pub, reason = "public only for tests"))]
pub enum Mutant {
    /// Breaks the rule that each record that is sent has a version of its own.
    ResendsAlike,
    /// Breaks the rule that while a write is undecided, the next goes over the version that it expects.
    GoesOverItsOwnBase,
    /// Breaks the rule that each new view is counted, so an update runs again.
    ReplacesTheViewUncounted,
    /// Breaks the rule that nothing is sent for a session that began from nothing since.
    NotesAcrossEpochs,
    /// Breaks the rule that losing a session drops only the operations that the commit held.
    LosesALaterLogin,
    /// Breaks the rule that each clone of a session is told that changes were dropped.
    SaysGoneOnce,
    /// Breaks the rule that a tombstone proves for ten minutes what became of a rotation.
    ForgetsTombstonesEarly,
    /// Breaks the rule that a create that may still arrive finds a tombstone.
    RemovesACreateOnce,
    /// Breaks the rule that the record of a rotation stays while its tombstone is uncertain.
    RemovesAnUncertainRecord,
    /// Breaks the rule that a rotation that was discarded is decided before a commit answers.
    LeavesADiscardedRotation,
    /// Breaks the rule that a touch names the version it expects.
    TouchesAnyVersion,
    /// Breaks the rule that a save in place of a touch goes over the version that was read.
    SavesAgainOverAnyVersion,
    /// Breaks the rule that an answer repeats an id only if its own close confirmed it.
    TrustsAnEarlySave,
    /// Breaks the rule that a member notes the joint write before it is sent.
    JoinsWithoutANote,
    /// Breaks the rule that a member that hangs up lets another one drive the joint write.
    LeavesOthersAsleep,
    /// Breaks the rule that a joint write on top of one that was not stored is not sent.
    SendsAfterAFailure,
    /// Breaks the rule that what is refused together goes alone.
    RefusesTogether,
    /// Breaks the rule that the queue decides nothing against a member.
    BelievesTheQueue,
    /// Breaks the rule that a login with a guarded log begins no session of its own.
    LogsInWithAGuard,
    /// Breaks the rule that a trail tells what became of a write that others have built on.
    IgnoresTrails,
    /// Breaks the rule that a commit without a change confirms that the record is as it was.
    ConfirmsWithoutATouch,
    /// Breaks the rule that a login keeps only what its own request has chosen.
    KeepsAGuestsChoice,
    /// Breaks the rule that two requests give no two messages one id.
    RepeatsFlashIds,
    /// Breaks the rule that a page begins a new session only once the logout before it is settled.
    BeginsAnewAtOnce,
    /// Breaks the rule that a client is told to forget its id only once the logout is stored.
    ClearsBeforeTheLogout,
}

#[cfg(feature = "mutants")]
mod active {
    use std::cell::Cell;

    use super::Mutant;

    std::thread_local! {
        static ACTIVE: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Makes the core of this thread break one rule, or none again.
    pub fn activate(mutant: Option<Mutant>) {
        ACTIVE.set(mutant);
    }

    pub(crate) fn is(mutant: Mutant) -> bool {
        ACTIVE.get() == Some(mutant)
    }
}

#[cfg(feature = "mutants")]
pub use active::activate;
#[cfg(feature = "mutants")]
pub(crate) use active::is;

#[cfg(not(feature = "mutants"))]
pub(crate) const fn is(_: Mutant) -> bool {
    false
}
