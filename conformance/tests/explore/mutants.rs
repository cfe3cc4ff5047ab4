//! Defects of the core, switched on one at a time. The explorer must find each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use libtest_mimic::{Failed, Trial};
use session_conformance::explore::{Bounds, explore};
use session_core::mutant::{Mutant, activate};

use crate::programs;

/// Number of runs of a program after which a defect counts as not found.
const RUNS: usize = 20_000;

/// A defect, the rule that it breaks, and the program and promise that show it.
struct Fault {
    mutant: Mutant,
    rule: &'static str,
    program: &'static str,
}

const fn fault(mutant: Mutant, rule: &'static str, program: &'static str) -> Fault {
    Fault { mutant, rule, program }
}

const FAULTS: &[Fault] = &[
    fault(
        Mutant::TrustsAnyDecoding,
        "the decoded form that copies of a record share counts only for the data that it was made from",
        "two processes",
    ),
    fault(Mutant::ResendsAlike, "each record that is sent has a version of its own", "merged with faults"),
    fault(
        Mutant::GoesOverItsOwnBase,
        "while a write is undecided, the next goes over the version that it expects",
        "lost twice",
    ),
    fault(
        Mutant::NotesAcrossEpochs,
        "nothing is sent for a session that began from nothing since",
        "logout beside a save",
    ),
    fault(
        Mutant::LosesALaterLogin,
        "losing a session drops only the operations that the commit held",
        "login beside a lost save",
    ),
    fault(
        Mutant::ForgetsTombstonesEarly,
        "a tombstone proves for ten minutes what became of a rotation",
        "rotation settled late",
    ),
    fault(
        Mutant::SaysGoneOnce,
        "each clone of a session is told that changes were dropped",
        "clones of a revoked session",
    ),
    fault(
        Mutant::AbandonsSilently,
        "a save tells that its changes were dropped with their request",
        "save beside an abandoned request",
    ),
    fault(Mutant::RemovesACreateOnce, "a create that may still arrive finds a tombstone", "late create"),
    fault(
        Mutant::RemovesAnUncertainRecord,
        "the record of a rotation stays while its tombstone is uncertain",
        "login with a lost answer",
    ),
    fault(
        Mutant::LeavesADiscardedRotation,
        "a rotation that was discarded is decided before a commit answers",
        "rotation discarded",
    ),
    fault(
        Mutant::ReloadsBesideARotation,
        "a reload asks again what became of an uncertain rotation if the old id opens nothing",
        "rotation, then reload",
    ),
    fault(
        Mutant::ForgetsADiscardedSave,
        "what follows a discarded save replaces the record, so that the save cannot undo it",
        "removal after a discarded save",
    ),
    fault(
        Mutant::SavesAgainOverAnyVersion,
        "a save in place of a touch goes over the version that was read",
        "new time-out beside a save",
    ),
    fault(Mutant::TouchesAnyVersion, "a touch names the version it expects", "read beside a login"),
    fault(
        Mutant::TrustsAnEarlySave,
        "an answer repeats an id only if its own close confirmed it",
        "short cookie beside a login",
    ),
    fault(
        Mutant::TrustsAnEarlierCommit,
        "a write of an earlier commit, found stored, confirms no id",
        "dropped save, then close, beside a login",
    ),
    fault(
        Mutant::ForgetsWhatItSent,
        "a save knows what it has sent, even if another clone discards",
        "save beside a discard",
    ),
    fault(
        Mutant::TrustsAClonesSave,
        "a write that a clone has sent before a close began confirms no id",
        "clone's save and close, beside a login",
    ),
    fault(
        Mutant::KeepsChangesOfAnotherLogin,
        "changes of one principal's session never reach another's, also after a login that was discarded",
        "login discarded",
    ),
    fault(
        Mutant::ForgetsARunningLogin,
        "a discard counts with a login whose commit is running in another clone",
        "login discarded by a clone",
    ),
    fault(
        Mutant::ConfirmsWithoutATouch,
        "a commit without a change confirms that the record is as it was",
        "same value beside a removal",
    ),
    fault(
        Mutant::KeepsAGuestsChoice,
        "a login keeps only what its own request has chosen",
        "a guest's choice beside a login",
    ),
    fault(Mutant::RepeatsFlashIds, "two requests give no two messages one id", "two messages at once"),
    fault(Mutant::JoinsWithoutANote, "a member notes the joint write before it is sent", "merged and dropped"),
    fault(
        Mutant::LeavesOthersAsleep,
        "a member that hangs up lets another one drive the joint write",
        "merged, and one leaves",
    ),
    fault(
        Mutant::SendsAfterAFailure,
        "a joint write on top of one that was not stored is not sent",
        "too large together",
    ),
    fault(Mutant::RefusesTogether, "what is refused together goes alone", "too large together"),
    fault(Mutant::BelievesTheQueue, "the queue decides nothing against a member", "late in the queue"),
    fault(Mutant::LogsInWithAGuard, "a login with a guarded log begins no session of its own", "take and login, twice"),
    fault(
        Mutant::IgnoresTrails,
        "a trail tells what became of a write that others have built on",
        "merged with faults",
    ),
    fault(
        Mutant::BeginsAgainAtOnce,
        "a page begins a new session only once the logout before it is settled",
        "page after a logout",
    ),
    fault(
        Mutant::ClearsBeforeTheLogout,
        "a client is told to forget its id only once the logout is stored",
        "logout beside a save",
    ),
    fault(
        Mutant::LimitsBeforeTheLogin,
        "a principal's sessions are listed after its login is stored",
        "two logins under a limit of one",
    ),
    fault(
        Mutant::RepeatsLoginTimes,
        "with a limit of sessions, logins of one manager have different times",
        "logins in one millisecond",
    ),
    fault(
        Mutant::RanksByAnyUse,
        "a use after a login does not put another session before the login's",
        "old session used beside a login",
    ),
    fault(
        Mutant::EndsOnlyWhatItLoaded,
        "a session that is refused ends even if another request has saved it meanwhile",
        "refused session beside a save",
    ),
    fault(
        Mutant::ForgivesADeadline,
        "a value that was read before its deadline is taken only while it is still there",
        "taken at its deadline, twice",
    ),
    fault(
        Mutant::LosesRenewedSessions,
        "an open session follows a renewal by another request",
        "two requests beside a renewal",
    ),
    fault(
        Mutant::SealsIdsOfLogins,
        "after a login, reauthentication or rotation the old id opens nothing",
        "login beside a renewal",
    ),
    fault(
        Mutant::IssuesUnstoredRenewals,
        "a response has a renewed id only after the tombstone of the old one is stored",
        "two requests beside a renewal",
    ),
    fault(Mutant::RenewsUnseenIds, "an id is renewed only for a client that has it", "two requests with an old id"),
    fault(
        Mutant::NeverSeesNewIds,
        "the record notes when a client was seen to have the new id",
        "old id after its grace time",
    ),
    fault(
        Mutant::RenewsForQuietRequests,
        "a request that keeps the expiry renews no id",
        "quiet request beside a save",
    ),
    fault(
        Mutant::RenewsWithinGrace,
        "an id is renewed only after the grace time of the id before",
        "old id within its grace time",
    ),
    fault(
        Mutant::RevokesOnlyWhatItLoaded,
        "a reused id ends its session even if another request has saved it meanwhile",
        "reused id beside a save",
    ),
    fault(
        Mutant::StopsAtTombstones,
        "a logout ends the session under the id to which it has moved",
        "logout beside a renewal through the old id",
    ),
    fault(
        Mutant::ListsRenewedSessionsTwice,
        "a list shows a session once while its id is renewed",
        "list beside a renewal",
    ),
];

