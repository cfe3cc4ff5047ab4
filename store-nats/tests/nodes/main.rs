//! Tests of three servers that replicate the bucket: what happens when one is killed, or the leader is stopped, while sessions are counted
//! up. Each prints what was confirmed.
//!
//! The tests share the servers, and run one after the other.

#[path = "../common/mod.rs"]
mod common;
mod failures;
mod leaders;
mod servers;

use std::time::Duration;

use servers::Servers;
use session_store_nats::NatsStore;
use tokio::sync::{Mutex, MutexGuard};

/// Time-out of the tests' stores.
const TIME_OUT: Duration = Duration::from_secs(2);

/// Returns the servers, and what keeps other tests from changing them meanwhile.
async fn servers() -> (Servers, MutexGuard<'static, ()>) {
    static ALONE: Mutex<()> = Mutex::const_new(());
    // First, so that the servers stay while a test waits for its turn.
    let servers = Servers::get().expect("servers");
    let alone = ALONE.lock().await;
    NatsStore::connect(servers.url()).await.expect("a store that makes the bucket");
    servers.whole().await;
    (servers, alone)
}

/// Opens a store on some of the servers.
async fn open(url: &str, namespace: &str) -> NatsStore {
    let builder = NatsStore::builder(url).expect("a URL").namespace(namespace).timeout(TIME_OUT);
    builder.open().await.expect("a store")
}
