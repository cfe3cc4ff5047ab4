//! One server: its connections, and what it was found to be.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use session_core::{Result, seconds};
use tokio::time;

use crate::address::Address;
use crate::connection::{Connection, Login};
use crate::error;
use crate::preflight;
use crate::schema::Names;

/// Time after which an idle connection is closed, because routers and load balancers forget connections that are idle for minutes.
const IDLE: Duration = seconds(60);

/// A server, and the connections of one runtime to it.
pub(crate) struct Server {
    pub(crate) at: Arc<Target>,
    /// Connections that no call uses, the latest last.
    idle: Mutex<Vec<(Connection, Instant)>>,
}

/// What all runtimes share of a server.
pub(crate) struct Target {
    pub(crate) address: Address,
    pub(crate) login: Option<Login>,
    pub(crate) names: Names,
    pub(crate) timeout: Duration,
    /// Maximum length of a record's data; 0 until the server has been checked.
    max_data_len: AtomicUsize,
}

impl Target {
    pub(crate) fn new(address: Address, login: Option<Login>, names: Names, timeout: Duration) -> Self {
        Self { address, login, names, timeout, max_data_len: AtomicUsize::new(0) }
    }

    /// Returns the maximum length of a record's data, if the server has been checked.
    pub(crate) fn max_data_len(&self) -> Option<usize> {
        Some(self.max_data_len.load(Relaxed)).filter(|length| *length > 0)
    }

    /// Connects, and checks the server if that has not been done.
    ///
    /// A server that was down when the store was opened is checked before its first call.
    pub(crate) async fn connect(&self) -> Result<Connection> {
        let mut connection = Connection::open(&self.address, self.login.as_ref()).await?;
        if self.max_data_len().is_none() {
            let length = preflight::check(&mut connection, &self.names).await?;
            self.max_data_len.store(length, Relaxed);
        }
        Ok(connection)
    }
}

impl Server {
    pub(crate) fn new(at: Arc<Target>) -> Self {
        Self { at, idle: Mutex::default() }
    }

    /// Returns an idle connection, or else a new one.
    pub(crate) async fn connection(&self) -> Result<Connection> {
        let idle = {
            let mut idle = self.idle();
            idle.retain(|(_, since)| since.elapsed() < IDLE);
            idle.pop()
        };
        match idle {
            Some((connection, _)) => Ok(connection),
            None => self.at.connect().await.map_err(error::in_use),
        }
    }

    /// Takes back a connection on which each command had its reply.
    pub(crate) fn give_back(&self, connection: Connection) {
        self.idle().push((connection, Instant::now()));
    }

    /// Closes the idle connections, after one has failed: the others were made to the same process, over the same network.
    pub(crate) fn close_idle(&self) {
        let idle = std::mem::take(&mut *self.idle());
        drop(idle);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Connection, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connects to a server within its time-out.
pub(crate) async fn connect_in_time(at: &Target) -> Result<Connection> {
    time::timeout(at.timeout, at.connect()).await.unwrap_or(Err(session_store_kit::TIMED_OUT))
}
