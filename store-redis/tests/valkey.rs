//! Runs the conformance suite on Valkey.

use std::process::ExitCode;

use session_conformance::server;

mod common;

fn main() -> ExitCode {
    session_conformance::run(common::Redis::on("valkey", || Box::pin(server::valkey())))
}
