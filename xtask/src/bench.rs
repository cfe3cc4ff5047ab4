//! `cargo xtask bench` and its kin: the programs in `bench/`, with the servers that they need.

use std::path::Path;
use std::process::Command;

use crate::{Result, test};

/// A program in `bench/`, and how it is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// The comparison.
    Comparison,
    /// The comparison in short.
    Check,
    /// Scale and memory.
    Scale,
}

/// What is passed on, but for the servers.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Stores to measure, all of them if none is named: memory, sqlite, postgres, mysql, mariadb, redis, valkey, mongo, dynamo.
    #[arg(long, value_delimiter = ',')]
    stores: Vec<String>,
    /// What else the program is to be told; `-- --help` says what there is.
    #[arg(last = true)]
    more: Vec<String>,
}

/// Runs `program`; whether it came to its end. What it finds fails nothing.
pub(crate) fn run(root: &Path, options: &Options, program: Program) -> Result<bool> {
    let help = options.more.iter().any(|word| matches!(&**word, "--help" | "-h"));
    let wanted = |name: &str| !help && (options.stores.is_empty() || options.stores.iter().any(|store| store == name));
    let variables = test::servers::variables(root, wanted)?;
    if program == Program::Scale {
        // It has a second program beside it, which `run` alone would not build.
        let built = cargo_in_bench(root).args(["build", "--release", "--quiet", "--locked", "--package", "scale"]).status()?;
        if !built.success() {
            return Ok(false);
        }
    }
    let mut cargo = cargo_in_bench(root);
    cargo.envs(variables).args(["run", "--release", "--quiet", "--locked"]);
    if program == Program::Scale {
        cargo.args(["--package", "scale"]);
    }
    cargo.arg("--");
    if !options.stores.is_empty() {
        cargo.args(["--stores", &options.stores.join(",")]);
    }
    if program == Program::Check {
        cargo.arg("--check");
    }
    Ok(cargo.args(&options.more).status()?.success())
}

/// Cargo in the workspace of `bench/`, with a folder of its own for what is built: other features, other versions.
fn cargo_in_bench(root: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root.join("bench")).env_remove("CARGO_TARGET_DIR");
    cargo
}
