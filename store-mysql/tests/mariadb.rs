//! Conformance suite over the store on MariaDB.

mod common;

use std::process::ExitCode;

use common::{Kind, Suite};

fn main() -> ExitCode {
    session_conformance::run(Suite::on("mariadb", Kind::Mariadb))
}
