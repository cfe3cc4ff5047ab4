//! Runs the conformance suite on Redis. `cargo test -p store-redis --test conformance -- --list` lists the clauses.

use std::process::ExitCode;

use conformance::server;

mod common;

fn main() -> ExitCode {
    conformance::run(common::Redis::on("redis", || Box::pin(server::redis())))
}
