//! Locks, atomics and thread-locals of this crate.
//!
//! Built with `--cfg shuttle` they are those of the crate `shuttle`, which chooses the order in which threads run.
//! Nothing else in this crate may synchronise threads, because `shuttle` would not see it.

mod async_mutex;

#[cfg(shuttle)]
pub(crate) use shuttle::{
    sync::{Mutex, MutexGuard, atomic},
    thread_local,
};
#[cfg(not(shuttle))]
pub(crate) use std::{
    sync::{Mutex, MutexGuard, atomic},
    thread_local,
};

pub(crate) use async_mutex::{AsyncMutex, OwnedGuard};
