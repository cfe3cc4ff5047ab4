//! Where the sessions of a test are kept.

use session_core::{Call, Clock, Store, SystemClock};
use tempfile::TempDir;

use super::server::Server;

/// Where the sessions of one test are kept.
pub(crate) struct Place {
    /// What to call it in `--store`.
    pub(crate) url: String,
    /// The folder with what is stored, if there is one.
    pub(crate) folder: Option<TempDir>,
}

impl Place {
    pub(crate) fn memory() -> Self {
        Self { url: "memory://".into(), folder: None }
    }

    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("sessions.db").display());
        Self { url, folder: Some(folder) }
    }

    pub(crate) fn file() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file://{}", folder.path().join("sessions").display());
        Self { url, folder: Some(folder) }
    }

    /// A namespace of a database server, both named by `url`.
    pub(crate) fn database(url: String) -> Self {
        Self { url, folder: None }
    }

    /// What the program answers as its `store`.
    pub(crate) fn name(&self) -> String {
        store_any::scheme(&self.url).unwrap()
    }

    /// Whether what is stored outlives the program, so that somebody else can look at it, too.
    pub(crate) fn is_durable(&self) -> bool {
        self.name() != "memory"
    }

    /// How many sessions are stored, where somebody from outside can look.
    pub(crate) fn stored(&self) -> Option<usize> {
        if !self.is_durable() {
            return None;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Some(runtime.block_on(async {
            let store = store_any::connect(&self.url).await.unwrap();
            let call = Call::new(SystemClock.now());
            store.scan(&call, None, 1_000.try_into().unwrap()).await.unwrap().records.len()
        }))
    }

    /// Starts the program on this store, on a port of the system's choice.
    pub(crate) fn serve(&self) -> Server {
        Server::start(&["--listen", "127.0.0.1:0", "--store", &self.url])
    }
}
