//! Clauses that make sense for a store that upserts.
//!
//! Three kinds of clauses are left out:
//!
//! - Clauses about the version that a writer expects (`create.twice`, most of `save`, `delete.stale`, `fault.lost-reply`, `history`).
//!   They would fail by construction, for the reason that `save.deleted` and `save.counter` show.
//! - Clauses about operations that the peers' stores lack (`touch`, `principal`, `scan`, `namespace`, `purge`), and `limits`, because
//!   no peer states a length.
//! - Clauses about the session.

use session_conformance::Clause;

/// A clause by name, and why it is a fair test.
pub(crate) struct Selected {
    pub(crate) name: &'static str,
    pub(crate) why: &'static str,
    /// Whether a store that breaks the clause may pass by luck.
    pub(crate) race: bool,
}

const fn selected(name: &'static str, why: &'static str) -> Selected {
    Selected { name, why, race: false }
}

const fn race(name: &'static str, why: &'static str) -> Selected {
    Selected { name, why, race: true }
}

pub(crate) const SELECTED: &[Selected] = &[
    selected(
        "create.round-trip",
        "A session comes back as it was stored, whatever the write is; without a stated limit, up to 1 MiB.",
    ),
    selected("create.exists", "Their `create` is there so that no two sessions get one id."),
    race("create.race", "Many at once: a caller that gets an id takes it for its own."),
    selected("load.boundary", "Each of their stores has an expiry to keep, and answers None after it."),
    selected("load.exact-key", "Each of the 2^128 ids is a session of its own."),
    selected("load.far-expiry", "How far an expiry lies is the application's choice."),
    selected(
        "save.deleted",
        "A request that was in flight during a logout saves after it: an upsert stores the session again.",
    ),
    race(
        "save.counter",
        "Requests of one session load, change and save it at once: an upsert replaces what it has not seen.",
    ),
    selected("delete.removes", "A logout holds at once for every instance; no version is needed for it."),
    race(
        "delete.beats-writers",
        "A logout with requests in flight: asked is what is there afterwards, not what the writers were told.",
    ),
    selected("fault.outage", "An outage is not a visitor without a session: an error, and soon."),
    selected("fault.black-hole", "An outage in which no connection is reset, as when a server's machine is gone."),
    selected("cancel.save", "A client that hangs up drops a request, and its save with it."),
    selected("cancel.load", "The same in a load; the next request must not get another's session."),
    selected("cancel.burst", "The same of many at once: the pool is whole afterwards."),
];

/// Returns the clause of this name.
pub(crate) fn clause(name: &str) -> Option<&'static Clause> {
    session_conformance::clauses().find(|clause| clause.name == name)
}

#[cfg(test)]
mod tests {
    use super::{SELECTED, clause};

    #[test]
    fn the_suite_has_every_clause_that_is_chosen() {
        for selected in SELECTED {
            assert!(clause(selected.name).is_some(), "{} is none of the suite's", selected.name);
        }
    }
}
