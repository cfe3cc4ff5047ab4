//! `cargo xtask test`: runs all tests and counts them.

mod build;
pub(crate) mod servers;
mod table;
mod tally;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use build::{Built, Kind, Program};
use servers::Servers;
pub(crate) use table::Tables;
use tally::Tally;

use crate::process::{self, Ended};
use crate::result::Result;

/// Time limit of a test program. A program that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(45 * 60);

/// Folder in the target folder for the reports of the suites.
const REPORTS: &str = "conformance";

/// A file beside the reports that says that none is missing.
const WHOLE: &str = "whole";

/// Prefix of output lines that are repeated at the end of the run.
const SUMMARY: &str = "summary: ";

/// Interval at which a long test program is reported as running.
const MINUTE: Duration = Duration::from_secs(60);

/// Options of `cargo xtask test`.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Show the output of test programs that succeed, too.
    #[arg(long, short)]
    verbose: bool,
    /// Leave out the tests that need a database server, and so Docker.
    #[arg(long)]
    embedded: bool,
}

/// Builds and runs every test program and the doctests. Returns whether all of them succeeded.
pub(crate) fn run(root: &Path, options: &Options) -> Result<bool> {
    let total = everything(&Place { root: root.to_owned(), target: crate::target(root) }, options)?;
    Ok(total.failed == 0)
}

/// A workspace and its target folder.
#[derive(Clone, Debug)]
struct Place {
    root: PathBuf,
    target: PathBuf,
}

impl Place {
    /// Returns cargo in the workspace.
    fn cargo(&self) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        command
    }
}

/// Runs the suite over every store and returns the tables. Fails if a store is missing from them.
pub(crate) fn suites(root: &Path) -> Result<Tables> {
    let place = Place { root: root.to_owned(), target: crate::target(root) };
    println!("building …");
    let built = build::build(&place)?;
    let programs: Vec<_> = built.programs.iter().filter(|program| proves_a_store(program)).collect();
    let mut run = Run::begin(&place, &built, &programs, false)?;
    for program in programs {
        run.program(program)?;
    }
    run.servers.clean();
    let tables = table::read(&run.reports.folder)?;
    // A failed clause belongs in the table, but a missing store would make the table untrue.
    match run.missing.is_empty() && built.well {
        true => Ok(tables),
        false => Err(format!("not every store was there: {}", run.failures.join("; ")).into()),
    }
}

/// Returns the tables of the last run of all tests.
pub(crate) fn last(root: &Path) -> Result<Tables> {
    let folder = crate::target(root).join(REPORTS);
    match folder.join(WHOLE).exists() {
        true => table::read(&folder),
        false => Err("the last `cargo xtask test` did not run every suite, or there was none".into()),
    }
}

fn everything(place: &Place, options: &Options) -> Result<Tally> {
    println!("building …");
    let built = build::build(place)?;
    let programs = built.programs.iter().filter(|program| !program.needs_shuttle());
    let (programs, left_out): (Vec<_>, Vec<_>) =
        programs.partition(|program| !options.embedded || servers::needed(program).is_empty());
    let mut run = Run::begin(place, &built, &programs, options.verbose)?;
    for program in programs {
        run.program(program)?;
    }
    for program in left_out {
        println!("{} left out: it needs a server", program.name());
    }
    if built.programs.iter().any(Program::needs_shuttle) {
        run.threads()?;
    }
    // The crate must also work without its features, and a build of the workspace enables them all.
    if place.root.join("session-core").is_dir() {
        run.cargo_test("session-core without features", &["-p", "session-core", "--tests"])?;
    }
    run.cargo_test("doctests", &["--workspace", "--all-features", "--doc"])?;
    if !options.embedded && run.missing.is_empty() && built.well {
        std::fs::write(run.reports.folder.join(WHOLE), "")?;
    }
    run.conclude()
}

/// State of a run.
struct Run<'a> {
    place: &'a Place,
    reports: Reports,
    verbose: bool,
    servers: Servers,
    total: Tally,
    /// Table of mutants, as their program prints it.
    mutants: Option<Vec<String>>,
    /// Lines to repeat at the end.
    summary: Vec<String>,
    /// Failures, one line each.
    failures: Vec<String>,
    /// Programs that could not run or left no report.
    missing: Vec<String>,
}

impl<'a> Run<'a> {
    fn begin(place: &'a Place, built: &Built, programs: &[&Program], verbose: bool) -> Result<Self> {
        let mut run = Run {
            place,
            reports: Reports::fresh(place)?,
            verbose,
            servers: Servers::of(&place.root, programs),
            total: Tally::default(),
            mutants: None,
            summary: Vec::new(),
            failures: Vec::new(),
            missing: Vec::new(),
        };
        for target in &built.broken {
            run.fail(format!("{target}: does not compile"));
        }
        if !built.well && built.broken.is_empty() {
            run.fail("the build failed, see above".into());
        }
        Ok(run)
    }

