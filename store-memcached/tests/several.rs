//! Runs the conformance suite on three servers. `cargo test -p session-store-memcached --test several -- --list` names the clauses that a
//! normal run checks.

use std::process::ExitCode;
use std::sync::Arc;

use session_conformance::variant::SEVERAL_SERVERS;
use session_conformance::{run_variants, server};

mod common;

fn main() -> ExitCode {
    let several = common::Memcached::on("memcached-several", || Box::pin(server::memcached_several()));
    run_variants(vec![("several", &SEVERAL_SERVERS, Arc::new(several))])
}
