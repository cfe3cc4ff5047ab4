//! Conformance suite over the store. `cargo test -p session-store-postgres --test conformance -- --list` names the clauses.

mod common;

use std::process::ExitCode;

fn main() -> ExitCode {
    session_conformance::run(common::Suite::default())
}
