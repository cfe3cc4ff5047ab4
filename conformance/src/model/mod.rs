//! A random model of the core: small scenes over a real store, with faults, and what must hold after each.
//!
//! A scene is a session, one or two managers as two processes, two to five requests with their clones, and a browser.
//! The requests do random operations; calls to the store fail before or after their effect, or take effect late; futures
//! are dropped; the clock steps; an operator revokes. At the end of a scene every [`Promise`] is checked.
//!
//! A seed determines a scene: its operations, its faults and, over [`Place::Memory`] on one thread, its interleaving.
//! [`replay`] plays it again with a trace.
//!
//! ```
//! use std::sync::Arc;
//!
//! use conformance::model::{Place, Plan, run};
//! use store_memory::MemoryStore;
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
