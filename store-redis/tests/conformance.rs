//! Runs the conformance suite on Redis. `cargo test -p session-store-redis --test conformance -- --list` lists the clauses.

use std::process::ExitCode;

use session_conformance::server;

mod common;

fn main() -> ExitCode {
    session_conformance::run(common::Redis::on("redis", || Box::pin(server::redis())))
}