/// Runs `run` with a defect in this thread's core.
fn with<T>(mutant: Mutant, run: impl FnOnce() -> T) -> T {
    struct Healthy;

    impl Drop for Healthy {
        fn drop(&mut self) {
            activate(None);
        }
    }

    activate(Some(mutant));
    let _healthy = Healthy;
    run()
}

/// Creates one test for each defect. Each adds a line to `lines`.
pub(crate) fn tests(lines: &Arc<Mutex<BTreeMap<usize, String>>>) -> Vec<Trial> {
    let trial = |(place, fault): (usize, &'static Fault)| {
        let lines = lines.clone();
        Trial::test(format!("mutant::{:?}", fault.mutant), move || {
            let line = find(fault)?;
            lines.lock().unwrap().insert(place, line);
            Ok(())
        })
    };
    FAULTS.iter().enumerate().map(trial).collect()
}

fn find(fault: &Fault) -> Result<String, Failed> {
    let Fault { mutant, rule, program } = fault;
    let all = programs::all();
    let chosen: Vec<_> = all.iter().filter(|each| program.split('|').any(|name| name == each.name)).collect();
    for program in chosen {
        let report = with(*mutant, || explore(program, Bounds { runs: RUNS, until_violated: true }));
        if let Some(violation) = report.violations.first() {
            return Ok(format!(
                "mutant {mutant:?} ({rule}): {} of {:?} after {} interleavings",
                violation.promise, program.name, report.interleavings
            ));
        }
    }
    Err(format!("without the rule that {rule}, {program:?} breaks no promise").into())
}
