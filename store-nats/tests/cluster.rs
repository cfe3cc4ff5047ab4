//! Runs the conformance suite on three servers that replicate the bucket. `cargo test -p session-store-nats --test cluster -- --list` names
//! the clauses that a normal run checks.

use std::process::ExitCode;
use std::sync::Arc;

use session_conformance::variant::SEVERAL_PRIMARIES;
use session_conformance::{run_variants, server};

mod common;

fn main() -> ExitCode {
    let cluster = common::Nats::on("nats-cluster", || Box::pin(server::nats_cluster()));
    run_variants(vec![("cluster", &SEVERAL_PRIMARIES, Arc::new(cluster))])
}
