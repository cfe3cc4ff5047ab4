//! Helpers for the tests of this store.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::num::NonZeroU32;
use std::ops::Deref;
use std::sync::Arc;

use session_conformance::fixtures::{key, now, put};
use session_conformance::server::{self, Shared};
use session_core::Outcome::Done;
use session_core::{Bytes, Clock as _, Namespace, Principal, Record, Result, Store as _, SystemClock, Version, hours};
use session_store_mongo::MongoStore;
use session_store_mongo::mongodb::bson::{Document, doc};
use session_store_mongo::mongodb::event::{self, command::CommandEvent};
use session_store_mongo::mongodb::options::ClientOptions;
use session_store_mongo::mongodb::{Client, Collection, Database};
use tokio::sync::mpsc;

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

/// Limit of a list that is longer than each list here.
pub(crate) const LIMIT: NonZeroU32 = NonZeroU32::new(100).expect("it is not zero");

pub(crate) fn record(who: Option<&str>) -> Record {
    let now = SystemClock.now();
    let principal = who.map(|who| Principal::new(who).expect("a principal"));
    Record::new(Version::random(), now, now.plus(hours(1)), principal, Bytes::from_static(b"{}"))
}

/// Returns every command that a client sends while a store on it is opened and runs all operations.
pub(crate) async fn sent(mut options: ClientOptions, namespace: &str, create: bool) -> Vec<(String, Document)> {
    let (sender, mut commands) = mpsc::unbounded_channel();
    let database = options.default_database.clone().expect("the URL names a database");
    options.command_event_handler = Some(event::EventHandler::callback(move |event| {
        if let CommandEvent::Started(started) = event {
            // A failure to send is ignored: the receiver lives longer than the store, and later commands do not matter.
            let _ = sender.send((started.command_name, started.command));
        }
    }));
    let client = Client::with_options(options).unwrap();
    let store = MongoStore::from_client(client, &database).namespace(namespace).create(create).open().await.unwrap();
    let (call, ann, first, second) = (now(), Principal::new("ann").unwrap(), record(Some("ann")), record(Some("ann")));
    put(&store, 1, &first).await;
    let one = key(1);
    for loaded in futures_util::future::join_all((0..40).map(|_| store.load(&call, &one))).await {
        assert!(loaded.unwrap().is_some());
    }
    assert_eq!(store.save(&call, &key(1), first.version, &second).await.unwrap(), Done);
    assert_eq!(store.touch(&call, &key(1), second.version, second.expires_at).await.unwrap(), Done);
    assert_eq!(store.sessions_of(&call, &ann, LIMIT).await.unwrap().len(), 1);
    assert_eq!(store.scan(&call, None, LIMIT).await.unwrap().records.len(), 1);
    assert_eq!(store.delete(&call, &key(1), Some(second.version)).await.unwrap(), Done);
    assert_eq!(store.delete_all(&call, &ann, None).await.unwrap(), 0);
    assert_eq!(store.purge(&call, LIMIT).await.unwrap().removed, 0);
    drop(store);
    let mut all = Vec::new();
    while let Ok(command) = commands.try_recv() {
        all.push(command);
    }
    all
}
