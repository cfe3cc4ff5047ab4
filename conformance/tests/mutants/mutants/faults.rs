//! Mutants of a client over TCP that mishandle network faults.

use super::mutant::{Mutant, Subject};
use crate::wire::Quirk;

pub(super) fn mutants() -> Vec<Mutant> {
    let wired = |name, bug, quirk, fails| Mutant { name, bug, fails, may_fail: &[], subject: Subject::Wired(quirk) };
    vec![
        wired(
            "swallowed outage",
            "an outage is taken for no session",
            Quirk::SwallowsOutages,
            &["fault.black-hole", "fault.lost-reply", "fault.outage", "history.cuts"],
        ),
        wired(
            "outage of another kind",
            "an outage is reported as an error of another kind",
            Quirk::WrongKind,
            &["fault.black-hole", "fault.lost-reply", "fault.outage", "history.cuts"],
        ),
        wired("no time-out", "an answer that does not come is waited for", Quirk::NoTimeOut, &["fault.black-hole"]),
        wired(
            "dead after an outage",
            "an instance that met an outage stays broken",
            Quirk::StaysBroken,
            &["fault.black-hole", "fault.lost-reply", "fault.outage"],
        ),
        wired(
            "pool keeps the dead",
            "a broken connection goes back into the pool",
            Quirk::KeepsDeadConnections,
            &["fault.black-hole", "fault.lost-reply", "fault.outage"],
        ),
        wired(
            "retry as another write",
            "a save whose reply is lost is sent again under a new version",
            Quirk::RetriesRenewed,
            &["fault.lost-reply", "history.cuts"],
        ),
        wired(
            "resent writes",
            "a write whose reply is lost is sent again, and what the second one answers is passed on",
            Quirk::ResendsWrites,
            &["history.cuts"],
        ),
        wired(
            "statements in the caller's future",
            "a dropped call leaves its connection half used",
            Quirk::InCallersFuture,
            &["cancel.load", "fault.black-hole", "fault.outage"],
        )
        .may(&["fault.lost-reply"]),
        wired("password in errors", "an outage's error shows the password", Quirk::TellsPassword, &["redacted"]),
    ]
}
