//! The store proves the contract on Valkey.

use std::process::ExitCode;

mod common;

fn main() -> ExitCode {
    conformance::run(common::Server::new("CONFORMANCE_VALKEY_URL"))
}
