//! Mutants, in a table per topic: the defect of each, and the clauses that detect it.

mod cancel;
mod close;
mod expiry;
mod faults;
mod keys;
mod mutant;
mod principal;
mod removal;
mod runtime;
mod scan;
mod shown;
mod touch;
mod values;
mod writes;

pub(crate) use mutant::{Mutant, Subject};

/// Returns all mutants.
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
        close::mutants(),
        runtime::mutants(),
        faults::mutants(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