    fn fail(&mut self, what: String) {
        println!("FAILED {what}");
        self.total += Tally::ONE_FAILURE;
        self.failures.push(what);
    }

    fn program(&mut self, program: &Program) -> Result<()> {
        let name = program.name();
        if let Some(why) = self.servers.missing(program) {
            self.fail(format!("{name}: not run: {why}"));
            self.missing.push(name);
            return Ok(());
        }
        let report = self.reports.path(program);
        let mut command = Command::new(&program.executable);
        command
            .current_dir(&program.folder)
            .env("CARGO_MANIFEST_DIR", &program.folder)
            .env("CARGO_PKG_NAME", &program.package)
            .env("CARGO_PKG_VERSION", &program.version)
            .env("CONFORMANCE_REPORT", &report)
            .envs(self.servers.variables());
        let (ended, took) = announced(&name, &mut command)?;
        let mut tally = Tally::of_program(&ended.output, ended.well);
        let empty = program.kind == Kind::Integration && tally.all() == 0;
        if empty {
            tally += Tally::ONE_FAILURE;
        }
        self.count(&name, tally, &ended, took);
        if empty {
            println!("{name} ran no test: a file in tests/ is there to run something");
        }
        if program.kind == Kind::Integration && proves_a_store(program) && !report.exists() {
            self.fail(format!("{name}: left no report, so the table would lack this store"));
            self.missing.push(name);
        }
        if program.kind == Kind::Integration && program.target == "mutants" {
            self.mutants = Some(process::run(Command::new(&program.executable).arg("--table"), LONGEST)?.output);
        }
        Ok(())
    }

    /// Runs tests by `cargo test`.
    fn cargo_test(&mut self, name: &str, what: &[&str]) -> Result<()> {
        let command = self.place.cargo();
        self.cargo_test_by(command, name, what)
    }

    /// Runs the programs and tests that are built for `shuttle`.
    fn threads(&mut self) -> Result<()> {
        let lock = ["-p", "session-core", "--all-features", "--lib", "interleavings"];
        let programs = ["-p", "session-conformance", "--features", "mutants", "--test", "threads"];
        for (name, what) in [("session-core's lock on threads", &lock[..]), ("session-conformance::threads", &programs)]
        {
            let mut command = self.place.cargo();
            let (variable, flags) = with_shuttle(|variable| std::env::var(variable).ok());
            // A folder of its own, because the flag would invalidate everything in the usual one.
            command.env(variable, flags).env("CARGO_TARGET_DIR", self.place.target.join("shuttle"));
            self.cargo_test_by(command, name, what)?;
        }
        Ok(())
    }

    fn cargo_test_by(&mut self, mut command: Command, name: &str, what: &[&str]) -> Result<()> {
        command.args(["test", "--no-fail-fast"]).args(what);
        let (ended, took) = announced(name, &mut command)?;
        self.count(name, Tally::of_programs(&ended.output, ended.well), &ended, took);
        Ok(())
    }

