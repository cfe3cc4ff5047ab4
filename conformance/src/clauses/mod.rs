//! Clauses of the suite, in a table per topic.

use crate::Clause;

mod cancel;
mod close;
mod create;
mod delete;
mod expiry;
mod fault;
mod history;
mod limits;
mod load;
mod namespace;
mod open;
mod principal;
mod purge;
mod redacted;
mod runtime;
mod save;
mod scan;
mod session;
mod touch;
mod unsupported;

/// Every table, in the order of the report.
const TABLES: &[&[Clause]] = &[
    create::CLAUSES,
    load::CLAUSES,
    save::CLAUSES,
    touch::CLAUSES,
    delete::CLAUSES,
    purge::CLAUSES,
    expiry::CLAUSES,
    principal::CLAUSES,
    scan::CLAUSES,
    namespace::CLAUSES,
    limits::CLAUSES,
    open::CLAUSES,
    close::CLAUSES,
    fault::CLAUSES,
    cancel::CLAUSES,
    runtime::CLAUSES,
    redacted::CLAUSES,
    unsupported::CLAUSES,
    history::CLAUSES,
    session::CLAUSES,
];

/// Returns every clause of the suite, topic by topic.
///
/// ```
/// let promise = session_conformance::clauses().find(|clause| clause.name == "create.exists").unwrap().promise;
/// assert!(promise.starts_with("Creating over a live key answers Exists"));
/// ```
pub fn clauses() -> impl Iterator<Item = &'static Clause> {
    TABLES.iter().copied().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_promises_are_sentences() {
        let mut names = BTreeSet::new();
        for clause in clauses() {
            assert!(names.insert(clause.name), "{} is there twice", clause.name);
            assert!(clause.promise.ends_with('.'), "{}: the promise is no sentence", clause.name);
            assert!(
                clause.promise.starts_with(|c: char| c.is_uppercase() || c.is_numeric() || c == '`'),
                "{}",
                clause.name
            );
        }
    }
}
