//! Limits on the calls of a store, and the choice of the node for a command.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, ErrorKind as Driver, ServerErrorKind, Value};
use session_core::Result;
use session_store_kit::TIMED_OUT;
use session_store_kit::batch::{Entrance, Pass, PerRuntime};
use tokio::sync::Semaphore;
use tokio::time::{self, Instant};

#[cfg(feature = "cluster")]
use crate::cluster::Cluster;
use crate::error::STOPPED;
use crate::failure::Failure;
use crate::node::Node;
use crate::scripts::Script;

/// A single server, or a cluster.
pub(crate) enum Topology {
    Single(Node),
    /// Each key is on the node that serves its slot.
    #[cfg(feature = "cluster")]
    Cluster(Arc<Cluster>),
}

/// Sends commands to the right node, and limits the number of calls in flight.
pub(crate) struct Router {
    /// Connections and permits, separately for each runtime because a connection belongs to the runtime that opened it.
    local: PerRuntime<Local>,
    inside: Arc<Entrance>,
    timeout: Duration,
}

/// Part of the router that belongs to one runtime. Each call keeps it, and so it keeps the router from being closed.
pub(crate) struct Local {
    pub(crate) topology: Topology,
    /// One permit for each call in flight.
    permits: Semaphore,
    _pass: Pass,
}

impl Router {
    /// Creates a router. `topology` creates the nodes of a runtime, and each runtime may have `calls` calls in flight.
    pub(crate) fn new(
        topology: impl Fn() -> Result<Topology> + Send + Sync + 'static,
        calls: usize,
        timeout: Duration,
    ) -> Self {
        let inside = Arc::new(Entrance::default());
        let entrance = Arc::clone(&inside);
        let local = PerRuntime::new(move || {
            let permits = Semaphore::new(calls.min(Semaphore::MAX_PERMITS));
            Ok(Local { topology: topology()?, permits, _pass: entrance.enter()? })
        });
        Self { local, inside, timeout }
    }

    /// Lets no further call in, waits for those in flight, for a time-out at most, and gives up the connections.
    pub(crate) async fn close(&self) {
        drop(self.local.close());
        self.inside.close_by(Instant::now() + self.timeout).await;
    }

    /// Returns the part of the current runtime.
    pub(crate) fn local(&self) -> Result<Arc<Local>> {
        self.local.get()
    }

    /// Waits for a permit and runs a call, both within the time-out.
    ///
    /// The call is pinned by the caller. Passed by value, its future of several kilobytes would be copied at every step.
    pub(crate) async fn call<T>(&self, work: Pin<&mut impl Future<Output = Result<T>>>) -> Result<T> {
        self.in_time(pin!(async {
            let local = self.local()?;
            let _permit = local.permits.acquire().await.map_err(|_| STOPPED)?;
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
        let first = keys.first().map(AsRef::as_ref).unwrap_or_default();
        let command = |eval: &str, script: &str| {
            let mut command = Cmd::new();
            command.arg(eval).arg(script).arg(keys.len());
            for key in keys {
                command.arg(key.as_ref());
            }
            arguments(&mut command);
            command
        };
        match self.send(first, &command("EVALSHA", &script.hash)).await {
            Err(Failure::Server(error)) if error.kind() == Driver::Server(ServerErrorKind::NoScript) => {
                Ok(self.send(first, &command("EVAL", &script.text)).await?)
            }
            answer => Ok(answer?),
        }
    }

    /// Sends a command about `key` to the node that holds the key.
    pub(crate) async fn send(&self, key: &[u8], command: &Cmd) -> Result<Value, Failure> {
        match &self.local().map_err(Failure::NotSent)?.topology {
            Topology::Single(node) => {
                let _ = key;
                node.send(command).await
            }
            #[cfg(feature = "cluster")]
            // Boxed, so that it does not enlarge the futures of stores on a single server.
            Topology::Cluster(cluster) => Box::pin(cluster.send(key, command)).await,
        }
    }
}
