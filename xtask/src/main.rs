#![doc = include_str!("../README.md")]

mod bench;
mod images;
mod matrix;
mod model;
mod process;
mod test;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use bench::Program;

/// Result of a command. An error is a failure of the command itself, not of its checks, and is reported as one line.
type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// The workspace's own commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure the stores beside tower-sessions' and the bare drivers, on the servers of the tests.
    Bench(bench::Options),
    /// Measure in a short run, for use before and after a change: prints ratios and fails nothing.
    BenchCheck(bench::Options),
    /// Measure how the stores grow, what a purge costs concurrent requests, and how much memory is taken.
    BenchScale(bench::Options),
    /// Run clauses of the suite over tower-sessions' stores, and print which of them hold.
    BenchPeers(bench::Options),
    /// Get the images of the servers that stores are tested against: pulled, or else built.
    Images(images::Options),
    /// Run the suite over every store, and write the table of clauses and stores to docs/ and the README.
    Matrix(matrix::Options),
    /// Play random scenes over a store, and check what the core promises.
    Model(model::Options),
    /// Run all tests, and end with one line of totals.
    Test(test::Options),
    /// Check rules that the compiler does not.
    Tidy(tidy::Options),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Bench(options) => bench::run(&root(), &options, Program::Comparison),
        Command::BenchCheck(options) => bench::run(&root(), &options, Program::Check),
        Command::BenchScale(options) => bench::run(&root(), &options, Program::Scale),
        Command::BenchPeers(options) => bench::run(&root(), &options, Program::Clauses),
        Command::Images(options) => images::run(&root(), &options),
        Command::Matrix(options) => matrix::run(&root(), &options),
        Command::Model(options) => model::run(&root(), &options),
        Command::Test(options) => test::run(&root(), &options),
        Command::Tidy(options) => tidy::run(&root(), &options),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the target folder of the workspace at `root`.
fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |target| root.join(target))
}

/// Returns the folder of the workspace that this program was built from.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}
