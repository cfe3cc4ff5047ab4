//! A random model of the core: small scenes over a real store, with faults, and promises that are checked after each.
//!
//! A scene has a session, one or two managers as two processes, two to five requests with clones of their sessions,
//! and a browser. The requests do random operations. Calls to the store fail before or after their effect, or take effect late.
//! Futures are dropped, the clock steps, and an operator revokes sessions. At the end of a scene every [`Promise`] is
//! checked.
//!
//! A seed determines a scene: its operations and its faults. Over [`Place::Memory`] on one thread it also determines the
//! interleaving. [`replay`] plays a scene again with a trace.
//!
//! ```
//! use std::sync::Arc;
//!
//! use session_conformance::model::{Place, Plan, run};
//! use session_store_memory::MemoryStore;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> session_core::Result<()> {
//! let place = Place::Memory(|| Arc::new(MemoryStore::new()));
//! let tally = run(&place, &Plan::rounds(7, 20)).await?;
//! assert_eq!(tally.scenes, 20);
//! # Ok(())
//! # }
//! ```

mod actor;
mod acts;
mod browser;
mod dice;
mod faults;
mod handle;
mod ledger;
mod play;
mod polls;
mod promise;
mod run;
mod scene;
mod stage;

pub use promise::Promise;
pub use run::{Broken, Place, Plan, Tally, replay, run, scene_seed};
