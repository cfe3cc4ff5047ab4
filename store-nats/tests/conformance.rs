//! Runs the conformance suite on NATS. `cargo test -p session-store-nats --test conformance -- --list` lists the clauses.

use std::process::ExitCode;

use session_conformance::server;

mod common;

fn main() -> ExitCode {
    session_conformance::run(common::Nats::on("nats", || Box::pin(server::nats())))
}
