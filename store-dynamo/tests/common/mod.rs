//! Helpers for the tests of this store.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use session_conformance::server::{self, Shared};
use session_core::{Namespace, Principal, Result, StoreKey};
use session_store_dynamo::DynamoStore;
use session_store_dynamo::aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, Region};
use session_store_dynamo::aws_sdk_dynamodb::primitives::Blob;
use session_store_dynamo::aws_sdk_dynamodb::types::AttributeValue;
use session_store_dynamo::aws_sdk_dynamodb::{Client, error::DisplayErrorContext};

pub(crate) type Item = HashMap<String, AttributeValue>;

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
        Self::start().expect("DynamoDB Local")
    }

    pub(crate) fn start() -> Result<Self> {
        static SERVER: Shared = Shared::new(|| Box::pin(server::dynamo()));
        SERVER.get().map(Self)
    }

    /// Returns a client that does not belong to a store.
    pub(crate) fn foreign(&self) -> Client {
        let url = self.url();
        let key = url.split_once("://").and_then(|(_, rest)| rest.split_once(':')).map_or("", |(key, _)| key);
        let region = url.rsplit_once('/').map_or("", |(_, rest)| rest.split('?').next().unwrap_or_default());
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(format!("http://{}", self.address()))
            .region(Region::new(region.to_owned()))
            .credentials_provider(Credentials::new(key, self.password(), None, None, "test"))
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        Client::from_conf(config.build())
    }

    /// Opens a store on a new table.
    pub(crate) async fn fresh(&self, namespace: &str, options: &str) -> DynamoStore {
        self.clean(namespace).await;
        DynamoStore::connect(&self.url_with(&format!("namespace={namespace}{options}"))).await.expect("a store")
    }

    /// Returns an item as it is stored.
    pub(crate) async fn item(&self, table: &str, key: Item) -> Option<Item> {
        let get = self.foreign().get_item().table_name(table).consistent_read(true).set_key(Some(key)).send().await;
        get.map_err(|error| DisplayErrorContext(error).to_string()).expect("an item").item
    }

    pub(crate) async fn put(&self, table: &str, item: Item) -> Result<(), String> {
        let put = self.foreign().put_item().table_name(table).set_item(Some(item)).send().await;
        put.map(drop).map_err(|error| DisplayErrorContext(error).to_string())
    }

    /// Removes the table of `namespace`, if the name is valid.
    pub(crate) async fn clean(&self, namespace: &str) {
        if Namespace::new(namespace).is_ok() {
            // A missing table is no error here.
            let _ = self.foreign().delete_table().table_name(namespace).send().await;
        }
    }
}

pub(crate) fn bytes(bytes: &[u8]) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}

pub(crate) fn number(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(crate) fn item<const N: usize>(attributes: [(&str, AttributeValue); N]) -> Item {
    attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Returns the primary key of a session, as in README.md.
pub(crate) fn session(key: &StoreKey) -> Item {
    item([("pk", bytes(key.as_bytes())), ("sk", bytes(b"s"))])
}

/// Returns the primary key of the entry of a principal for a session, as in README.md.
pub(crate) fn entry(principal: &Principal, key: &StoreKey) -> Item {
    use sha2::Digest as _;

    let hash = sha2::Sha256::digest(principal.as_str().as_bytes());
    item([("pk", bytes(&[&b"p"[..], &hash].concat())), ("sk", bytes(key.as_bytes()))])
}
