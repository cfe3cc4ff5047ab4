//! The shop's promises to scripts on the stores that need no server, driven over HTTP from outside.

mod common;

use std::process::ExitCode;

use common::place::Place;
use common::walk::trials;
use libtest_mimic::Arguments;

fn main() -> ExitCode {
    let sqlite = trials("sqlite", true, |_| Place::sqlite());
    let file = trials("file", true, |_| Place::file());
    let memory = trials("memory", false, |_| Place::memory());
    libtest_mimic::run(&Arguments::from_args(), sqlite.chain(file).chain(memory).collect()).exit_code()
}
