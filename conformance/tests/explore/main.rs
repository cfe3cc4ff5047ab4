//! Runs every interleaving of small programs over the core, and checks its promises.
//!
//! `EXPLORE_REPLAY="program:choices"` in the environment makes one run and prints its steps.
//! `EXPLORE_RUNS=5000000` extends the search for programs that are not exhausted. See `docs/changing-the-core.md`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Failed, Trial};
use session_conformance::explore::{Bounds, Program, Report, explore, replay};

mod engine;
mod known;
#[cfg(feature = "mutants")]
mod mutants;
mod programs;

use known::KNOWN;

/// Maximum number of runs of a program.
const RUNS: usize = 60_000;

fn main() -> ExitCode {
    if let Ok(run) = std::env::var("EXPLORE_REPLAY") {
        return print_replay(&run);
    }
    let reports: Arc<Mutex<BTreeMap<usize, String>>> = Arc::default();
    let total: Arc<Mutex<usize>> = Arc::default();
    let mut trials: Vec<_> = programs::all()
        .into_iter()
        .enumerate()
        .map(|(place, program)| {
            let (reports, total) = (reports.clone(), total.clone());
            Trial::test(program.name.replace(' ', "_"), move || {
                let report = explore(&program, Bounds::from_env(RUNS));
                reports.lock().unwrap().insert(place, line(&program, &report));
                *total.lock().unwrap() += report.interleavings;
                compare(&program, &report)
            })
        })
        .collect();
    trials.extend(engine::tests());
    let found: Arc<Mutex<BTreeMap<usize, String>>> = Arc::default();
    #[cfg(feature = "mutants")]
    trials.extend(mutants::tests(&found));
    let mut arguments = Arguments::from_args();
    // A run uses one processor, so there is one test per processor.
    arguments.test_threads =
        arguments.test_threads.or_else(|| std::thread::available_parallelism().ok().map(Into::into));
    let conclusion = libtest_mimic::run(&arguments, trials);
    for line in reports.lock().unwrap_or_else(PoisonError::into_inner).values() {
        println!("summary: {line}");
    }
    for line in found.lock().unwrap_or_else(PoisonError::into_inner).values() {
        println!("summary: {line}");
    }
    println!("summary: {} interleavings", total.lock().unwrap_or_else(PoisonError::into_inner));
    conclusion.exit_code()
}

fn line(program: &Program, report: &Report) -> String {
    let violations = match report.violations.len() {
        0 => "no violation".to_owned(),
        1 => "1 violation".to_owned(),
        n => format!("{n} violations"),
    };
    format!("explore::{}: {} interleavings ({}), {violations}", program.name, report.interleavings, report.coverage)
}

/// Fails unless exactly the known violations are found, each with its recorded choices.
fn compare(program: &Program, report: &Report) -> Result<(), Failed> {
    let mut problems = Vec::new();
    let known: Vec<_> = KNOWN.iter().filter(|known| known.program == program.name).collect();
    for violation in &report.violations {
        if !known.iter().any(|known| known.promise == violation.promise) {
            problems.push(format!(
                "{}: {}\nreplay: EXPLORE_REPLAY=\"{}:{}\"\n{}",
                violation.promise,
                violation.details,
                program.name,
                violation.choices,
                replay(program, &violation.choices)?.1.join("\n")
            ));
        }
    }
    for known in known {
        if !report.violations.iter().any(|violation| violation.promise == known.promise) {
            problems.push(format!("{} is no longer broken: take it off the list of known violations", known.promise));
        } else if !replay(program, known.choices)?.0.iter().any(|violation| violation.promise == known.promise) {
            let now = report.violations.iter().find(|violation| violation.promise == known.promise);
            let now = now.map_or("", |violation| &*violation.choices);
            problems.push(format!("{} is not shown by its line any more; this one does: {now:?}", known.promise));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n\n").into()) }
}

fn print_replay(run: &str) -> ExitCode {
    let (name, choices) = run.split_once(':').unwrap_or((run, ""));
    let Some(program) = programs::all().into_iter().find(|program| program.name == name) else {
        eprintln!("there is no program {name:?}; the programs are:");
        programs::all().iter().for_each(|program| eprintln!("  {}: {}", program.name, program.about));
        return ExitCode::FAILURE;
    };
    match replay(&program, choices) {
        Ok((violations, trace)) => {
            println!("{}: {}", program.name, program.about);
            trace.iter().for_each(|line| println!("  {line}"));
            println!("{} promises broken", violations.len());
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}
