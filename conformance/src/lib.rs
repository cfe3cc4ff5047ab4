#![doc = include_str!("../README.md")]

mod by_ipv6;
mod check;
mod clause;
mod clauses;
mod context;
mod failure;
mod harness;
mod report;
mod runner;
mod store_call;

#[cfg(feature = "bench")]
pub mod bench;
pub mod counting;
#[cfg(feature = "explore")]
pub mod explore;
pub mod fixtures;
pub mod gate;
pub mod history;
pub mod locked;
pub mod log;
pub mod model;
pub mod peers;
pub mod proxy;
#[cfg(feature = "containers")]
pub mod server;
pub mod stored_data;
pub mod testing;
pub mod variant;

pub use by_ipv6::ByIpv6;
pub use clause::{Clause, Need};
pub use clauses::clauses;
pub use context::Context;
pub use failure::{Failure, Verdict};
pub use harness::{Harness, Subject};
pub use report::{Finding, Report, Result as ClauseResult};
pub use runner::{Suite, run, run_variants};
