//! The shop's promises to scripts on every database that has a server.
//!
//! Servers are started as for the conformance suite; see `session_conformance::server`.

mod common;

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use common::backend::Backend;
use common::walk::{StoreKind, trials};
use libtest_mimic::Arguments;
use session_conformance::server::{ALL, Server, Start, blocking};

fn main() -> ExitCode {
    // Held here, so that all servers are removed at the end, whatever failed.
    let servers: Vec<Arc<OnceLock<Server>>> = ALL.iter().map(|_| Arc::default()).collect();
    let walk = ALL.iter().zip(&servers).flat_map(|(&(name, start), server)| {
        let server = Arc::clone(server);
        trials(name, StoreKind::Lasting, move |step| backend(&server, start, step))
    });
    let conclusion = libtest_mimic::run(&Arguments::from_args(), walk.collect());
    drop(servers);
    conclusion.exit_code()
}

/// Returns a namespace for this step on the server. The first step starts the server.
fn backend(server: &OnceLock<Server>, start: Start, step: &str) -> Backend {
    let server = server.get_or_init(|| blocking(start).unwrap_or_else(|error| panic!("{error}")));
    Backend::database(server.url_with(&format!("namespace={}", namespace(step))))
}

/// Returns a namespace for one run of one step.
fn namespace(step: &str) -> String {
    let step: String = step.split('_').filter_map(|word| word.chars().next()).collect();
    format!("walk_{step}_{:08x}", rand::random::<u32>())
}
