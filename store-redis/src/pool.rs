//! What bounds all calls of a store, and which server a command goes to.

use std::time::Duration;

use redis::{Cmd, Value};
use session_core::Result;
use tokio::sync::Semaphore;
use tokio::time;

#[cfg(feature = "cluster")]
use crate::cluster::Cluster;
use crate::error::{GIVEN_UP, TIMED_OUT};
use crate::link::{Failure, Server};

/// Where the keys are.
pub(crate) enum Servers {
    One(Server),
    /// Each key on the node that serves its slot.
    #[cfg(feature = "cluster")]
    Many(std::sync::Arc<Cluster>),
}

pub(crate) struct Pool {
    servers: Servers,
    /// One permit for each call that may be under way.
    room: Semaphore,
    timeout: Duration,
}

impl Pool {
    pub(crate) fn new(servers: Servers, calls: usize, timeout: Duration) -> Self {
        Self { servers, room: Semaphore::new(calls.min(Semaphore::MAX_PERMITS)), timeout }
    }

    pub(crate) const fn servers(&self) -> &Servers {
        &self.servers
    }

    /// Runs a call within the time-out, the wait for its turn included.
    pub(crate) async fn call<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let bounded = async {
            let _room = self.room.acquire().await.map_err(|_| GIVEN_UP)?;
            work.await
        };
        time::timeout(self.timeout, bounded).await.unwrap_or(Err(TIMED_OUT))
    }

    /// Sends a command about `key` to where that key is.
    pub(crate) async fn send(&self, key: &[u8], command: &Cmd) -> Result<Value, Failure> {
        match &self.servers {
            Servers::One(server) => {
                let _ = key;
                server.send(command).await
            }
            #[cfg(feature = "cluster")]
            Servers::Many(cluster) => cluster.send(key, command).await,
        }
    }
}
