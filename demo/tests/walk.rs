//! The shop's promises to scripts on the stores that need no server, tested over HTTP.

mod common;

use std::process::ExitCode;

use common::place::{KEYS, Place};
use common::walk::Backing::{Cookie, Lasting, Nothing, Passing};
use common::walk::trials;
use libtest_mimic::Arguments;

fn main() -> ExitCode {
    let walk = trials("sqlite", Lasting, |_| Place::sqlite())
        .chain(trials("file", Lasting, |_| Place::file()))
        .chain(trials("memory", Passing, |_| Place::memory()))
        .chain(trials("signed", Lasting, |_| Place { keys: Some(KEYS[0]), ..Place::sqlite() }))
        .chain(trials("cookie", Cookie, |_| Place::cookie()))
        .chain(trials("null", Nothing, |_| Place::null()));
    libtest_mimic::run(&Arguments::from_args(), walk.collect()).exit_code()
}
