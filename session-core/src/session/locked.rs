//! Lock of a session's state.

use std::ops::{Deref, DerefMut};

use super::removed::Removed;
use super::state::State;
use crate::sync::MutexGuard;

/// Locked state of a session. Removed operations are dropped after it is unlocked, because that runs code of the application.
pub(crate) struct Locked<'s> {
    state: MutexGuard<'s, Box<State>>,
    /// Fields are dropped in this order, so this comes after the lock.
    removed: Removed,
}

impl<'s> Locked<'s> {
    pub(super) fn new(state: MutexGuard<'s, Box<State>>) -> Self {
        Self { state, removed: Removed::default() }
    }
}

impl Deref for Locked<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.removed = std::mem::take(&mut self.state.removed);
    }
}
