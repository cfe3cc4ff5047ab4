//! `cargo xtask bench` and its kin: the programs in `bench/`, with the servers that they need.

use std::path::Path;
use std::process::Command;

use crate::{Result, test};

/// What is passed on, but for the servers.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Stores to measure, all that the program knows if none is named: memory, sqlite, postgres, mysql, mariadb, redis, valkey, mongo, dynamo.
    #[arg(long, value_delimiter = ',')]
    stores: Vec<String>,
    /// What else the program is to be told; `-- --help` says what there is.
    #[arg(last = true)]
    more: Vec<String>,
}

/// One of the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Comparison,
    /// The comparison in short.
    Check,
    Scale,
    /// Clauses of the suite over the peers' stores.
    Promises,
}

impl Program {
    /// Where cargo finds it.
    const fn package(self) -> &'static [&'static str] {
        match self {
            Self::Comparison | Self::Check => &[],
            Self::Scale => &["--package", "scale"],
            // Of the peers' dependencies, and built beside them.
            Self::Promises => &["--manifest-path", "promises/Cargo.toml", "--target-dir", "target/peers"],
        }
    }

    /// Whether it has anything on this kind of server.
    fn knows(self, server: &str) -> bool {
        self != Self::Promises || server != "dynamo"
    }
}

/// Runs a program; whether it came to its end. What it finds fails nothing.
pub(crate) fn run(root: &Path, options: &Options, program: Program) -> Result<bool> {
    let Options { stores, more } = options;
    let help = more.iter().any(|word| matches!(&**word, "--help" | "-h"));
    let named = |name: &str| stores.is_empty() || stores.iter().any(|store| store == name);
    let variables = test::servers::variables(root, |name| !help && program.knows(name) && named(name))?;
    if program == Program::Scale {
        // It has a second program beside it, which `run` alone would not build.
        let built = cargo(root, "build", program).status()?;
        if !built.success() {
            return Ok(false);
        }
    }
    let mut cargo = cargo(root, "run", program);
    cargo.envs(variables).arg("--");
    if !stores.is_empty() {
        cargo.args(["--stores", &stores.join(",")]);
    }
    if program == Program::Check {
        cargo.arg("--check");
    }
    Ok(cargo.args(more).status()?.success())
}

/// Cargo in the workspace of `bench/`, with a folder of its own for what is built: other features, other versions.
fn cargo(root: &Path, what: &str, program: Program) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root.join("bench")).env_remove("CARGO_TARGET_DIR");
    cargo.args([what, "--release", "--quiet", "--locked"]).args(program.package());
    cargo
}
