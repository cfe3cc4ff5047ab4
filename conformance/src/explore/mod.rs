//! An explorer that runs every interleaving of small programs over sessions.
//!
//! A [`Program`] starts a few tasks over managers and handles that share a model store. Each call of the store waits
//! until the explorer carries it out, and again until the task is polled. So the order of all steps is a choice.
//! [`explore`] repeats the program until every order has been run, with at most one lost answer and one dropped future
//! in a run. The program's tasks and its final check report broken promises.
//!
//! ```
//! use session_conformance::explore::{Bounds, Coverage, Faults, Program, explore};
//!
//! let program = Program {
//!     name: "two increments",
//!     about: "two requests count at once",
//!     faults: Faults::NONE,
//!     start: |world| {
//!         let manager = world.process(|builder| builder);
//!         let session = world.at_once(manager.open(None)).unwrap();
//!         session.insert("n", &0).unwrap();
//!         world.at_once(session.save()).unwrap();
//!         let key = *session.handle().unwrap().key();
//!         for name in ["one", "other"] {
//!             let session = session.clone();
//!             world.task(name, &manager, async move |task| {
//!                 session.update("n", |n: &mut u32| *n += 1).unwrap();
//!                 task.step().await;
//!                 let _ = session.save().await;
//!             });
//!         }
//!         Box::new(move |world| {
//!             let (_, record) = world.session_at(key).expect("nothing ended it");
//!             if !String::from_utf8_lossy(&record.data).contains("\"n\":2") {
//!                 world.violated("updates.kept", "two increments do not make two");
//!             }
//!         })
//!     },
//! };
//! let report = explore(&program, Bounds { runs: 100_000, until_violated: false });
//! assert_eq!(report.coverage, Coverage::Exhausted);
//! assert!(report.violations.is_empty());
//! ```
//!
//! # How the number of runs stays small
//!
//! A run ends when it reaches a state that an earlier run has reached with as many faults left.
//! A state consists of the stored records, the calls in flight, and the earlier polls of each task and each lock of
//! the core with their answers. Random ids and versions are named by the poll that drew them, so that equal states
//! have equal hashes.

mod executor;
mod names;
mod program;
mod request;
mod run_hash;
mod search;
mod store;
mod world;

pub use program::{Check, Program, quietly};
pub use request::{CommitResult, Commits, Request};
pub use search::{Bounds, Coverage, Report, Violation, explore, replay};
pub use world::{Faults, TaskContext, World};
