//! What bounds all calls of a store, and which server a command goes to.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, ErrorKind as Driver, ServerErrorKind, Value};
use session_core::Result;
use store_batch::PerRuntime;
use tokio::sync::Semaphore;
use tokio::time;

#[cfg(feature = "cluster")]
use crate::cluster::Cluster;
use crate::error::{GIVEN_UP, TIMED_OUT};
use crate::link::{Failure, Server};
use crate::schema::Script;

/// Where the keys are.
pub(crate) enum Servers {
    One(Server),
    /// Each key on the node that serves its slot.
    #[cfg(feature = "cluster")]
    Many(Arc<Cluster>),
}

pub(crate) struct Pool {
    /// Connections belong to the runtime that made them, and so do places among the calls under way.
    own: PerRuntime<Own>,
    timeout: Duration,
}

/// One runtime's part of the pool.
pub(crate) struct Own {
    pub(crate) servers: Servers,
    /// One permit for each call that may be under way.
    room: Semaphore,
}

impl Pool {
    /// `servers` makes what a runtime connects by. Each runtime may have as many as `calls` under way.
    pub(crate) fn new(
        servers: impl Fn() -> Result<Servers> + Send + Sync + 'static,
        calls: usize,
        timeout: Duration,
    ) -> Self {
        let room = move || Semaphore::new(calls.min(Semaphore::MAX_PERMITS));
        Self { own: PerRuntime::new(move || Ok(Own { servers: servers()?, room: room() })), timeout }
    }

    /// The part of the runtime that calls.
    pub(crate) fn own(&self) -> Result<Arc<Own>> {
        self.own.get()
    }

    /// Runs a call within the time-out, the wait for its turn included.
    ///
    /// The call is pinned where it is: handed down by value it would be copied at every step, kilobytes for each request.
    pub(crate) async fn call<T>(&self, work: Pin<&mut impl Future<Output = Result<T>>>) -> Result<T> {
        self.in_time(pin!(async {
            let own = self.own()?;
            let _room = own.room.acquire().await.map_err(|_| GIVEN_UP)?;
            work.await
        }))
        .await
    }

    /// Runs what carries several calls, each of which has its own place already.
    pub(crate) async fn in_time<T>(&self, work: Pin<&mut impl Future<Output = Result<T>>>) -> Result<T> {
        time::timeout(self.timeout, work).await.unwrap_or(Err(TIMED_OUT))
    }

    pub(crate) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Runs a script by its hash, and by its text where the server does not know it: after a restart or a `SCRIPT FLUSH`.
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

    /// Sends a command about `key` to where that key is.
    pub(crate) async fn send(&self, key: &[u8], command: &Cmd) -> Result<Value, Failure> {
        match &self.own().map_err(Failure::Link)?.servers {
            Servers::One(server) => {
                let _ = key;
                server.send(command).await
            }
            #[cfg(feature = "cluster")]
            // Boxed, so that it does not make everybody's future larger.
            Servers::Many(cluster) => Box::pin(cluster.send(key, command)).await,
        }
    }
}
