//! Runs every program under several schedulers and compares the violations with the known ones.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Failed, Trial};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

use crate::programs::{ALL, Broken, Program};
use crate::schedule::{Bounded, Log, Reach, Recorded, Replay, Switches};
use crate::trace;

/// Promise that is broken by a deadlock, a panic or an endless run.
const ENDS: &str = "every call ends";

/// Seed of the random schedulers.
const SEED: u64 = 1;

/// Number of runs after which the search for all orders gives up.
const MOST: u64 = 200_000;

/// Program that updates on one clone while another saves.
#[cfg(feature = "mutants")]
const UPDATES: &str = "save_and_updates_of_clones";

/// Number of steps after which a run counts as endless.
const STEPS: usize = 20_000;

/// Known violations: program, promise, schedule.
type Known = &'static [(&'static str, &'static str, &'static str)];

/// Result of all runs of a program.
#[derive(Debug, Default)]
struct Found {
    runs: u64,
    reach: Reach,
    /// First run that breaks each promise, with details.
    violations: BTreeMap<&'static str, (Switches, String)>,
}

pub(crate) fn main(known: Known) -> ExitCode {
    if let Ok(replay) = std::env::var("THREADS_REPLAY") {
        return print_replay(&replay);
    }
    let reports: Arc<Mutex<BTreeMap<usize, Found>>> = Arc::default();
    let trials = ALL.iter().enumerate().map(|(place, program)| {
        let reports = reports.clone();
        Trial::test(program.name, move || {
            let found = explore(program);
            let verdict = compare(program, &found, known);
            reports.lock().unwrap().insert(place, found);
            verdict
        })
    });
    let trials = trials.chain(mutant());
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials.collect());
    let reports = reports.lock().unwrap_or_else(PoisonError::into_inner);
    for (place, found) in &*reports {
        println!("summary: threads::{}", found.line(&ALL[*place]));
    }
    println!("summary: {} schedules", reports.values().map(|found| found.runs).sum::<u64>());
    conclusion.exit_code()
}

/// Test with a defect of the core that only threads can meet. The programs must find it.
#[cfg(feature = "mutants")]
fn mutant() -> Option<Trial> {
    use session_core::mutant::{Mutant, activate};

    Some(Trial::test("mutant::ReplacesTheViewUncounted", || {
        let program = ALL.iter().find(|program| program.name == UPDATES).ok_or("the program is not there")?;
        activate(Some(Mutant::ReplacesTheViewUncounted));
        let mut found = Found::default();
        search(program, Bounded::new(program.switches, MOST, Arc::default()), &mut found);
        activate(None);
        match found.violations.first_key_value() {
            Some((promise, _)) => {
                println!("summary: threads::mutant ReplacesTheViewUncounted (each new view is counted): {promise}");
                Ok(())
            }
            None => Err("an update on a view that was replaced uncounted breaks no promise".into()),
        }
    }))
}

#[cfg(not(feature = "mutants"))]
fn mutant() -> Option<Trial> {
    None
}

impl Found {
    fn line(&self, program: &Program) -> String {
        let Program { name, switches, .. } = program;
        let bound = match self.reach {
            Reach::Complete => "exhausted".to_owned(),
            Reach::Bounded => format!("exhausted up to {switches} switches, beyond that by priorities and at random"),
            Reach::Unfinished => "not exhausted".to_owned(),
        };
        let violations = match self.violations.len() {
            0 => "no violation".to_owned(),
            1 => "1 violation".to_owned(),
            n => format!("{n} violations"),
        };
        format!("{name}: {} schedules ({bound}), {violations}", self.runs)
    }
}

fn explore(program: &Program) -> Found {
    let mut found = Found::default();
    let reach: Arc<Mutex<Reach>> = Arc::default();
    search(program, Bounded::new(program.switches, MOST, reach.clone()), &mut found);
    found.reach = *reach.lock().unwrap();
    if found.reach != Reach::Complete {
        for depth in [3, 5] {
            search(program, PctScheduler::new_from_seed(SEED, depth, program.random), &mut found);
        }
        search(program, RandomScheduler::new_from_seed(SEED, program.random), &mut found);
    }
    for (promise, (switches, what)) in &mut found.violations {
        shorten(program, promise, switches, what);
    }
    found
}

