//! Sessions whose `update` closures run on this thread.
//!
//! A write from inside such a closure is refused, because every replay would log it again.

use std::cell::RefCell;

use crate::sync::thread_local;
use crate::{Error, ErrorKind, Result};

thread_local! {
    static RUNNING: RefCell<Vec<*const ()>> = const { RefCell::new(Vec::new()) };
}

/// Removes the last entry when it is dropped, also on a panic.
struct Entry;

impl Drop for Entry {
    fn drop(&mut self) {
        RUNNING.with(|running| running.borrow_mut().pop());
    }
}

/// Runs the closure of an update. The session is known by its address.
pub(super) fn during<R>(session: *const (), run: impl FnOnce() -> R) -> R {
    RUNNING.with(|running| running.borrow_mut().push(session));
    let _entry = Entry;
    run()
}

pub(super) fn refuse(session: *const ()) -> Result<()> {
    if RUNNING.with(|running| running.borrow().contains(&session)) {
        return Err(Error::fixed(
            ErrorKind::Other,
            "an `update` closure writes to its own session; write after `update` has returned",
        ));
    }
    Ok(())
}
