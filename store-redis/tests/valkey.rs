//! Runs the conformance suite on Valkey.

use std::process::ExitCode;

use conformance::server;

mod common;

fn main() -> ExitCode {
    conformance::run(common::Redis::on("valkey", || Box::pin(server::valkey())))
}