fn search(program: &Program, scheduler: impl Scheduler + 'static, found: &mut Found) {
    let violations = run(program, scheduler, &mut found.runs);
    for (promise, (switches, what)) in violations {
        found.violations.entry(promise).or_insert((switches, what));
    }
}

/// First violation of each promise.
type Violations = BTreeMap<&'static str, (Switches, String)>;

fn run(program: &Program, scheduler: impl Scheduler + 'static, runs: &mut u64) -> Violations {
    let log: Arc<Mutex<Log>> = Arc::default();
    let violations: Arc<Mutex<Violations>> = Arc::default();
    let mut config = Config::new();
    config.stack_size = 1 << 18;
    config.failure_persistence = FailurePersistence::None;
    config.max_steps = MaxSteps::FailAfter(STEPS);
    config.silence_warnings = true;
    let runner = Runner::new(Recorded { inner: scheduler, log: log.clone() }, config);
    let body = program.run;
    let outcome = {
        let (log, violations) = (log.clone(), violations.clone());
        catch_unwind(AssertUnwindSafe(|| {
            runner.run(move || {
                for Broken { promise, what } in body() {
                    let switches = log.lock().unwrap().switches.clone();
                    violations.lock().unwrap().entry(promise).or_insert((switches, what));
                }
            })
        }))
    };
    let log = log.lock().unwrap_or_else(PoisonError::into_inner);
    let mut violations = std::mem::take(&mut *violations.lock().unwrap_or_else(PoisonError::into_inner));
    if let Err(panic) = outcome {
        let what = panic.downcast_ref::<String>().cloned();
        let what = what.or_else(|| panic.downcast_ref::<&str>().map(|what| (*what).to_owned()));
        violations.entry(ENDS).or_insert((log.switches.clone(), what.unwrap_or_default()));
    }
    *runs += log.runs;
    violations
}

/// Returns how the run with `switches` breaks `promise`, if it does.
fn replay(program: &Program, promise: &str, switches: &Switches) -> Option<String> {
    run(program, Replay::new(switches.clone()), &mut 0).remove(promise).map(|(_, what)| what)
}

/// Removes every switch that is not needed to break `promise`.
fn shorten(program: &Program, promise: &str, switches: &mut Switches, what: &mut String) {
    // A violation that cannot be reproduced is kept unchanged, and `compare` reports its schedule.
    let mut place = 0;
    while place < switches.0.len() {
        let mut fewer = switches.clone();
        fewer.0.remove(place);
        match replay(program, promise, &fewer) {
            Some(still) => {
                *switches = fewer;
                *what = still;
            }
            None => place += 1,
        }
    }
}

/// Fails unless exactly the known violations were found, and every known schedule still shows its violation.
fn compare(program: &Program, found: &Found, known: Known) -> Result<(), Failed> {
    let known: BTreeMap<_, _> = known
        .iter()
        .filter(|(name, ..)| *name == program.name)
        .map(|(_, promise, schedule)| (*promise, *schedule))
        .collect();
    let mut problems = Vec::new();
    for (promise, (switches, what)) in &found.violations {
        let entry = format!("({:?}, {promise:?}, \"{switches}\")", program.name);
        match known.get(promise) {
            None => problems.push(format!("unknown violation {entry}: {what}")),
            Some(schedule) => {
                let shown = schedule.parse().map(|switches| replay(program, promise, &switches));
                if !matches!(shown, Ok(Some(_))) {
                    problems.push(format!("the known schedule {schedule} no longer shows it, this does: {entry}"));
                }
            }
        }
    }
    for promise in known.keys().filter(|promise| !found.violations.contains_key(**promise)) {
        problems.push(format!("no longer found, so remove it from the list: {promise}"));
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n").into()) }
}

fn print_replay(replay: &str) -> ExitCode {
    let parsed = replay.split_once(':').and_then(|(name, schedule)| {
        Some((ALL.iter().find(|program| program.name == name)?, schedule.parse::<Switches>().ok()?))
    });
    let Some((program, switches)) = parsed else {
        println!("not a program and a schedule: {replay}");
        return ExitCode::FAILURE;
    };
    trace::begin();
    let violations = run(program, Replay::new(switches), &mut 0);
    for (promise, (_, what)) in &violations {
        println!("broken: {promise}: {what}");
    }
    if violations.is_empty() {
        println!("no violation");
    }
    ExitCode::SUCCESS
}
