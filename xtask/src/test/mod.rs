//! `cargo xtask test`: runs all tests and counts them.

mod browser;
mod build;
mod reports;
mod run;
pub(crate) mod servers;
mod table;
mod tally;

use build::Program;
use reports::Reports;
use run::{Run, proves_a_store};
pub(crate) use table::Tables;
use tally::Tally;

use crate::result::Result;
use crate::workspace::Workspace;

/// Options of `cargo xtask test`.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Show the output of test programs that succeed, too.
    #[arg(long, short)]
    verbose: bool,
    /// Leave out the tests that need a database server, and so Docker.
    #[arg(long)]
    embedded: bool,
    /// Run every clause over the variants of a store, not only those that the variant can break.
    #[arg(long)]
    full: bool,
}

/// Builds and runs every test program and the doctests. Returns whether all of them succeeded.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool> {
    let total = everything(workspace, options)?;
    Ok(total.failed == 0)
}

/// Runs the suite over every store and returns the tables. Fails if a store is missing from them.
pub(crate) fn suites(workspace: &Workspace) -> Result<Tables> {
    println!("building …");
    let built = build::build(workspace)?;
    let programs: Vec<_> = built.programs.iter().filter(|program| proves_a_store(program)).collect();
    let mut run = Run::begin(workspace, &built, &programs, false)?;
    run.full = true;
    let jobs = programs.into_iter().filter_map(|program| run.program(program)).collect();
    run.side_by_side([jobs])?;
    run.servers.clean();
    let tables = table::read(&run.reports.folder)?;
    // A failed clause belongs in the table, but a missing store would make the table untrue.
    match run.missing.is_empty() && built.well {
        true => Ok(tables),
        false => Err(format!("not every store was there: {}", run.failures.join("; ")).into()),
    }
}

/// Returns the tables of the last run of all tests.
pub(crate) fn last(workspace: &Workspace) -> Result<Tables> {
    match Reports::last_whole(workspace) {
        Some(reports) => table::read(&reports.folder),
        None => Err("the last `cargo xtask test` did not run every suite, or there was none".into()),
    }
}

fn everything(workspace: &Workspace, options: &Options) -> Result<Tally> {
    println!("building …");
    let built = build::build(workspace)?;
    let programs = built.programs.iter().filter(|program| !program.needs_shuttle());
    let (programs, left_out): (Vec<_>, Vec<_>) =
        programs.partition(|program| !options.embedded || servers::needed(program).is_empty());
    let mut run = Run::begin(workspace, &built, &programs, options.verbose)?;
    run.full = options.full;
    // Programs that use a server mostly wait for it, and most of the others compute on one thread.
    let (served, alone): (Vec<_>, Vec<_>) =
        programs.into_iter().partition(|program| !servers::needed(program).is_empty());
    let served = served.into_iter().filter_map(|program| run.program(program)).collect();
    let mut alone: Vec<_> = alone.into_iter().filter_map(|program| run.program(program)).collect();
    if built.programs.iter().any(Program::needs_shuttle) {
        alone.extend(run.threads());
    }
    run.side_by_side([served, alone])?;
    for program in left_out {
        println!("{} left out: it needs a server", program.name());
    }
    // What follows compiles on all processors, so nothing runs beside it.
    let mut compiled = Vec::new();
    // The crate must also work without its features, and a build of the workspace enables them all.
    if workspace.root.join("session-core").is_dir() {
        // Compiling it with optimizations takes longer than its tests do.
        let what = ["-p", "session-core", "--tests", "--config", "profile.dev.package.session-core.opt-level=0"];
        compiled.push(run.cargo_test("session-core without features", &what));
    }
    compiled.push(run.cargo_test("doctests", &["--workspace", "--all-features", "--doc"]));
    run.side_by_side([compiled])?;
    if !options.embedded && run.missing.is_empty() && built.well {
        run.reports.mark_whole()?;
    }
    run.conclude()
}

#[cfg(test)]
mod tests {
    use super::{Options, Tally, everything};
    use crate::workspace::Workspace;

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
        everything(&Workspace { root: root.to_owned(), target: root.join("target") }, &Options::default()).unwrap()
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
    fn a_suite_that_leaves_no_report_is_a_failure() {
        let suite = ("conformance", "#[test]\nfn good() {}\n");
        assert_eq!(total("", &[suite]), Tally { passed: 1, failed: 1, ignored: 0 });
    }
}
