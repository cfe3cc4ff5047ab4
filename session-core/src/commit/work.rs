//! What one commit has to store.

use std::sync::Arc;

use crate::Version;
use crate::content::Content;
use crate::session::ops::Op;
use crate::session::state::{After, Anchor};

/// What one commit has to store, as it was when the commit began.
pub(super) struct Work {
    pub(super) ops: Vec<Arc<Op>>,
    pub(super) ops_end: u64,
    pub(super) epoch: u64,
    pub(super) base: Arc<Content>,
    /// `base` after `ops`.
    pub(super) content: Arc<Content>,
    pub(super) anchor: Option<Anchor>,
    pub(super) rotate: bool,
    /// [`State::new_ids_wanted`](crate::session::state::State::new_ids_wanted) when the commit began.
    pub(super) new_ids: u64,
}

impl Work {
    pub(super) fn after(&self, anchor: Anchor, content: Arc<Content>) -> After {
        After { anchor, content, ops_end: self.ops_end, epoch: self.epoch, new_ids: self.new_ids }
    }
}

/// What to write, and over which version.
pub(super) struct Target {
    pub(super) over: Version,
    pub(super) content: Arc<Content>,
}