    /// Finishes the line that [`announced`] began, and shows the output where it matters.
    fn count(&mut self, name: &str, tally: Tally, ended: &Ended, took: Duration) {
        let Tally { passed, failed, ignored } = tally;
        let left_out = if ignored == 0 { String::new() } else { format!(", {ignored} ignored") };
        let state = if failed == 0 { "ok" } else { "FAILED" };
        println!("{state}: {passed} passed, {failed} failed{left_out} in {:.1} s", took.as_secs_f64());
        self.total += tally;
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
    fn conclude(mut self) -> Result<Tally> {
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

/// Whether a test program is the suite over a store: `tests/conformance.rs`, or one named for its server or for a cluster of it.
fn proves_a_store(program: &Program) -> bool {
    let target = &*program.target;
    let server = target.strip_suffix("_cluster").unwrap_or(target);
    ["conformance", "cluster"].contains(&target) || servers::needed(program).contains(&server)
}

/// Runs `command` after the beginning of a line that says what is running.
fn announced(name: &str, command: &mut Command) -> Result<(Ended, Duration)> {
    print!("{name} … ");
    std::io::stdout().flush()?;
    let begun = Instant::now();
    let mut told = 1;
    let ended = process::run_while(command, |elapsed, _| {
        if elapsed >= told * MINUTE {
            print!("{told} min … ");
            // Progress that cannot be shown is no reason to stop.
            let _ = std::io::stdout().flush();
            told += 1;
        }
        elapsed < LONGEST
    });
    let ended = ended.map_err(|error| format!("{name} cannot be started: {error}"))?;
    Ok((ended, begun.elapsed()))
}

/// Folder of the conformance suites' reports, with one file for each test program.
struct Reports {
    folder: PathBuf,
}

impl Reports {
    /// Makes the folder, without the reports of earlier runs.
    fn fresh(place: &Place) -> Result<Self> {
        let folder = place.target.join(REPORTS);
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => std::fs::create_dir_all(&folder)?,
        }
        Ok(Self { folder })
    }

    fn path(&self, program: &Program) -> PathBuf {
        self.folder.join(format!("{}.{}.json", program.package, program.target))
    }
}

#[cfg(test)]
mod tests {
    use super::{Options, Place, Tally, everything, with_shuttle};

    /// Result of a run over a workspace of one library with these tests, in files of their own.
    fn total(library: &str, tests: &[(&str, &str)]) -> Tally {
        let manifest = "[package]\nname = 'sample'\nedition = '2024'\n[workspace]\n";
        let mut files = vec![("Cargo.toml".to_owned(), manifest), ("src/lib.rs".to_owned(), library)];
        files.extend(tests.iter().map(|(name, text)| (format!("tests/{name}.rs"), *text)));
        total_of(&files)
    }

    /// Result of a run over a workspace of these files.
    fn total_of(files: &[(String, &str)]) -> Tally {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for (path, text) in files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        everything(&Place { root: root.to_owned(), target: root.join("target") }, &Options::default()).unwrap()
    }

    #[test]
    fn unit_tests_integration_tests_and_doctests_are_all_counted() {
        let library = "//! ```\n//! assert_eq!(1 + 1, 2);\n//! ```\n\n#[test]\nfn unit() {}\n";
        let tests = "#[test]\nfn good() {}\n#[test]\nfn bad() { panic!() }\n#[test]\n#[ignore]\nfn left_out() {}\n";
        assert_eq!(total(library, &[("some", tests)]), Tally { passed: 3, failed: 1, ignored: 1 });
    }

    #[test]
    fn crashes_and_what_does_not_compile_are_failures() {
        let good = ("good", "#[test]\nfn good() {}\n");
        let crash = ("crash", "#[test]\nfn crash() { std::process::abort() }\n");
        assert_eq!(total("", &[good, crash]), Tally { passed: 1, failed: 1, ignored: 0 });
        let broken = ("broken", "fn broken() -> u8 {}\n");
        assert_eq!(total("", &[good, broken]), Tally { passed: 1, failed: 1, ignored: 0 });
    }

    #[test]
    fn a_run_of_nothing_is_a_failure() {
        assert_eq!(total("", &[]), Tally { passed: 0, failed: 1, ignored: 0 });
        let nothing = ("nothing", "fn nothing() {}\n");
        assert_eq!(total("#[test]\nfn unit() {}\n", &[nothing]), Tally { passed: 1, failed: 1, ignored: 0 });
    }

    #[test]
    fn programs_on_threads_are_built_for_shuttle_and_counted() {
        let test = "#[cfg(shuttle)]\n#[test]\nfn interleavings() {}\n";
        let files = [
            (
                "Cargo.toml",
                "[package]\nname = 'session-conformance'\nedition = '2024'\n[features]\nmutants = []\n[workspace]\nmembers = ['session-core']\n",
            ),
            ("src/lib.rs", ""),
            ("tests/threads.rs", test),
            ("session-core/Cargo.toml", "[package]\nname = 'session-core'\nedition = '2024'\n"),
            ("session-core/src/lib.rs", test),
        ];
        let total = total_of(&files.map(|(path, text)| (path.to_owned(), text)));
        assert_eq!(total, Tally { passed: 2, failed: 0, ignored: 0 });
    }

    #[test]
    fn compiler_flags_of_the_environment_are_kept() {
        assert_eq!(with_shuttle(|_| None), ("RUSTFLAGS", "--cfg shuttle".to_owned()));
        let plain = |name: &str| (name == "RUSTFLAGS").then(|| "-D warnings".to_owned());
        assert_eq!(with_shuttle(plain), ("RUSTFLAGS", "-D warnings --cfg shuttle".to_owned()));
        let (variable, flags) = with_shuttle(|_| Some("-D\u{1f}warnings".to_owned()));
        assert_eq!((variable, &*flags), ("CARGO_ENCODED_RUSTFLAGS", "-D\u{1f}warnings\u{1f}--cfg\u{1f}shuttle"));
    }

    #[test]
    fn a_suite_that_leaves_no_report_is_a_failure() {
        let suite = ("conformance", "#[test]\nfn good() {}\n");
        assert_eq!(total("", &[suite]), Tally { passed: 1, failed: 1, ignored: 0 });
    }
}
