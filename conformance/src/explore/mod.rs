//! Every interleaving of small programs over sessions.
//!
//! A [`Program`] starts a few tasks over managers and handles that share a model store. Each call of the store waits until the
//! explorer lets it happen, and so does its answer; so the order of all steps is a choice. [`explore`] runs the program again and
//! again until every order has been walked, with at most one lost answer and one dropped future anywhere in a run.
//! The program's final check, and what its tasks see on their way, say which promises were broken.
//!
//! ```
//! use conformance::explore::{Bounds, Coverage, Faults, Program, explore};
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
//! How it keeps the number of runs small: a run ends when it comes to a state that another one has been in, with as many faults left.
//! A state is what is stored, what is under way, and of each task and each lock of the core the polls that came before it, with what they were
//! answered. Random ids and versions are named by the poll that drew them, so that equal states have equal hashes.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

mod action;
mod executor;
mod names;
mod past;
mod request;
mod search;
mod store;
mod world;

pub use request::{Answer, Commits, Request};
pub use search::{Bounds, Coverage, Report, Violation, explore, replay};
pub use world::{Faults, TaskContext, World};

/// What is checked when all tasks of a run have ended.
pub type Check = Box<dyn FnOnce(&World)>;

/// A few tasks and what must hold however they interleave.
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// What may go wrong in a run.
    pub faults: Faults,
    /// Sets up a run: the processes, the first session, the tasks. Answers the final check.
    pub start: fn(&World) -> Check,
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`, catching a panic and printing nothing of it.
pub fn quietly<T>(work: impl FnOnce() -> T) -> std::thread::Result<T> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                before(panic);
            }
        }));
    });
    let outer = QUIET.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    QUIET.set(outer);
    done
}
