//! A server that several tests of one program share.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use session_core::{Error, ErrorKind, Result};

use super::instance::{Server, Start};

/// A server that tests of one program share. It is started by the first test and removed when the last one drops it.
///
/// A static value is never dropped, so a server in it would never be removed. This type can be static, because it holds
/// only a weak reference.
///
/// ```no_run
/// use session_conformance::server::{self, Shared};
///
/// static SERVER: Shared = Shared::new(|| Box::pin(server::postgres()));
///
/// #[test]
/// fn a_store_opens() {
///     let server = SERVER.get().expect("a PostgreSQL server");
///     println!("open the store on {}", server.url());
/// }
/// ```
pub struct Shared {
    start: Start,
    held: Mutex<Weak<Server>>,
}

impl Shared {
    /// Creates a value without a server.
    pub const fn new(start: Start) -> Self {
        Self { start, held: Mutex::new(Weak::new()) }
    }

    /// Returns the server, and starts it if no test has it. Concurrent callers wait for the same server.
    ///
    /// Blocks the thread, like [`blocking`].
    ///
    /// # Errors
    /// The error of the start. The next call tries again.
    pub fn get(&self) -> Result<Arc<Server>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = held.upgrade() {
            return Ok(server);
        }
        let server = Arc::new(blocking(self.start)?);
        *held = Arc::downgrade(&server);
        Ok(server)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// Starts a server from synchronous code. Blocks the thread until the server answers, inside or outside a runtime.
///
/// ```no_run
/// # fn main() -> session_core::Result<()> {
/// use session_conformance::server;
///
/// let server = server::blocking(|| Box::pin(server::redis()))?;
/// println!("open the store on {}", server.url());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The error of the start, or of creating the thread or its runtime.
pub fn blocking(start: Start) -> Result<Server> {
    let failed = |error: &std::io::Error| Error::fixed(ErrorKind::Other, "starting a server").with_source(error);
    // A new thread, because the caller may be on a runtime already.
    let starting = thread::Builder::new().name("server start".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| failed(&error))?.block_on(start())
    });
    starting.map_err(|error| failed(&error))?.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
