//! `cargo xtask test`: everything there is, counted.

mod build;
mod process;
mod table;
mod tally;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use build::{Kind, Program};
use process::Ended;
use tally::Tally;

use crate::Result;

/// A test program that is not over by then hangs.
const LONGEST: Duration = Duration::from_secs(45 * 60);

/// How to test.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Show the output of test programs that succeed, too.
    #[arg(long, short)]
    verbose: bool,
}

/// Builds and runs every test program and the doctests; whether all of them succeeded.
pub(crate) fn run(root: &Path, options: &Options) -> Result<bool> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let reports = Reports::fresh(root)?;
    println!("building …");
    let built = build::build(root, &cargo)?;
    let mut run = Run { cargo, root, reports, verbose: options.verbose, total: Tally::default(), failures: Vec::new() };
    for target in &built.broken {
        run.fail(format!("{target}: does not compile"));
    }
    if !built.well && built.broken.is_empty() {
        run.fail("the build failed, see above".into());
    }
    for program in &built.programs {
        run.program(program)?;
    }
    if built.well {
        run.doctests()?;
    } else {
        run.fail("doctests: not run, since something does not compile".into());
    }
    run.conclude()
}

/// A run so far.
struct Run<'a> {
    cargo: String,
    root: &'a Path,
    reports: Reports,
    verbose: bool,
    total: Tally,
    /// What went wrong, one line each.
    failures: Vec<String>,
}

impl Run<'_> {
    fn fail(&mut self, what: String) {
        println!("FAILED {what}");
        self.total += Tally::ONE_FAILURE;
        self.failures.push(what);
    }

    fn program(&mut self, program: &Program) -> Result<()> {
        let name = program.name();
        let mut command = Command::new(&program.executable);
        command
            .current_dir(&program.folder)
            .env("CARGO_MANIFEST_DIR", &program.folder)
            .env("CARGO_PKG_NAME", &program.package)
            .env("CARGO_PKG_VERSION", &program.version)
            .env("CONFORMANCE_REPORT", self.reports.path(program));
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
        Ok(())
    }

    fn doctests(&mut self) -> Result<()> {
        let mut command = Command::new(&self.cargo);
        command.current_dir(self.root).args(["test", "--workspace", "--doc", "--no-fail-fast"]);
        let (ended, took) = announced("doctests", &mut command)?;
        self.count("doctests", Tally::of_programs(&ended.output, ended.well), &ended, took);
        Ok(())
    }

    /// Finishes the line that [`announced`] began, and shows the output where it matters.
    fn count(&mut self, name: &str, tally: Tally, ended: &Ended, took: Duration) {
        let Tally { passed, failed, ignored } = tally;
        let left_out = if ignored == 0 { String::new() } else { format!(", {ignored} ignored") };
        let state = if failed == 0 { "ok" } else { "FAILED" };
        println!("{state}: {passed} passed, {failed} failed{left_out} in {:.1} s", took.as_secs_f64());
        self.total += tally;
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

    /// The tables, what failed, and the line of totals: the last one.
    fn conclude(mut self) -> Result<bool> {
        let tables = table::read(&self.reports.folder)?;
        tables.print();
        for problem in tables.problems() {
            self.fail(problem);
        }
        let Tally { passed, failed, ignored } = self.total;
        if passed == 0 && failed == 0 {
            self.fail("no test was run at all".into());
        }
        println!();
        for failure in &self.failures {
            println!("failed: {failure}");
        }
        println!("{ignored} ignored");
        println!("{passed} passed, {} failed", self.total.failed);
        Ok(self.total.failed == 0)
    }
}

/// Runs `command` after the beginning of a line that says what is running.
fn announced(name: &str, command: &mut Command) -> Result<(Ended, Duration)> {
    print!("{name} … ");
    std::io::stdout().flush()?;
    let begun = Instant::now();
    let ended = process::run(command, LONGEST).map_err(|error| format!("{name} cannot be started: {error}"))?;
    Ok((ended, begun.elapsed()))
}

/// Where conformance suites leave their findings: one file for each test program.
struct Reports {
    folder: PathBuf,
}

impl Reports {
    /// A folder without the findings of earlier runs.
    fn fresh(root: &Path) -> Result<Self> {
        let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| OsString::from("target"));
        let folder = root.join(target).join("conformance");
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
