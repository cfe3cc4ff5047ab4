//! Trace of a run, printed when it is replayed.

use std::cell::{Cell, RefCell};

use session_core::Version;

// Shuttle runs all threads of a program on one system thread, so these values are shared by them.
thread_local! {
    static ON: Cell<bool> = const { Cell::new(false) };
    static VERSIONS: RefCell<Vec<Version>> = const { RefCell::new(Vec::new()) };
}

/// Prints steps from now on.
pub(crate) fn begin() {
    ON.set(true);
}

/// Prints a step of the current thread.
pub(crate) fn step(what: impl FnOnce() -> String) {
    if ON.get() {
        println!("thread {}: {}", usize::from(shuttle::thread::current().id()), what());
    }
}

/// Returns the short name of a version, which is the same in every replay.
pub(crate) fn version(version: Version) -> String {
    VERSIONS.with_borrow_mut(|versions| {
        let place = versions.iter().position(|known| *known == version).unwrap_or_else(|| {
            versions.push(version);
            versions.len() - 1
        });
        format!("v{place}")
    })
}
