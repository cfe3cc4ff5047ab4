//! Conformance suite over the store on MySQL. `cargo test -p session-store-mysql --test mysql -- --list` names the clauses.

mod common;

use std::process::ExitCode;

use common::{Kind, Suite};

fn main() -> ExitCode {
    session_conformance::run(Suite::on("mysql", Kind::Mysql))
}
