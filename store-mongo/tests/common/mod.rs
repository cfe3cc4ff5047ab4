//! What the tests of this store share.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use conformance::server;
use store_mongo::mongodb::bson::{Document, doc};
use store_mongo::mongodb::{Client, Collection, Database};

/// The server under test: one for all tests that run at the time, removed when the last of them lets it go.
pub(crate) struct Server(server::Server);

impl Server {
    pub(crate) fn get() -> Arc<Self> {
        static SERVER: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut shared = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            // A thread of its own, for the caller may be on a runtime already.
            let starting = thread::spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(server::mongo())
            });
            let started = Arc::new(Self(starting.join().expect("no panic").expect("a MongoDB server")));
            *shared = Arc::downgrade(&started);
            started
        })
    }

    pub(crate) fn url(&self) -> &str {
        self.0.url()
    }

    pub(crate) fn address(&self) -> &str {
        self.0.address()
    }

    pub(crate) fn password(&self) -> &str {
        self.0.password()
    }

    pub(crate) fn url_through(&self, proxy: SocketAddr) -> String {
        self.0.url_through(proxy)
    }

    /// Somebody else's client.
    pub(crate) async fn client(&self) -> Client {
        Client::with_uri_str(self.url()).await.expect("a client")
    }

    /// The database of the URL, seen by somebody else.
    pub(crate) async fn database(&self) -> Database {
        self.client().await.default_database().expect("the URL names a database")
    }

    pub(crate) async fn collection(&self, namespace: &str) -> Collection<Document> {
        self.database().await.collection(namespace)
    }

    pub(crate) async fn drop_index(&self, namespace: &str, name: &str) {
        let collection = self.collection(namespace).await;
        // FerretDB answers `ok: true`, where the driver wants a number: what counts is that the index is gone.
        let _ = collection.drop_index(name).await;
        let left = collection.list_index_names().await.expect("the indexes");
        assert!(!left.iter().any(|index| index == name), "{name} is still among {left:?}");
    }

    /// FerretDB says which MongoDB it stands for, and its own version beside it.
    pub(crate) async fn version(&self) -> String {
        let about = self.database().await.run_command(doc! { "buildInfo": 1 }).await.expect("what the server is");
        match about.get_document("ferretdb") {
            Ok(ferret) => format!("FerretDB {}", ferret.get_str("version").unwrap_or_default().trim_start_matches('v')),
            Err(_) => format!("MongoDB {}", about.get_str("version").unwrap_or_default()),
        }
    }

    /// Removes what is in `namespace`, if it is one.
    pub(crate) async fn clean(&self, namespace: &str) {
        if session_core::Namespace::new(namespace).is_ok() {
            let database = self.database().await;
            database.collection::<Document>(namespace).drop().await.expect("dropping a collection");
            let layouts = database.collection::<Document>("session.layouts");
            layouts.delete_one(doc! { "_id": namespace }).await.expect("removing a layout");
        }
    }
}
