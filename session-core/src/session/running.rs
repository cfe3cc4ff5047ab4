//! Which sessions' `update` closures run on this thread.
//!
//! A write from inside such a closure would be logged once more with every replay, so it is refused.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use super::{Session, Shared};
use crate::sync::thread_local;
use crate::{Error, ErrorKind, Result};

thread_local! {
    static RUNNING: RefCell<Vec<*const Shared>> = const { RefCell::new(Vec::new()) };
}

/// Takes its entry out again, on a panic too.
struct Entry;

impl Drop for Entry {
    fn drop(&mut self) {
        RUNNING.with(|running| running.borrow_mut().pop());
    }
}

fn mark<R>(session: *const Shared, run: impl FnOnce() -> R) -> R {
    RUNNING.with(|running| running.borrow_mut().push(session));
    let _entry = Entry;
    run()
}

pub(super) fn during<R>(session: &Session, run: impl FnOnce() -> R) -> R {
    mark(Arc::as_ptr(&session.shared), run)
}

/// The same from the session's own log, which must not keep the session alive.
pub(super) fn during_weak<R>(session: &Weak<Shared>, run: impl FnOnce() -> R) -> R {
    mark(session.as_ptr(), run)
}

pub(super) fn refuse(session: &Session) -> Result<()> {
    if RUNNING.with(|running| running.borrow().contains(&Arc::as_ptr(&session.shared))) {
        return Err(Error::fixed(ErrorKind::Other, "an update's closure writes to its own session"));
    }
    Ok(())
}
