//! Helpers for the tests of this store.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::ops::Deref;
use std::sync::Arc;

use session_conformance::server::{self, Shared};
use session_core::{Namespace, Result};
use session_store_mongo::mongodb::bson::{Document, doc};
use session_store_mongo::mongodb::{Client, Collection, Database};

/// The server under test. Tests that run at the same time share it, and it is removed when the last of them drops it.
pub(crate) struct Server(Arc<server::Server>);

impl Deref for Server {
    type Target = server::Server;

    fn deref(&self) -> &server::Server {
        &self.0
    }
}

impl Server {
    pub(crate) fn get() -> Self {
        Self::start().expect("a MongoDB server")
    }

    pub(crate) fn start() -> Result<Self> {
        static SERVER: Shared = Shared::new(|| Box::pin(server::mongo()));
        SERVER.get().map(Self)
    }

    /// Opens a client that does not belong to a store.
    pub(crate) async fn client(&self) -> Client {
        Client::with_uri_str(self.url()).await.expect("a client")
    }

    /// Returns the URL's database, through a client that does not belong to a store.
    pub(crate) async fn database(&self) -> Database {
        self.client().await.default_database().expect("the URL names a database")
    }

    pub(crate) async fn collection(&self, namespace: &str) -> Collection<Document> {
        self.database().await.collection(namespace)
    }

    pub(crate) async fn drop_index(&self, namespace: &str, name: &str) {
        let collection = self.collection(namespace).await;
        // FerretDB answers `ok: true`, where the driver expects a number. So the result is ignored, and the index looked for.
        let _ = collection.drop_index(name).await;
        let left = collection.list_index_names().await.expect("the indexes");
        assert!(!left.iter().any(|index| index == name), "{name} is still among {left:?}");
    }

    /// Returns the server's name and version. FerretDB reports its own version besides that of the MongoDB it replaces.
    pub(crate) async fn version(&self) -> String {
        let about = self.database().await.run_command(doc! { "buildInfo": 1 }).await.expect("what the server is");
        match about.get_document("ferretdb") {
            Ok(ferret) => format!("FerretDB {}", ferret.get_str("version").unwrap_or_default().trim_start_matches('v')),
            Err(_) => format!("MongoDB {}", about.get_str("version").unwrap_or_default()),
        }
    }

    /// Removes the collection and the layout of `namespace`, if the name is valid.
    pub(crate) async fn clean(&self, namespace: &str) {
        if Namespace::new(namespace).is_ok() {
            let database = self.database().await;
            database.collection::<Document>(namespace).drop().await.expect("dropping a collection");
            let layouts = database.collection::<Document>("session.layouts");
            layouts.delete_one(doc! { "_id": namespace }).await.expect("removing a layout");
        }
    }
}
