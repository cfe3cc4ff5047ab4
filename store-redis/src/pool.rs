//! Limits on the calls of a store, and the choice of the server for a command.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, ErrorKind as Driver, ServerErrorKind, Value};
use session_core::Result;
use session_store_kit::batch::PerRuntime;
use tokio::sync::Semaphore;
use tokio::time;

#[cfg(feature = "cluster")]
use crate::cluster::Cluster;
use crate::error::{GIVEN_UP, TIMED_OUT};
use crate::link::{Failure, Server};
use crate::schema::Script;

/// Servers of a store.
pub(crate) enum Servers {
    One(Server),
    /// Nodes of a cluster. Each key is on the node that serves its slot.
    #[cfg(feature = "cluster")]
    Many(Arc<Cluster>),
}

pub(crate) struct Pool {
    /// Connections and permits, separately for each runtime because a connection belongs to the runtime that opened it.
    own: PerRuntime<Own>,
    timeout: Duration,
}

/// One runtime's part of the pool.
pub(crate) struct Own {
    pub(crate) servers: Servers,
    /// One permit for each call in flight.
    room: Semaphore,
}

impl Pool {
    /// Creates a pool. `servers` creates the servers of a runtime, and each runtime may have `calls` calls in flight.
    pub(crate) fn new(
        servers: impl Fn() -> Result<Servers> + Send + Sync + 'static,
        calls: usize,
        timeout: Duration,
    ) -> Self {
        let room = move || Semaphore::new(calls.min(Semaphore::MAX_PERMITS));
        Self { own: PerRuntime::new(move || Ok(Own { servers: servers()?, room: room() })), timeout }
    }

    /// Returns the part of the current runtime.
    pub(crate) fn own(&self) -> Result<Arc<Own>> {
        self.own.get()
    }

    /// Waits for a permit and runs a call, both within the time-out.
    ///
    /// The call is pinned by the caller. Passed by value, its future of several kilobytes would be copied at every step.
    pub(crate) async fn call<T>(&self, work: Pin<&mut impl Future<Output = Result<T>>>) -> Result<T> {
        self.in_time(pin!(async {
            let own = self.own()?;
            let _room = own.room.acquire().await.map_err(|_| GIVEN_UP)?;
            work.await
        }))
        .await
    }

    /// Runs `work` within the time-out, without a permit. Used for batches, which have a queue of their own.
    pub(crate) async fn in_time<T>(&self, work: Pin<&mut impl Future<Output = Result<T>>>) -> Result<T> {
        time::timeout(self.timeout, work).await.unwrap_or(Err(TIMED_OUT))
    }

    pub(crate) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Runs a script by its hash, or by its text if the server does not know the hash, after a restart or a `SCRIPT FLUSH`.
    pub(crate) async fn run<K: AsRef<[u8]>>(
        &self,
        script: &Script,
        keys: &[K],
        arguments: impl Fn(&mut Cmd),
    ) -> Result<Value> {
        let any = keys.first().map(AsRef::as_ref).unwrap_or_default();
        let command = |eval: &str, what: &str| {
            let mut command = Cmd::new();
            command.arg(eval).arg(what).arg(keys.len());
            for key in keys {
                command.arg(key.as_ref());
            }
            arguments(&mut command);
            command
        };
        match self.send(any, &command("EVALSHA", &script.hash)).await {
            Err(Failure::Server(error)) if error.kind() == Driver::Server(ServerErrorKind::NoScript) => {
                Ok(self.send(any, &command("EVAL", &script.text)).await?)
            }
            answer => Ok(answer?),
        }
    }

    /// Sends a command about `key` to the server that holds the key.
    pub(crate) async fn send(&self, key: &[u8], command: &Cmd) -> Result<Value, Failure> {
        match &self.own().map_err(Failure::Link)?.servers {
            Servers::One(server) => {
                let _ = key;
                server.send(command).await
            }
            #[cfg(feature = "cluster")]
            // Boxed, so that it does not enlarge the futures of stores on a single server.
            Servers::Many(cluster) => Box::pin(cluster.send(key, command)).await,
        }
    }
}
