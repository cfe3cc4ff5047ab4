//! Tests of stores on different nodes of a Galera cluster: what one node has confirmed the others return, and what happens when a node is
//! killed, cut off, stopped or shut down while sessions are counted up.
//!
//! The tests share three nodes, and run one after the other.

#[path = "../common/mod.rs"]
mod common;
mod failures;
mod reading;
mod refusing;

use std::time::Duration;

use common::Cluster;
use tokio::sync::{Mutex, MutexGuard};

/// Time-out of the tests' stores.
const TIME_OUT: Duration = Duration::from_secs(2);

/// Returns the nodes, and what keeps other tests from changing them meanwhile.
async fn nodes() -> (Cluster, MutexGuard<'static, ()>) {
    static ALONE: Mutex<()> = Mutex::const_new(());
    // First, so that the nodes stay while a test waits for its turn.
    let cluster = Cluster::get().expect("a cluster");
    let alone = ALONE.lock().await;
    cluster.whole().await;
    (cluster, alone)
}

/// Returns the options of a URL.
fn options(namespace: &str) -> String {
    format!("namespace={namespace}&timeout={}", TIME_OUT.as_millis())
}
