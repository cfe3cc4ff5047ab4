//! The bare drivers, which do the least that keeps the promise: one statement to load a live session, one to replace the
//! version that was loaded. They use as many connections as this project's store.

pub(crate) mod dynamo;
pub(crate) mod memcached;
pub(crate) mod mongo;
pub(crate) mod mysql;
pub(crate) mod nats;
pub(crate) mod postgres;
pub(crate) mod redb;
pub(crate) mod redis;
pub(crate) mod sqlite;

use session_core::{Clock, SystemClock};

const CONNECTIONS: u32 = 8;

/// Milliseconds since 1970.
fn now() -> i64 {
    SystemClock.now().as_millis()
}
