//! `cargo xtask bench`: the comparison in `bench/`, with the servers that it needs.

use std::path::Path;
use std::process::Command;

use crate::{Result, test};

/// What is passed on, but for the servers.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Stores to measure, all of them if none is named: memory, sqlite, postgres, mysql, mariadb, redis, valkey, mongo, dynamo.
    #[arg(long, value_delimiter = ',')]
    stores: Vec<String>,
    /// What else the comparison is to be told; `cargo xtask bench -- --help` says what there is.
    #[arg(last = true)]
    more: Vec<String>,
}

/// Runs the comparison; whether it came to its end. What it finds fails nothing.
pub(crate) fn run(root: &Path, options: &Options, check: bool) -> Result<bool> {
    let help = options.more.iter().any(|word| matches!(&**word, "--help" | "-h"));
    let wanted = |name: &str| !help && (options.stores.is_empty() || options.stores.iter().any(|store| store == name));
    let variables = test::servers::variables(root, wanted)?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // A folder of its own for what is built: other features, other versions.
    cargo.current_dir(root.join("bench")).env_remove("CARGO_TARGET_DIR").envs(variables);
    cargo.args(["run", "--release", "--quiet", "--locked", "--"]);
    if !options.stores.is_empty() {
        cargo.args(["--stores", &options.stores.join(",")]);
    }
    if check {
        cargo.arg("--check");
    }
    Ok(cargo.args(&options.more).status()?.success())
}
