//! Programs that the explorer runs, and how their panics are caught.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use super::world::{Faults, World};

/// Final check of a run, called when all tasks have ended.
pub type Check = Box<dyn FnOnce(&World)>;

/// A few tasks, and the conditions that must hold however they interleave.
pub struct Program {
    /// Name of the program.
    pub name: &'static str,
    /// Description of the program in one sentence.
    pub about: &'static str,
    /// Faults that the explorer may inject into a run.
    pub faults: Faults,
    /// Sets up a run: the processes, the first session and the tasks. Returns the final check.
    pub start: fn(&World) -> Check,
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` and catches a panic without printing it.
///
/// ```
/// use session_conformance::explore::quietly;
///
/// assert_eq!(quietly(|| 7).unwrap(), 7);
/// assert!(quietly(|| panic!("not printed")).is_err());
/// ```
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
