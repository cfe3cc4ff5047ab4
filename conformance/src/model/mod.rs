//! A random model of the core: small scenes over a real store, with faults, and promises that are checked after each.
//!
//! A scene has a session, one or two managers as two processes, two to five requests with clones of their sessions,
//! and a browser. The requests do random operations. Calls to the store fail before or after their effect, or take effect late.
//! Futures are dropped, the clock steps, and an operator revokes sessions. At the end of a scene every [`Promise`] is
//! checked.
//!
//! A seed determines a scene: its operations and its faults. Over [`Target::Memory`] on one thread it also determines the
//! interleaving. [`replay`] plays a scene again with a trace.
//!
//! ```
//! use std::sync::Arc;
//!
//! use session_conformance::model::{Plan, Target, run};
//! use session_store_memory::MemoryStore;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> session_core::Result<()> {
//! let target = Target::Memory(|| Arc::new(MemoryStore::new()));
//! let tally = run(&target, &Plan::rounds(7, 20)).await?;
//! assert_eq!(tally.scenes, 20);
//! # Ok(())
//! # }
//! ```

mod actions;
mod actor;
mod browser;
mod execution;
mod faulty_store;
mod handle;
mod ledger;
mod monitor;
mod poll_limit;
mod promise;
mod rng;
mod run;
mod scene;

pub use promise::Promise;
pub use run::{Broken, Plan, Tally, Target, replay, run, scene_seed};
