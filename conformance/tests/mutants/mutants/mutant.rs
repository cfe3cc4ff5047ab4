//! A mutant: a store with one defect, and the clauses that detect it.

use std::sync::Arc;

use session_conformance::Clause;

use crate::twist::{Flavour, Twist};
use crate::wire::Quirk;

/// A store with one defect.
pub(crate) struct Mutant {
    pub(crate) name: &'static str,
    /// The defect in one sentence.
    pub(crate) bug: &'static str,
    /// Clauses that always fail.
    pub(crate) fails: &'static [&'static str],
    /// Clauses that may fail, depending on the scheduler.
    pub(crate) may_fail: &'static [&'static str],
    pub(crate) subject: Subject,
}

/// Kind of the mutated store.
pub(crate) enum Subject {
    /// The reference in this process.
    Twisted(Flavour, fn() -> Arc<dyn Twist>),
    /// A client of a correct server over TCP.
    Wired(Quirk),
}

impl Subject {
    /// Returns whether the clause is run on the subject. Clients over TCP are checked by some topics only.
    pub(crate) fn is_about(&self, clause: &Clause) -> bool {
        match self {
            Self::Twisted(..) => true,
            // Its connections belong to one runtime, because it is only a client for testing faults.
            Self::Wired(Quirk::None) => {
                let long = ["history.random", "save.counter", "load.burst", "save.burst", "touch.burst"]
                    .contains(&clause.name);
                !long && clause.topic() != "runtime"
            }
            Self::Wired(_) => {
                ["fault", "cancel", "open", "redacted"].contains(&clause.topic()) || clause.name == "history.cuts"
            }
        }
    }
}

/// Defines a mutant of the full reference.
macro_rules! mutant {
    ($name:literal, $bug:literal, $twist:expr, [$($fails:literal),* $(,)?] $(,)?) => {
        $crate::mutants::mutant::Mutant {
            name: $name,
            bug: $bug,
            fails: &[$($fails),*],
            may_fail: &[],
            subject: $crate::mutants::mutant::Subject::Twisted($crate::twist::Flavour::Full, || std::sync::Arc::new($twist)),
        }
    };
}
pub(crate) use mutant;

impl Mutant {
    /// Adds clauses that may fail, depending on the scheduler.
    pub(crate) fn may(mut self, clauses: &'static [&'static str]) -> Self {
        self.may_fail = clauses;
        self
    }

    /// Changes the capabilities of the mutant's store.
    pub(crate) fn on(mut self, flavour: Flavour) -> Self {
        if let Subject::Twisted(full, _) = &mut self.subject {
            *full = flavour;
        }
        self
    }
}
