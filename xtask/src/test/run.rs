//! A run of test programs: what it counts, prints and repeats at the end.

use std::collections::VecDeque;
use std::process::Command;
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::browser;
use super::build::{Built, Kind, Program};
use super::reports::Reports;
use super::servers::{self, Servers};
use super::table;
use super::tally::Tally;
use crate::process::{self, Ended};
use crate::result::Result;
use crate::workspace::Workspace;

/// Time limit of a test program. A program that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(45 * 60);

/// Prefix of output lines that are repeated at the end of the run.
const SUMMARY: &str = "summary: ";

/// Number of jobs that are named at the end because they took longest.
const SLOWEST: usize = 10;

/// Interval at which a long test program is reported as running.
const MINUTE: Duration = Duration::from_secs(60);

/// A command that runs tests.
pub(super) struct Job<'a> {
    name: String,
    command: Command,
    /// Program that it runs; `None` for `cargo test`, which may run several.
    program: Option<&'a Program>,
}

impl Job<'_> {
    /// Runs the command, and says every minute that it still does.
    fn run(&mut self) -> std::io::Result<(Ended, Duration)> {
        let begun = Instant::now();
        let mut told = 1;
        let name = &self.name;
        let ended = process::run_while(&mut self.command, |elapsed, _| {
            if elapsed >= told * MINUTE {
                println!("{name} … {told} min so far");
                told += 1;
            }
            elapsed < LONGEST
        })?;
        Ok((ended, begun.elapsed()))
    }
}

/// State of a run.
pub(super) struct Run<'a> {
    workspace: &'a Workspace,
    pub(super) reports: Reports,
    verbose: bool,
    pub(super) servers: Servers,
    /// Whether variants of a store run all clauses.
    pub(super) full: bool,
    /// Whether there is a browser for the programs that need one. The error says why not.
    browser: Result<(), String>,
    pub(super) total: Tally,
    /// Table of mutants, as their program prints it.
    mutants: Option<Vec<String>>,
    /// Time that each job took, with its name.
    times: Vec<(Duration, String)>,
    /// Lines to repeat at the end.
    summary: Vec<String>,
    /// Failures, one line each.
    pub(super) failures: Vec<String>,
    /// Programs that could not run or left no report.
    pub(super) missing: Vec<String>,
}

impl<'a> Run<'a> {
    pub(super) fn begin(workspace: &'a Workspace, built: &Built, programs: &[&Program], verbose: bool) -> Result<Self> {
        let mut run = Run {
            workspace,
            reports: Reports::fresh(workspace)?,
            verbose,
            servers: Servers::of(workspace, programs),
            full: false,
            browser: browser::ready(programs),
            total: Tally::default(),
            mutants: None,
            times: Vec::new(),
            summary: Vec::new(),
            failures: Vec::new(),
            missing: Vec::new(),
        };
        if !built.well {
            run.fail("the build failed, see above".into());
        }
        Ok(run)
    }

    pub(super) fn fail(&mut self, what: String) {
        println!("FAILED {what}");
        self.total += Tally::ONE_FAILURE;
        self.failures.push(what);
    }

