//! Programs for the explorer.

use session_conformance::explore::Program;

mod ends;
mod flashes;
mod limits;
mod logins;
mod merges;
mod moves;
mod setup;
mod updates;

/// Returns all programs.
pub(crate) fn all() -> Vec<Program> {
    [updates::all(), merges::all(), logins::all(), ends::all(), moves::all(), flashes::all(), limits::all()]
        .into_iter()
        .flatten()
        .collect()
}
