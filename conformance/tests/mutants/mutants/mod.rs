//! The mutants, a table per topic: what is wrong with each, and which clauses notice.

use std::sync::Arc;

use conformance::Clause;

use crate::twist::{Flavour, Twist};
use crate::wire::Quirk;

mod cancel;
mod expiry;
mod faults;
mod keys;
mod principal;
mod removal;
mod runtime;
mod scan;
mod shown;
mod touch;
mod values;
mod writes;

/// A store with one thing wrong.
pub(crate) struct Mutant {
    pub(crate) name: &'static str,
    /// What is wrong, in one sentence.
    pub(crate) bug: &'static str,
    /// The clauses that fail, always.
    pub(crate) fails: &'static [&'static str],
    /// Clauses that fail or not, as the scheduler pleases.
    pub(crate) may_fail: &'static [&'static str],
    pub(crate) subject: Subject,
}

/// What is run.
pub(crate) enum Subject {
    /// The reference in this process.
    Twisted(Flavour, fn() -> Arc<dyn Twist>),
    /// A client over TCP to a correct server.
    Wired(Quirk),
}

impl Subject {
    /// Whether the clause says anything about it. The wire's mutants are about the wire.
    pub(crate) fn is_about(&self, clause: &Clause) -> bool {
        match self {
            Self::Twisted(..) => true,
            // Its connections belong to one runtime: it is a client to try faults on, and no store.
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

/// A mutant of the full reference.
macro_rules! mutant {
    ($name:literal, $bug:literal, $twist:expr, [$($fails:literal),* $(,)?] $(,)?) => {
        $crate::mutants::Mutant {
            name: $name,
            bug: $bug,
            fails: &[$($fails),*],
            may_fail: &[],
            subject: $crate::mutants::Subject::Twisted($crate::twist::Flavour::Full, || std::sync::Arc::new($twist)),
        }
    };
}
use mutant;

impl Mutant {
    /// Clauses that fail or not, as the scheduler pleases.
    fn may(mut self, clauses: &'static [&'static str]) -> Self {
        self.may_fail = clauses;
        self
    }

    /// A mutant of the reference in another flavour.
    fn on(mut self, flavour: Flavour) -> Self {
        if let Subject::Twisted(full, _) = &mut self.subject {
            *full = flavour;
        }
        self
    }
}

/// All of them.
pub(crate) fn all() -> Vec<Mutant> {
    [
        writes::mutants(),
        values::mutants(),
        keys::mutants(),
        expiry::mutants(),
        touch::mutants(),
        removal::mutants(),
        principal::mutants(),
        scan::mutants(),
        shown::mutants(),
        cancel::mutants(),
        runtime::mutants(),
        faults::mutants(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
