//! Mutants: faults that a test switches on to prove that it finds them. Only with the feature `mutants`.

/// A fault of the batches: breaks one of their rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "mutants"), expect(unreachable_pub, reason = "public only for tests"))]
pub enum Mutant {
    /// Breaks the rule that a call is not sent after its deadline.
    SendsLate,
    /// Breaks the rule that a call whose caller has gone is not sent.
    SendsForNoCaller,
    /// Breaks the rule that a batch ends when its first caller gives up.
    EndsWithTheLastCaller,
    /// Breaks the rule that no call goes with one that has less than half of its time left.
    MixesDeadlines,
    /// Breaks the rule that a key occurs only once in a batch.
    SendsAKeyTwice,
    /// Breaks the rule that the next call of a key lines up when the one before it is taken.
    LeavesTheNextBehind,
    /// Breaks the rule that what had an effect is not run again.
    RunsAllAgain,
    /// Breaks the rule that the effect of a panic is unknown, so that nothing is run again.
    RunsAgainAfterAPanic,
    /// Breaks the rule that a call is set aside only once.
    SetsAsideForEver,
    /// Breaks the rule that few calls run alone at once.
    RunsManyAlone,
    /// Breaks the rule that a call that is set aside is run.
    ForgetsWhatIsAside,
    /// Breaks the rule that a task that finds no call ends at the same moment.
    EndsLater,
    /// Breaks the rule that a task that has ended is not counted.
    CountsTheEnded,
    /// Breaks the rule that no more round trips are in flight than allowed.
    ExceedsInFlight,
    /// Breaks the rule that a second call moves inline work to a task of its own.
    KeepsWorkInline,
    /// Breaks the rule that inline work goes on when its caller drops its future.
    DropsInlineWork,
    /// Breaks the rule that a closed batcher lets no call in.
    LetsInAfterClosing,
    /// Breaks the rule that closing waits for the calls inside.
    ClosesBesideCalls,
}

#[cfg(feature = "mutants")]
mod active {
    use std::cell::Cell;

    use super::Mutant;

    std::thread_local! {
        static ACTIVE: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Makes the batches on this thread break the rule of `mutant`, or none.
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