    /// Returns the job that runs a test program; `None`, and a failure, if its server or its browser is missing.
    pub(super) fn program<'p>(&mut self, program: &'p Program) -> Option<Job<'p>> {
        let name = program.name();
        if let Some(why) = self.servers.missing(program) {
            self.fail(format!("{name}: not run: {why}"));
            self.missing.push(name);
            return None;
        }
        if let Err(why) = &self.browser
            && browser::is_needed(program)
        {
            self.fail(format!("{name}: not run: {why}"));
            return None;
        }
        let mut command = Command::new(&program.executable);
        command
            .current_dir(&program.folder)
            .env("CARGO_MANIFEST_DIR", &program.folder)
            .env("CARGO_PKG_NAME", &program.package)
            .env("CARGO_PKG_VERSION", &program.version)
            .env("CONFORMANCE_REPORT", self.reports.path(program))
            .envs(self.full.then_some(("CONFORMANCE_FULL", "1")))
            .envs(self.servers.variables());
        Some(Job { name, command, program: Some(program) })
    }

    /// Returns the job that runs tests by `cargo test`.
    pub(super) fn cargo_test(&self, name: &str, what: &[&str]) -> Job<'static> {
        let mut command = self.workspace.cargo();
        command.args(["test", "--no-fail-fast"]).args(what);
        Job { name: name.to_owned(), command, program: None }
    }

    /// Returns the jobs that run the programs and tests built for `shuttle`.
    pub(super) fn threads(&self) -> [Job<'static>; 2] {
        let lock = ["-p", "session-core", "--all-features", "--lib", "interleavings"];
        let programs = ["-p", "session-conformance", "--features", "mutants", "--test", "threads"];
        let (variable, flags) = with_shuttle(|variable| std::env::var(variable).ok());
        // A folder of its own, because the flag would invalidate everything in the usual one.
        let target = self.workspace.target.join("shuttle");
        [("session-core's lock on threads", &lock[..]), ("session-conformance::threads", &programs)].map(
            |(name, what)| {
                let mut job = self.cargo_test(name, what);
                job.command.env(variable, &flags).env("CARGO_TARGET_DIR", &target);
                job
            },
        )
    }

    /// Runs each line of jobs in its order, the lines beside each other, and counts what they find. When a line is through, jobs from
    /// the end of the longest other one run in its place.
    pub(super) fn side_by_side<const LINES: usize>(&mut self, lines: [Vec<Job<'_>>; LINES]) -> Result<()> {
        let (send, ended) = channel();
        let lines = Mutex::new(lines.map(VecDeque::from));
        thread::scope(|scope| {
            for own in 0..LINES {
                let (send, lines) = (send.clone(), &lines);
                scope.spawn(move || {
                    while let Some(mut job) = next(lines, own) {
                        let ended = job.run();
                        // The receiver is gone once an earlier job could not be started.
                        if send.send((job, ended)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(send);
            for (job, ended) in ended {
                let (ended, took) = ended.map_err(|error| format!("{} cannot be started: {error}", job.name))?;
                match job.program {
                    Some(program) => self.count_program(program, &ended, took)?,
                    None => self.count(&job.name, Tally::of_programs(&ended.output, ended.well), &ended, took),
                }
            }
            Ok(())
        })
    }

    fn count_program(&mut self, program: &Program, ended: &Ended, took: Duration) -> Result<()> {
        let name = program.name();
        let mut tally = Tally::of_program(&ended.output, ended.well);
        let empty = program.kind == Kind::Integration && tally.all() == 0;
        if empty {
            tally += Tally::ONE_FAILURE;
        }
        self.count(&name, tally, ended, took);
        if empty {
            println!("{name} ran no test: a file in tests/ is there to run something");
        }
        let left_report = self.reports.path(program).exists();
        if program.kind == Kind::Integration && proves_a_store(program) && !left_report {
            self.fail(format!("{name}: left no report, so the table would lack this store"));
            self.missing.push(name);
        }
        if program.kind == Kind::Integration && program.target == "mutants" {
            self.mutants = Some(process::run(Command::new(&program.executable).arg("--table"), LONGEST)?.output);
        }
        Ok(())
    }

    /// Counts one result, and shows the output where it matters.
    fn count(&mut self, name: &str, tally: Tally, ended: &Ended, took: Duration) {
        let Tally { passed, failed, ignored } = tally;
        let left_out = if ignored == 0 { String::new() } else { format!(", {ignored} ignored") };
        let state = if failed == 0 { "ok" } else { "FAILED" };
        println!("{name} … {state}: {passed} passed, {failed} failed{left_out} in {:.1} s", took.as_secs_f64());
        self.total += tally;
        self.times.push((took, name.to_owned()));
        self.summary.extend(ended.output.iter().filter_map(|line| line.strip_prefix(SUMMARY)).map(str::to_owned));
        if failed > 0 {
            self.failures.push(format!("{name}: {failed} failed"));
        }
        if failed > 0 || self.verbose {
            println!("---- output of {name}");
            for line in &ended.output {
                println!("{line}");
            }
            println!("---- end of {name}");
        }
    }

    /// Prints the tables, the failures and, as the last line, the totals.
    pub(super) fn conclude(mut self) -> Result<Tally> {
        self.servers.clean();
        let mut tables = table::read(&self.reports.folder)?;
        if let Some(printed) = self.mutants.take()
            && !tables.add_mutants(&printed)
        {
            self.fail("the mutants' program prints no table when asked with --table".into());
        }
        tables.print();
        if !self.summary.is_empty() {
            println!("\n{}", self.summary.join("\n"));
        }
        self.times.sort_by(|a, b| b.cmp(a));
        println!("\nslowest:");
        for (took, name) in self.times.iter().take(SLOWEST) {
            println!("{:7.1} s {name}", took.as_secs_f64());
        }
        if let Some(problem) = tables.problem() {
            self.fail(problem);
        }
        if self.total.passed + self.total.failed == 0 {
            self.fail("no test was run at all".into());
        }
        let Tally { passed, failed, ignored } = self.total;
        println!();
        for failure in &self.failures {
            println!("failed: {failure}");
        }
        println!("{ignored} ignored");
        println!("{passed} passed, {failed} failed");
        Ok(self.total)
    }
}

/// Takes the first of the own line or, if that is empty, the last of the longest one.
fn next<T, const LINES: usize>(lines: &Mutex<[VecDeque<T>; LINES]>, own: usize) -> Option<T> {
    let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
    lines[own].pop_front().or_else(|| lines.iter_mut().max_by_key(|line| line.len())?.pop_back())
}

/// Adds `--cfg shuttle` to the compiler flags of the environment. Returns the variable to set and its value.
fn with_shuttle(environment: impl Fn(&str) -> Option<String>) -> (&'static str, String) {
    // Cargo prefers this variable, whose flags are separated by a control character.
    let encoded = "CARGO_ENCODED_RUSTFLAGS";
    if let Some(flags) = environment(encoded) {
        let flags = if flags.is_empty() { flags } else { flags + "\u{1f}" };
        return (encoded, flags + "--cfg\u{1f}shuttle");
    }
    let flags = environment("RUSTFLAGS").unwrap_or_default();
    ("RUSTFLAGS", format!("{flags} --cfg shuttle").trim_start().to_owned())
}

/// Whether a test program is the suite over a store: `tests/conformance.rs`, `tests/deployed.rs` for variants of it, or one named for its
/// server or for a cluster of it.
pub(super) fn proves_a_store(program: &Program) -> bool {
    let target = &*program.target;
    let server = target.strip_suffix("_cluster").unwrap_or(target);
    ["conformance", "deployed", "cluster"].contains(&target) || servers::needed(program).contains(&server)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::{next, with_shuttle};

    #[test]
    fn a_line_that_is_through_takes_jobs_from_the_end_of_the_longest() {
        let lines = Mutex::new([vec!["a"], vec!["b", "c"], vec!["d", "e", "f", "g"]].map(Into::into));
        let taken: [_; 8] = [0, 0, 0, 1, 0, 2, 0, 0].map(|own| next(&lines, own));
        assert_eq!(
            taken,
            ["a", "g", "f", "b", "e", "d", "c"].map(Some).into_iter().chain([None]).collect::<Vec<_>>()[..]
        );
    }

    #[test]
    fn compiler_flags_of_the_environment_are_kept() {
        assert_eq!(with_shuttle(|_| None), ("RUSTFLAGS", "--cfg shuttle".to_owned()));
        let plain = |name: &str| (name == "RUSTFLAGS").then(|| "-D warnings".to_owned());
        assert_eq!(with_shuttle(plain), ("RUSTFLAGS", "-D warnings --cfg shuttle".to_owned()));
        let (variable, flags) = with_shuttle(|_| Some("-D\u{1f}warnings".to_owned()));
        assert_eq!((variable, &*flags), ("CARGO_ENCODED_RUSTFLAGS", "-D\u{1f}warnings\u{1f}--cfg\u{1f}shuttle"));
    }
}
