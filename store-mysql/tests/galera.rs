//! Conformance suite over stores on different nodes of a Galera cluster. `cargo test -p session-store-mysql --test galera -- --list` names
//! the clauses that a normal run checks.

mod common;

use std::process::ExitCode;
use std::sync::Arc;

use common::OnNodes;
use session_conformance::run_variants;
use session_conformance::variant::SEVERAL_PRIMARIES;

fn main() -> ExitCode {
    run_variants(vec![("galera", &SEVERAL_PRIMARIES, Arc::new(OnNodes::default()))])
}
