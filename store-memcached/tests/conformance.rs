//! Runs the conformance suite on Memcached. `cargo test -p session-store-memcached --test conformance -- --list` lists the clauses.

use std::process::ExitCode;

use session_conformance::server;

mod common;

fn main() -> ExitCode {
    session_conformance::run(common::Memcached::on("memcached", || Box::pin(server::memcached())))
}
