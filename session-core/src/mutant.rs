//! Mutants: faults that a test switches on to prove that it finds them. Only with the feature `mutants`.

/// A fault of the core: breaks one of its rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "mutants"), expect(unreachable_pub, reason = "public only for tests"))]
pub enum Mutant {
    /// Breaks the rule that each attempt to send a record has a fresh version.
    ResendsAlike,
    /// Breaks the rule that, while a write is undecided, the next write expects the same version.
    GoesOverItsOwnBase,
    /// Breaks the rule that each replacement of the view is counted, so that an `update` runs again.
    ReplacesTheViewUncounted,
    /// Breaks the rule that a commit sends nothing once its session has been reset.
    NotesAcrossEpochs,
    /// Breaks the rule that a commit that finds its session gone drops only its own operations.
    LosesALaterLogin,
    /// Breaks the rule that a commit of any clone reports dropped changes.
    SaysGoneOnce,
    /// Breaks the rule that a save reports changes that were dropped with their request.
    AbandonsSilently,
    /// Breaks the rule that a tombstone is stored for ten minutes, to prove that a rotation was stored.
    ForgetsTombstonesEarly,
    /// Breaks the rule that a tombstone blocks an abandoned create that may still arrive.
    RemovesACreateOnce,
    /// Breaks the rule that the new record of a rotation stays while its tombstone is uncertain.
    RemovesAnUncertainRecord,
    /// Breaks the rule that a commit decides a discarded rotation before it returns.
    LeavesADiscardedRotation,
    /// Breaks the rule that a reload asks again what became of an uncertain rotation if the old id opens nothing.
    ReloadsBesideARotation,
    /// Breaks the rule that what follows a discarded save replaces the record, so that the save cannot undo it.
    ForgetsADiscardedSave,
    /// Breaks the rule that a touch names the version it expects.
    TouchesAnyVersion,
    /// Breaks the rule that a save in place of a touch expects the version that was read.
    SavesAgainOverAnyVersion,
    /// Breaks the rule that changes of one principal's session never reach another's, also after a login that was discarded.
    KeepsChangesOfAnotherLogin,
    /// Breaks the rule that a discard counts with a login whose commit is running in another clone.
    ForgetsARunningLogin,
    /// Breaks the rule that a save knows what it has sent, even if another clone discards.
    ForgetsWhatItSent,
    /// Breaks the rule that a write that a clone has sent before a close began confirms no id.
    TrustsAClonesSave,
    /// Breaks the rule that a write of an earlier commit, found stored, confirms no id.
    TrustsAnEarlierCommit,
    /// Breaks the rule that a close repeats an id to the client only after it has confirmed the id itself.
    TrustsAnEarlySave,
    /// Breaks the rule that a member notes the joint write before the write is sent.
    JoinsWithoutANote,
    /// Breaks the rule that a member that is dropped wakes another to drive the joint write.
    LeavesOthersAsleep,
    /// Breaks the rule that a joint write is not sent if the write it builds on was not stored.
    SendsAfterAFailure,
    /// Breaks the rule that each member of a refused joint write saves on its own.
    RefusesTogether,
    /// Breaks the rule that a conflict with the queue is checked against the stored record.
    BelievesTheQueue,
    /// Breaks the rule that a login creates no new session if its log depends on a value that was read.
    LogsInWithAGuard,
    /// Breaks the rule that a trail shows whether a write was stored, even after later writes.
    IgnoresTrails,
    /// Breaks the rule that a commit without a change confirms that the record is unchanged.
    ConfirmsWithoutATouch,
    /// Breaks the rule that a login keeps only the time-outs and persistence that its own request has set.
    KeepsAGuestsChoice,
    /// Breaks the rule that flash messages of different requests have different ids.
    RepeatsFlashIds,
    /// Breaks the rule that a page starts a new session only after the logout before it is settled.
    BeginsAgainAtOnce,
    /// Breaks the rule that a value that was read before its deadline is written only while it is still there, so that one request takes it.
    ForgivesADeadline,
    /// Breaks the rule that a session that `verify` refuses ends even if another request has saved it meanwhile.
    EndsOnlyWhatItLoaded,
    /// Breaks the rule that a principal's sessions are listed after its login is stored.
    LimitsBeforeTheLogin,
    /// Breaks the rule that, with a limit of sessions, logins of one manager have different times.
    RepeatsLoginTimes,
    /// Breaks the rule that a use after a login does not put another session before the login's.
    RanksByAnyUse,
    /// Breaks the rule that an open session follows a renewal by another request.
    LosesRenewedSessions,
    /// Breaks the rule that the old id opens nothing after a login, a reauthentication or a rotation.
    SealsIdsOfLogins,
    /// Breaks the rule that a response has a renewed id only after the tombstone of the old one is stored.
    IssuesUnstoredRenewals,
    /// Breaks the rule that an id is renewed only for a client that has it.
    RenewsUnseenIds,
    /// Breaks the rule that a request that keeps the expiry renews no id.
    RenewsForQuietRequests,
    /// Breaks the rule that an id is renewed only after the grace time of the id before.
    RenewsWithinGrace,
    /// Breaks the rule that a reused id ends its session even if another request has saved it meanwhile.
    RevokesOnlyWhatItLoaded,
    /// Breaks the rule that a logout ends the session under the id to which it has moved.
    StopsAtTombstones,
    /// Breaks the rule that the record notes when a client was seen to have the new id.
    NeverSeesNewIds,
    /// Breaks the rule that a list shows a session once while its id is renewed.
    ListsRenewedSessionsTwice,
    /// Breaks the rule that the decoded form that copies of a record share counts only for the data that it was made from.
    TrustsAnyDecoding,
    /// Breaks the rule that a client's cookie is removed only after the logout is stored.
    ClearsBeforeTheLogout,
}

#[cfg(feature = "mutants")]
mod active {
    use std::cell::Cell;

    use super::Mutant;

    std::thread_local! {
        static ACTIVE: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Makes the core on this thread break the rule of `mutant`, or none.
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
