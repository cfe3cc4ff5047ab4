//! Threads that load sessions, without taking locks.

use std::sync::Arc;

use session_core::{Record, StoreKey, Timestamp};
use session_store_kit::batch::{Answers, Item, Worker};

use crate::folder::Folder;

/// A call that loads a session.
pub(crate) struct Load {
    pub(crate) key: StoreKey,
    pub(crate) now: Timestamp,
}

impl Item for Load {
    type Output = Option<Record>;

    fn key(&self) -> Option<StoreKey> {
        None
    }

    fn len(&self) -> usize {
        StoreKey::LEN
    }
}

/// A thread that loads sessions.
pub(crate) struct Reader(pub(crate) Arc<Folder>);

impl Worker for Reader {
    type Item = Load;

    fn run(&mut self, loads: &[Load]) -> Answers<Load> {
        Ok(loads.iter().map(|load| self.0.load(&load.key, load.now)).collect())
    }
}
