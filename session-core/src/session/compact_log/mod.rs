//! Log of a session, without the values that a later operation has replaced.
//!
//! Its replay has the same result as a replay of every operation, also if that is a conflict.

use std::collections::BTreeSet;
use std::mem::{discriminant, replace, take};
use std::ops::Deref;
use std::sync::Arc;

use crate::session::log::{Op, Seen};

/// Operations that are not stored yet, in order. Their indices count from the first operation of the session.
#[derive(Default)]
pub(crate) struct CompactLog {
    ops: Vec<Arc<Op>>,
    /// Index of the first of `ops`.
    start: u64,
    /// Operations before this index may be part of a write that was sent, so they stay as they are.
    frozen: u64,
}

impl CompactLog {
    /// Returns the index of the next operation.
    pub(crate) fn end(&self) -> u64 {
        self.start + self.ops.len() as u64
    }

    /// Adds an operation, or merges it into an earlier one.
    pub(super) fn push(&mut self, op: Arc<Op>) {
        if let Some(key) = op.value_key()
            && self.last_on(key).is_some_and(|before| merge(before, &op))
        {
            return;
        }
        match &*op {
            Op::Clear => self.release_all(),
            Op::TakeFlashes { key, ids } => {
                let ids = self.release_flashes(key, ids.clone());
                self.ops.push(Arc::new(Op::TakeFlashes { key: key.clone(), ids }));
                return;
            }
            Op::Label(_) | Op::Idle(_) | Op::Absolute(_) | Op::Persistent(_) | Op::Remember(_) => {
                self.pop_while(|last| discriminant(last) == discriminant(&*op));
            }
            _ => {}
        }
        self.ops.push(op);
    }

    /// Returns the operations for a write, and keeps them as they are. `settled` means that no earlier write is in flight or uncertain.
    pub(crate) fn freeze(&mut self, settled: bool) -> Vec<Arc<Op>> {
        if settled && self.frozen > self.start {
            // The earlier write failed, so its operations can be merged with those that were added since.
            self.frozen = self.start;
            take(&mut self.ops).into_iter().for_each(|op| self.push(op));
        }
        self.frozen = self.end();
        self.ops.clone()
    }

    /// Removes the operations before `index` and returns them. Drop them without a lock, because they may hold closures.
    #[must_use]
    pub(super) fn remove_before(&mut self, index: u64) -> Vec<Arc<Op>> {
        let count = index.saturating_sub(self.start).min(self.ops.len() as u64);
        let rest = self.ops.split_off(usize::try_from(count).unwrap_or(usize::MAX));
        self.start += count;
        replace(&mut self.ops, rest)
    }

    /// Removes the first `count` operations and returns them.
    #[must_use]
    pub(super) fn remove_first(&mut self, count: usize) -> Vec<Arc<Op>> {
        self.remove_before(self.start + count as u64)
    }

    /// Returns the operations that are not frozen.
    fn free(&mut self) -> &mut [Arc<Op>] {
        let frozen = self.frozen.saturating_sub(self.start).min(self.ops.len() as u64);
        &mut self.ops[usize::try_from(frozen).unwrap_or(usize::MAX)..]
    }

    /// Returns the last operation on a value, if no operation on all values has followed it.
    ///
    /// The search is short: operations on one value are merged, so there are about as many as the session has keys.
    fn last_on(&mut self, key: &str) -> Option<&mut Arc<Op>> {
        let on_one = |op: &&mut Arc<Op>| !matches!(***op, Op::Clear | Op::Login { .. });
        let mut back = self.free().iter_mut().rev().take_while(on_one);
        back.find(|op| op.value_key().is_some_and(|of| **of == *key))
    }

    /// Removes operations from the end, but none that is frozen.
    fn pop_while(&mut self, useless: impl Fn(&Op) -> bool) {
        while self.free().last().is_some_and(|op| useless(op)) {
            self.ops.pop();
        }
    }

    /// Drops the values and flashes that a `clear` is about to remove. Checks stay.
    fn release_all(&mut self) {
        let (mut later, mut before_login) = (BTreeSet::new(), false);
        // An earlier `clear` has done this for the operations before it.
        for op in self.free().iter_mut().rev().take_while(|op| !matches!(***op, Op::Clear)) {
            let value_key = op.value_key().cloned();
            match &**op {
                Op::Flash { key, .. } => *op = nothing(key),
                // An operation on the same value that follows may depend on what this one leaves.
                Op::Insert { key, seen, .. } if !before_login && !later.contains(key) => {
                    *op = Arc::new(Op::Remove { key: key.clone(), seen: seen.clone() });
                }
                Op::Login { .. } => before_login = true,
                _ => {}
            }
            later.extend(value_key);
        }
        self.pop_while(|last| matches!(last, Op::Clear | Op::TakeFlashes { .. } | Op::Remove { seen: None, .. }));
    }

    /// Drops the flashes that were added by this log, and returns the other ids.
    fn release_flashes(&mut self, key: &Arc<str>, mut ids: BTreeSet<u64>) -> BTreeSet<u64> {
        for op in self.free().iter_mut().rev() {
            if ids.is_empty() {
                break;
            }
            if let Op::Flash { key: of, flash } = &**op
                && of == key
                && ids.remove(&flash.id)
            {
                *op = nothing(key);
            }
        }
        self.pop_while(|last| matches!(last, Op::TakeFlashes { ids, .. } if ids.is_empty()));
        ids
    }
}

impl Deref for CompactLog {
    type Target = [Arc<Op>];

    fn deref(&self) -> &[Arc<Op>] {
        &self.ops
    }
}

/// Creates an operation that changes nothing, to replace a flash that was taken again. Unlike a missing operation it counts as a write.
fn nothing(key: &Arc<str>) -> Arc<Op> {
    Arc::new(Op::TakeFlashes { key: key.clone(), ids: BTreeSet::new() })
}

/// Merges `op` into `before`, the operation before it on the same value. `false` if both are needed.
fn merge(before: &mut Arc<Op>, op: &Op) -> bool {
    let (Some((check, left)), Some((next_check, _))) = (check_and_result(before), check_and_result(op)) else {
        return false;
    };
    // After `before` a check of its result always passes; any other one fails, and the replay has to say so.
    let passes = next_check.is_none_or(|seen| *seen == left);
    // A guarded log must stay guarded, because a login does not survive its session then.
    if !passes || op.is_guarded() && !before.is_guarded() {
        return false;
    }
    let seen = check.cloned();
    match op {
        Op::Insert { key, value, .. } => {
            *before = Arc::new(Op::Insert { key: key.clone(), value: value.clone(), seen });
        }
        Op::Remove { key, .. } => *before = Arc::new(Op::Remove { key: key.clone(), seen }),
        _ => {}
    }
    true
}

/// Returns the value that an operation requires under its key, and the value that it leaves there.
///
/// `None` if its result depends on the present value.
fn check_and_result(op: &Op) -> Option<(Option<&Seen>, Seen)> {
    match op {
        Op::Insert { value, seen, .. } => Some((seen.as_ref(), Some(value.clone()))),
        Op::Remove { seen, .. } => Some((seen.as_ref(), None)),
        Op::Require { seen, .. } => Some((Some(seen), seen.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
