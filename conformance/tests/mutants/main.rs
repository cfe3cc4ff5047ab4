//! Tests that every clause catches a store that breaks it: the reference passes, and each mutant fails exactly its
//! clauses.
//!
//! `cargo test -p session-conformance --test mutants -- --table` prints which mutants each clause kills, as Markdown.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use session_conformance::{Clause, ClauseResult, Suite, clauses};

mod mutants;
mod reference;
mod twist;
mod wire;

use mutants::{Mutant, Subject};
use twist::{Bench, Flavour, Honest};

fn main() -> ExitCode {
    let mutants = mutants::all();
    if std::env::args().any(|argument| argument == "--table") {
        print!("{}", table(&mutants));
        return ExitCode::SUCCESS;
    }
    let arguments = Arguments::from_args();
    let mut trials: Vec<Trial> = [Flavour::Full, Flavour::Plain, Flavour::Expiring]
        .into_iter()
        .map(|flavour| {
            honest(format!("honest::{flavour:?}").to_lowercase(), Subject::Twisted(flavour, || Arc::new(Honest)))
        })
        .collect();
    trials.push(honest("honest::wire".to_owned(), Subject::Wired(wire::Quirk::None)));
    let names = killers(&mutants);
    trials.push(Trial::test("table::every_clause_kills_a_mutant", move || every_clause_kills(&names)));
    trials.extend(
        mutants.into_iter().map(|mutant| {
            Trial::test(format!("mutant::{}", mutant.name.replace(' ', "_")), move || mutant_dies(&mutant))
        }),
    );
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Maps clauses to the mutants that list them.
fn killers(mutants: &[Mutant]) -> BTreeMap<&'static str, Vec<&'static str>> {
    let mut killers = BTreeMap::<_, Vec<_>>::new();
    for mutant in mutants {
        for clause in mutant.fails {
            killers.entry(*clause).or_default().push(mutant.name);
        }
    }
    killers
}

fn every_clause_kills(killers: &BTreeMap<&'static str, Vec<&'static str>>) -> Result<(), Failed> {
    let names: BTreeSet<_> = clauses().map(|clause| clause.name).collect();
    let idle: Vec<_> = names.iter().filter(|name| !killers.contains_key(*name)).collect();
    let unknown: Vec<_> = killers.keys().filter(|name| !names.contains(*name)).collect();
    if idle.is_empty() && unknown.is_empty() {
        return Ok(());
    }
    Err(format!("clauses that kill no mutant: {idle:?}; mutants list clauses that do not exist: {unknown:?}").into())
}

/// Returns the clauses that fail on the subject, with their messages.
fn failures(subject: &Subject) -> Result<BTreeMap<&'static str, String>, Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build()?;
    runtime.block_on(async {
        let suite = Arc::new(match subject {
            Subject::Twisted(flavour, twist) => Suite::new(Bench::new(*flavour, twist())),
            Subject::Wired(quirk) => Suite::new(wire::Bench::new(*quirk)),
        });
        let mut running = tokio::task::JoinSet::new();
        let mut queue =
            clauses().filter(|clause| subject.is_about(clause)).collect::<Vec<&'static Clause>>().into_iter();
        let mut failed = BTreeMap::new();
        loop {
            // Only a few at a time, like in the test program, because clauses with time-outs need free processor time.
            while running.len() < 3 {
                let Some(clause) = queue.next() else { break };
                let suite = Arc::clone(&suite);
                running.spawn(async move { suite.check(clause).await });
            }
            let Some(finding) = running.join_next().await else { return Ok(failed) };
            let finding = finding?;
            if let ClauseResult::Failed(why) = finding.result {
                failed.insert(finding.clause, why);
            }
        }
    })
}

fn honest(name: String, subject: Subject) -> Trial {
    Trial::test(name, move || match failures(&subject)? {
        none if none.is_empty() => Ok(()),
        some => Err(format!("the reference fails {some:#?}").into()),
    })
}

/// Clauses that race operations. The scheduler decides whether they detect a defect that is not about races.
/// A mutant that lists one of them must always fail it. Other mutants may fail it.
const RACES: [&str; 20] = [
    "cancel.burst",
    "cancel.load",
    "cancel.save",
    "cancel.stalled",
    "close.in-flight",
    "create.race",
    "delete.beats-writers",
    "history.cuts",
    "history.random",
    "load.burst",
    "principal.delete-all-races",
    "purge.spares-done",
    "runtime.gone",
    "runtime.idle",
    "runtime.stalled",
    "save.burst",
    "save.counter",
    "save.race",
    "save.waits-for-delete",
    "touch.race",
];

/// Checks that the mutant fails every clause it lists, and no other clause about stores except those that race.
///
/// A broken store may fail many clauses about sessions, because sessions use the whole store. Only some are listed.
fn mutant_dies(mutant: &Mutant) -> Result<(), Failed> {
    let failed = failures(&mutant.subject)?;
    let expected: BTreeSet<_> = mutant.fails.iter().copied().collect();
    let survived: Vec<_> = expected.iter().filter(|name| !failed.contains_key(*name)).collect();
    let beyond = |name: &str| {
        let excused = mutant.may_fail.contains(&name) || RACES.contains(&name) || name.starts_with("session.");
        !expected.contains(name) && !excused
    };
    let beyond: BTreeMap<_, _> = failed.iter().filter(|(name, _)| beyond(name)).collect();
    if survived.is_empty() && beyond.is_empty() {
        return Ok(());
    }
    Err(format!("{}\nit survives {survived:?}\nit fails unlisted {beyond:#?}", mutant.bug).into())
}

fn table(mutants: &[Mutant]) -> String {
    let killers = killers(mutants);
    let mut text = String::from("| clause | promise | mutants it kills |\n|---|---|---|\n");
    for clause in clauses() {
        let names = killers.get(clause.name).map(|names| names.join(", ")).unwrap_or_default();
        text.push_str(&format!("| `{}` | {} | {names} |\n", clause.name, clause.promise));
    }
    text.push_str("\n| mutant | what is wrong with it |\n|---|---|\n");
    for mutant in mutants {
        text.push_str(&format!("| {} | {} |\n", mutant.name, mutant.bug));
    }
    text
}
