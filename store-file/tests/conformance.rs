//! Runs the conformance suite on the store. `cargo test -p session-store-file --test conformance -- --list` lists the clauses.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use session_conformance::{Harness, Subject};
use session_core::{Error, ErrorKind, Handle, Principal, Result, Store, StoreKey, async_trait};
use session_store_file::FileStore;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

const TIME_OUT: Duration = Duration::from_secs(5);

/// Harness that keeps all namespaces in one folder, where they must be independent.
struct Files(TempDir);

impl Files {
    fn folder(&self) -> PathBuf {
        self.0.path().join("sessions")
    }
}

#[async_trait]
impl Harness for Files {
    async fn subject(&self) -> Result<Subject> {
        Ok(Subject::new("file", env!("CARGO_PKG_VERSION")).time_out(TIME_OUT))
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>> {
        let store = FileStore::builder(self.folder()).namespace(namespace).timeout(TIME_OUT);
        Ok(Arc::new(store.open().await?))
    }

    /// Leaves an entry as a process does that is killed between writing the entry and the record.
    async fn plant_orphan(&self, namespace: &str, principal: &Principal, key: &StoreKey) -> Result<bool> {
        let hash = Sha256::digest(principal.as_str().as_bytes());
        let owner: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let folder = self.folder().join(namespace).join("people").join(&owner[..2]);
        let entry = folder.join(format!("{owner}-{}", Handle::from(*key)));
        match fs::create_dir_all(folder).and_then(|()| File::create(entry)) {
            Ok(_) => Ok(true),
            Err(error) => Err(Error::fixed(ErrorKind::Other, "no entry could be planted").with_source(&error)),
        }
    }

    async fn clean(&self, namespace: &str) {
        let _ = fs::remove_dir_all(self.folder().join(namespace));
    }
}

fn main() -> ExitCode {
    session_conformance::run(Files(TempDir::new().expect("a temporary directory")))
}
