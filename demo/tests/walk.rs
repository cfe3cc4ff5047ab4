//! The shop's promises to scripts on the stores that need no server, tested over HTTP.

mod common;

use std::process::ExitCode;

use common::backend::{Backend, KEYS};
use common::walk::StoreKind::{Alone, Cookie, Lasting, Nothing, Passing};
use common::walk::trials;
use libtest_mimic::Arguments;

fn main() -> ExitCode {
    let walk = trials("sqlite", Lasting, |_| Backend::sqlite())
        .chain(trials("redb", Alone, |_| Backend::redb()))
        .chain(trials("file", Lasting, |_| Backend::file()))
        .chain(trials("memory", Passing, |_| Backend::memory()))
        .chain(trials("signed", Lasting, |_| Backend { keys: Some(KEYS[0]), ..Backend::sqlite() }))
        .chain(trials("cookie", Cookie, |_| Backend::cookie()))
        .chain(trials("null", Nothing, |_| Backend::null()));
    libtest_mimic::run(&Arguments::from_args(), walk.collect()).exit_code()
}
