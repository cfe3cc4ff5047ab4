//! Clients of a server behind TCP that cannot cope with a network.

use super::{Mutant, Subject};
use crate::wire::Quirk;

pub(super) fn mutants() -> Vec<Mutant> {
    let wired = |name, bug, quirk, fails| Mutant { name, bug, fails, may_fail: &[], subject: Subject::Wired(quirk) };
    vec![
        wired("swallowed outage", "an outage is taken for no session", Quirk::SwallowsOutages, &[]),
        wired("outage of another kind", "an outage is an error that nobody takes for one", Quirk::WrongKind, &[]),
        wired("no time-out", "an answer that does not come is waited for", Quirk::NoTimeOut, &[]),
        wired("dead after an outage", "an instance that met an outage stays broken", Quirk::StaysBroken, &[]),
        wired("pool keeps the dead", "a broken connection goes back into the pool", Quirk::KeepsDeadConnections, &[]),
        wired("retry as another write", "a save whose reply is lost is sent again under a new version", Quirk::RetriesAnew, &[]),
        wired("statements in the caller's future", "a dropped call leaves its connection half used", Quirk::InCallersFuture, &[]),
        wired("password in errors", "an outage's error shows the password", Quirk::TellsPassword, &[]),
    ]
}
