//! `cargo xtask bench` and `bench-peers`: the comparison in `bench/`, with the servers that it needs.

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
    let mut cargo = cargo_run(root, &options.stores, variables, &[]);
    if check {
        cargo.arg("--check");
    }
    Ok(cargo.args(&options.more).status()?.success())
}

/// What is passed on to the peers' matrix, but for the servers.
#[derive(Debug, clap::Args)]
pub(crate) struct PeersOptions {
    /// Stores of tower-sessions, all of them if none is named: memory, moka, sqlite, postgres, mysql, mariadb, redis, valkey, mongo.
    #[arg(long, value_delimiter = ',')]
    stores: Vec<String>,
    /// Clauses to run, all that make sense for them if none is named, and what else there is; `-- --help` says what.
    #[arg(last = true)]
    more: Vec<String>,
}

/// Runs clauses of the suite over the peers' stores; whether all of those could be opened. A clause that fails is a result.
pub(crate) fn peers(root: &Path, options: &PeersOptions) -> Result<bool> {
    let help = options.more.iter().any(|word| matches!(&**word, "--help" | "-h"));
    // They have none on DynamoDB.
    let every = options.stores.is_empty();
    let wanted = |name: &str| !help && name != "dynamo" && (every || options.stores.iter().any(|store| store == name));
    let variables = test::servers::variables(root, wanted)?;
    let package = ["--manifest-path", "promises/Cargo.toml", "--target-dir", "target/peers"];
    Ok(cargo_run(root, &options.stores, variables, &package).args(&options.more).status()?.success())
}

/// `cargo run` of a program in `bench/`, told of the stores. A folder of its own for what is built: other features, other versions.
fn cargo_run(root: &Path, stores: &[String], variables: Vec<(String, String)>, package: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root.join("bench")).env_remove("CARGO_TARGET_DIR").envs(variables);
    cargo.args(["run", "--release", "--quiet", "--locked"]).args(package).arg("--");
    if !stores.is_empty() {
        cargo.args(["--stores", &stores.join(",")]);
    }
    cargo
}
