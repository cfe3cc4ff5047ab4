#![doc = include_str!("../README.md")]

mod bench;
mod debian;
mod features;
mod images;
mod instructions;
mod matrix;
mod model;
mod mutants;
mod process;
mod progress;
mod result;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use bench::Program;
use workspace::Workspace;

/// The workspace's own commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the public interface of each library to docs/api.
    Api,
    /// Measure the stores beside tower-sessions' and the bare drivers, on the servers of the tests.
    Bench(bench::Options),
    /// Measure the stores beside an earlier commit of this project, in one run.
    BenchAgainst(bench::Against),
    /// Measure in a short run, for use before and after a change: prints ratios and fails nothing.
    BenchCheck(bench::Options),
    /// Count the processor's instructions of one request, with and without a session layer.
    BenchInstructions(instructions::Options),
    /// Measure how the stores grow, what a purge costs concurrent requests, and how much memory is taken.
    BenchScale(bench::Options),
    /// Run clauses of the suite over tower-sessions' stores, and print which of them hold.
    BenchPeers(bench::Options),
    /// Check every published crate without its features, and with each feature on its own.
    Features(features::Options),
    /// Get the images of the servers that stores are tested against: pulled, or else built.
    Images(images::Options),
    /// Run the suite over every store, and write the table of clauses and stores to docs/ and the README.
    Matrix(matrix::Options),
    /// Play random scenes over a store, and check what the core promises.
    Model(model::Options),
    /// Change the code in small ways, and report which changes no test notices.
    MutantsOfCode(mutants::Options),
    /// Run all tests, and end with one line of totals.
    Test(test::Options),
    /// Check rules that the compiler does not.
    Tidy(tidy::Options),
}

fn main() -> ExitCode {
    let workspace = Workspace::own();
    let done = match Arguments::parse().command {
        Command::Api => tidy::api::write(&workspace),
        Command::Bench(options) => bench::run(&workspace, &options, Program::Comparison),
        Command::BenchAgainst(against) => bench::against(&workspace, &against),
        Command::BenchCheck(options) => bench::run(&workspace, &options, Program::Check),
        Command::BenchInstructions(options) => instructions::run(&workspace, &options),
        Command::BenchScale(options) => bench::run(&workspace, &options, Program::Scale),
        Command::BenchPeers(options) => bench::run(&workspace, &options, Program::Clauses),
        Command::Features(options) => features::run(&workspace, &options),
        Command::Images(options) => images::run(&workspace, &options),
        Command::Matrix(options) => matrix::run(&workspace, &options),
        Command::Model(options) => model::run(&workspace, &options),
        Command::MutantsOfCode(options) => mutants::run(&workspace, &options),
        Command::Test(options) => test::run(&workspace, &options),
        Command::Tidy(options) => tidy::run(&workspace.root, &options),
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
