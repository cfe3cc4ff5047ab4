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
    /// What is in `SESSION_SECRET`.
    pub(crate) keys: Option<&'static str>,
}

/// Two keys, for as many as a test needs.
pub(crate) const KEYS: [&str; 2] =
    ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "_w7dzLuqmYh3ZlVEMyIRAP_u3cy7qpmId2ZVRDMiEQA"];

impl Place {
    pub(crate) fn memory() -> Self {
        Self { url: "memory://".into(), folder: None, keys: None }
    }

    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("sessions.db").display());
        Self { url, folder: Some(folder), keys: None }
    }

    /// In the cookies themselves.
    pub(crate) fn cookie() -> Self {
        Self { url: "cookie:".into(), folder: None, keys: Some(KEYS[0]) }
    }

    /// Nowhere.
    pub(crate) fn null() -> Self {
        Self { url: "null:".into(), folder: None, keys: None }
    }

    pub(crate) fn file() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file://{}", folder.path().join("sessions").display());
        Self { url, folder: Some(folder), keys: None }
    }

    /// A namespace of a database server, both named by `url`.
    pub(crate) fn database(url: String) -> Self {
        Self { url, folder: None, keys: None }
    }

    /// What the program answers as its `store`.
    pub(crate) fn name(&self) -> String {
        store_any::scheme(&self.url).unwrap()
    }

    /// How a session opens whose id nobody has given out.
    pub(crate) fn says_of_a_made_up_id(&self) -> &'static str {
        if self.keys.is_some() { "undecodable" } else { "unknown" }
    }

    /// Whether what is stored is where somebody else can look at it, too.
    fn is_open_to_others(&self) -> bool {
        !matches!(&*self.name(), "memory" | "cookie" | "null")
    }

    /// How many sessions are stored, where somebody from outside can look.
    pub(crate) fn stored(&self) -> Option<usize> {
        if !self.is_open_to_others() {
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
        Server::start_with(&["--listen", "127.0.0.1:0", "--store", &self.url], self.keys)
    }
}
