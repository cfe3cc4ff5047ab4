//! Locks, atomics and thread-locals of this crate.
//!
//! With `--cfg shuttle` they come from the crate `shuttle`, which chooses the order in which threads run.
//! With the feature `observe` they record each use, see [`observed`].
//! All synchronisation in this crate must use them, because `shuttle` and `observed` see no other.

mod async_mutex;
#[cfg(all(feature = "observe", not(shuttle)))]
pub mod observed;
mod shared_future;

#[cfg(all(feature = "observe", not(shuttle)))]
pub(crate) use observed::{Mutex, atomic};
#[cfg(shuttle)]
pub(crate) use shuttle::{
    sync::{Mutex, MutexGuard, atomic},
    thread_local,
};
#[cfg(all(not(feature = "observe"), not(shuttle)))]
pub(crate) use std::sync::{Mutex, atomic};
#[cfg(not(shuttle))]
pub(crate) use std::{sync::MutexGuard, thread_local};

pub(crate) use async_mutex::AsyncMutex;
pub(crate) use shared_future::SharedFuture;
