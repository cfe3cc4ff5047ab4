//! Stores for the sessions of a test.

use session_core::{Call, Clock, Store, SystemClock};
use tempfile::TempDir;

use super::server::Server;

/// Store for the sessions of one test, and its keys.
pub(crate) struct Backend {
    /// URL for `--store`.
    pub(crate) url: String,
    /// Folder of the stored data, if there is one.
    pub(crate) folder: Option<TempDir>,
    /// Value of `SESSION_SECRET`.
    pub(crate) keys: Option<&'static str>,
}

/// Two keys for `SESSION_SECRET`.
pub(crate) const KEYS: [&str; 2] =
    ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "_w7dzLuqmYh3ZlVEMyIRAP_u3cy7qpmId2ZVRDMiEQA"];

impl Backend {
    pub(crate) fn memory() -> Self {
        Self { url: "memory://".into(), folder: None, keys: None }
    }

    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("sessions.db").display());
        Self { url, folder: Some(folder), keys: None }
    }

    pub(crate) fn redb() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("redb://{}", folder.path().join("sessions.redb").display());
        Self { url, folder: Some(folder), keys: None }
    }

    /// Keeps sessions in the cookies themselves.
    pub(crate) fn cookie() -> Self {
        Self { url: "cookie:".into(), folder: None, keys: Some(KEYS[0]) }
    }

    /// Keeps no sessions.
    pub(crate) fn null() -> Self {
        Self { url: "null:".into(), folder: None, keys: None }
    }

    pub(crate) fn file() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file://{}", folder.path().join("sessions").display());
        Self { url, folder: Some(folder), keys: None }
    }

    /// Keeps sessions in a namespace of a database server, which `url` names.
    pub(crate) fn database(url: String) -> Self {
        Self { url, folder: None, keys: None }
    }

    /// Returns the name that the program reports as its `store`.
    pub(crate) fn name(&self) -> String {
        session_store_any::scheme(&self.url).unwrap()
    }

    /// Returns how a session opens for a well-formed id that was never issued.
    pub(crate) fn says_of_a_made_up_id(&self) -> &'static str {
        if self.keys.is_some() { "undecodable" } else { "unknown" }
    }

    /// Whether another process can list the store's sessions while the program uses it.
    fn is_listed_for_others(&self) -> bool {
        !matches!(&*self.name(), "memory" | "cookie" | "null" | "redb" | "memcached")
    }

    /// Returns the number of stored sessions, if another process can list them.
    pub(crate) fn stored(&self) -> Option<usize> {
        if !self.is_listed_for_others() {
            return None;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Some(runtime.block_on(async {
            let store = session_store_any::connect(&self.url).await.unwrap();
            let call = Call::new(SystemClock.now());
            store.scan(&call, None, 1_000.try_into().unwrap()).await.unwrap().records.len()
        }))
    }

    /// Starts the program on this store, on a port that the system chooses.
    pub(crate) fn serve(&self) -> Server {
        Server::start_with(&["--listen", "127.0.0.1:0", "--store", &self.url], self.keys)
    }
}
