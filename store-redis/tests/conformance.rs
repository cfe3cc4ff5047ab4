//! The store proves the contract on Redis. `cargo test -p store-redis --test conformance -- --list` names the clauses.

use std::process::ExitCode;

mod common;

fn main() -> ExitCode {
    conformance::run(common::Server::new("CONFORMANCE_REDIS_URL"))
}
