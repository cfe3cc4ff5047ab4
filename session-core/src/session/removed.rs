//! Parts of a session's state that are dropped only after its lock is released.

use std::sync::Arc;

use super::log::Op;
use crate::commit::uncertain::UncertainWrite;

/// Operations and writes that were removed from a session's state.
///
/// They may hold closures of [`update`](crate::Session::update), and so the last handle of this session or of another one.
/// Dropping that handle under the session's lock would lock it again.
///
/// Boxed, because each release of the lock takes them out, and there are mostly none.
#[derive(Default)]
pub(super) struct Removed(Option<Box<Parts>>);

#[derive(Default)]
struct Parts {
    ops: Vec<Arc<Op>>,
    #[expect(clippy::vec_box, reason = "the state holds them in boxes, which move here as they are")]
    writes: Vec<Box<UncertainWrite>>,
}

impl Removed {
    pub(super) fn take_ops(&mut self, ops: Vec<Arc<Op>>) {
        match &mut self.0 {
            _ if ops.is_empty() => {}
            Some(parts) => parts.ops.extend(ops),
            none => *none = Some(Box::new(Parts { ops, writes: Vec::new() })),
        }
    }

    /// Takes a write. Only a joint write holds operations, so others are dropped at once.
    pub(super) fn take_write(&mut self, write: Option<Box<UncertainWrite>>) {
        if let Some(write) = write.filter(|write| matches!(**write, UncertainWrite::Joint { .. })) {
            self.0.get_or_insert_default().writes.push(write);
        }
    }
}
