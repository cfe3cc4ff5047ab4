//! A server for several tests of one program.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use session_core::{Error, ErrorKind, Result};

use super::{Server, Start};

/// A server that tests of one program share: there while one of them has it, removed when the last lets it go.
///
/// A static value is never dropped, and so a server in one would stay. This is a static value that holds none.
///
/// ```no_run
/// use conformance::server::{self, Shared};
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
    /// None yet.
    pub const fn new(start: Start) -> Self {
        Self { start, held: Mutex::new(Weak::new()) }
    }

    /// The server, started if nobody has it. Others who ask meanwhile wait for the same one. Blocks the thread, see [`blocking`].
    ///
    /// # Errors
    /// What the start answers; the next one to ask tries again.
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

/// A server of one's own for whoever cannot wait in a future: it blocks the thread, on a runtime or on none, until the server answers.
///
/// ```no_run
/// # fn main() -> session_core::Result<()> {
/// use conformance::server;
///
/// let server = server::blocking(|| Box::pin(server::redis()))?;
/// println!("open the store on {}", server.url());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// What the start answers, and if there can be no thread or no runtime for it.
pub fn blocking(start: Start) -> Result<Server> {
    let failed = |error: &std::io::Error| Error::fixed(ErrorKind::Other, "starting a server").with_source(error);
    // A thread of its own, for the caller may be on a runtime already.
    let starting = thread::Builder::new().name("server start".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| failed(&error))?.block_on(start())
    });
    starting.map_err(|error| failed(&error))?.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
