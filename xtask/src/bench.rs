//! `cargo xtask bench` and its variants: the programs in `bench/`, with the servers that they need.

use std::path::Path;
use std::process::Command;

use crate::progress;
use crate::result::Result;
use crate::test;
use crate::workspace::{Workspace, cargo};

/// Arguments that are passed on to the program.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Stores to measure, by default all that the program knows: memory, sqlite, sqlite-full, redb, postgres, mysql, mariadb,
    /// redis, valkey, memcached, mongo, dynamo.
    #[arg(long, value_delimiter = ',')]
    stores: Vec<String>,
    /// Further arguments of the program; `-- --help` lists them.
    #[arg(last = true)]
    more: Vec<String>,
}

/// Commit to compare with, and arguments that are passed on.
#[derive(Debug, clap::Args)]
pub(crate) struct Against {
    /// Commit of this project to compare with, for example `HEAD~1` or `main`.
    commit: String,
    #[command(flatten)]
    options: Options,
}

/// Program in `bench/` to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Comparison,
    /// A short run of the comparison.
    Check,
    Scale,
    /// Clauses of the suite over the peers' stores.
    Clauses,
}

impl Program {
    /// Returns the arguments by which cargo finds the program.
    const fn package(self) -> &'static [&'static str] {
        match self {
            Self::Comparison | Self::Check => &[],
            Self::Scale => &["--package", "scale"],
            // It shares the dependencies and the target folder of the peers.
            Self::Clauses => &["--manifest-path", "clauses/Cargo.toml", "--target-dir", "target/peers"],
        }
    }

    /// Whether the program measures on this kind of server.
    fn knows(self, server: &str) -> bool {
        self != Self::Clauses || !matches!(server, "dynamo" | "memcached")
    }
}

/// Runs a program. Returns whether it succeeded; its findings are no failure.
pub(crate) fn run(workspace: &Workspace, options: &Options, program: Program) -> Result<bool> {
    let Options { stores, more } = options;
    let help = more.iter().any(|word| matches!(&**word, "--help" | "-h"));
    let named = |name: &str| stores.is_empty() || stores.iter().any(|store| store == name);
    let variables = test::servers::variables(workspace, |name| !help && program.knows(name) && named(name))?;
    if program == Program::Scale {
        // It needs a second program, which `run` alone would not build.
        let built = bench(&workspace.root, "build", program).status()?;
        if !built.success() {
            return Ok(false);
        }
    }
    let mut cargo = bench(&workspace.root, "run", program);
    cargo.envs(variables).arg("--");
    if !stores.is_empty() {
        cargo.args(["--stores", &stores.join(",")]);
    }
    if program == Program::Check {
        cargo.arg("--check");
    }
    Ok(cargo.args(more).status()?.success())
}

/// Measures this project beside an earlier commit of itself, whose sources stay in `target/before`.
pub(crate) fn against(workspace: &Workspace, against: &Against) -> Result<bool> {
    let Against { commit, options: Options { stores, more } } = against;
    let git = |arguments: &[&str]| progress::silent(Command::new("git").current_dir(&workspace.root).args(arguments));
    let commit = git(&["rev-parse", "--verify", "--short", &format!("{commit}^{{commit}}")])
        .map_err(|why| format!("`{commit}` is no commit of this repository: {why}"))?;
    let before = workspace.target.join("before").join(&commit);
    let folder = before.to_str().ok_or("the target folder's path is no text")?;
    if !before.join("bench").is_dir() {
        // A folder that was deleted by hand is still known to git.
        git(&["worktree", "prune"])?;
        git(&["worktree", "add", "--detach", folder, &commit])?;
    }
    let mut more = more.clone();
    more.extend(["--against".to_owned(), folder.to_owned()]);
    run(workspace, &Options { stores: stores.clone(), more }, Program::Comparison)
}

/// Returns cargo in the workspace of `bench/`, which has its own target folder because features and versions differ.
fn bench(root: &Path, what: &str, program: Program) -> Command {
    let mut cargo = cargo();
    cargo.current_dir(root.join("bench")).env_remove("CARGO_TARGET_DIR");
    cargo.args([what, "--release", "--quiet", "--locked"]).args(program.package());
    cargo
}
