//! Each rule of the batches, switched off: a program must find a broken promise.

use session_store_kit::mutant::{Mutant, activate};

use crate::explore;
use crate::program::PROGRAMS;

/// Each mutant and the program that finds it.
const FOUND: [(Mutant, &str); 18] = [
    (Mutant::SendsLate, "a late call"),
    (Mutant::SendsForNoCaller, "one key"),
    (Mutant::EndsWithTheLastCaller, "deadlines"),
    (Mutant::MixesDeadlines, "deadlines"),
    (Mutant::SendsAKeyTwice, "one key"),
    (Mutant::LeavesTheNextBehind, "one key"),
    (Mutant::RunsAllAgain, "set aside"),
    (Mutant::RunsAgainAfterAPanic, "two round trips"),
    (Mutant::SetsAsideForEver, "set aside"),
    (Mutant::RunsManyAlone, "set aside"),
    (Mutant::ForgetsWhatIsAside, "set aside"),
    (Mutant::EndsLater, "one key"),
    (Mutant::CountsTheEnded, "one key"),
    (Mutant::ExceedsInFlight, "full batches"),
    (Mutant::KeepsWorkInline, "inline"),
    (Mutant::DropsInlineWork, "inline"),
    (Mutant::LetsInAfterClosing, "closing"),
    (Mutant::ClosesBesideCalls, "closing"),
];

#[test]
fn every_rule_that_is_switched_off_breaks_a_promise() {
    let mut missed = Vec::new();
    for (mutant, name) in FOUND {
        let program = PROGRAMS.iter().find(|program| program.name == name).unwrap();
        activate(Some(mutant));
        let explored = explore(program);
        activate(None);
        match explored.violation {
            Some(violation) => {
                let broken = violation.lines().next().unwrap_or_default();
                println!("{mutant:?}: found by \"{name}\" in order {}: {broken}", explored.orders);
            }
            None => missed.push(format!("{mutant:?} by \"{name}\"")),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}
