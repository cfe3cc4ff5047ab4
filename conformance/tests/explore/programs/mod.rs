//! Programs for the explorer.

use session_conformance::explore::Program;

mod ends;
mod flashes;
mod limits;
mod logins;
mod merges;
mod moves;
mod renewals;
mod setup;
mod updates;

/// Returns all programs.
pub(crate) fn all() -> Vec<Program> {
    let by_subject = [
        updates::all(),
        merges::all(),
        logins::all(),
        ends::all(),
        moves::all(),
        flashes::all(),
        limits::all(),
        renewals::all(),
    ];
    by_subject.into_iter().flatten().collect()
}
