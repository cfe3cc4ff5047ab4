//! Test of the rights that a role needs. DynamoDB Local has no rights, so the client refuses what the README's policy does not allow.

mod common;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use common::Server;
use serde_json::Value;
use session_conformance::testing::{block_of, clauses_hold};
use session_conformance::{Harness, Subject};
use session_core::{Result, Store, async_trait, seconds};
use session_store_dynamo::DynamoStore;
use session_store_dynamo::aws_sdk_dynamodb::Client;
use session_store_dynamo::aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use session_store_dynamo::aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use session_store_dynamo::aws_sdk_dynamodb::error::BoxError;

/// Returns the actions that the README's policy allows.
fn allowed() -> BTreeSet<String> {
    let block = block_of(include_str!("../README.md"), "Least rights", "sh");
    let (_, policy) = block.split_once('\'').unwrap();
    let policy: Value = serde_json::from_str(policy.trim_end().strip_suffix('\'').unwrap()).unwrap();
    let actions = policy["Statement"][0]["Action"].as_array().unwrap().iter();
    actions.map(|action| action.as_str().unwrap().strip_prefix("dynamodb:").unwrap().to_owned()).collect()
}

/// Returns the actions that a request needs. A transaction needs those of its parts.
fn needed(operation: &str, body: &[u8]) -> Vec<String> {
    if operation != "TransactWriteItems" {
        return vec![operation.to_owned()];
    }
    let body: Value = serde_json::from_slice(body).unwrap();
    let items = body["TransactItems"].as_array().unwrap().iter().flat_map(|item| item.as_object().unwrap().keys());
    items
        .map(|part| if part == "ConditionCheck" { "ConditionCheckItem".to_owned() } else { format!("{part}Item") })
        .collect()
}

/// The README's policy as a part of the client: it refuses what is not allowed, and notes what is used.
#[derive(Clone, Debug)]
struct Policy {
    allowed: Arc<BTreeSet<String>>,
    used: Arc<Mutex<BTreeSet<String>>>,
}

impl Intercept for Policy {
    fn name(&self) -> &'static str {
        "policy"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> std::result::Result<(), BoxError> {
        let request = context.request();
        let operation = request.headers().get("x-amz-target").and_then(|target| target.rsplit('.').next());
        for action in needed(operation.ok_or("no operation")?, request.body().bytes().ok_or("no body")?) {
            if !self.allowed.contains(&action) {
                return Err(format!("the README's policy does not allow {action}").into());
            }
            self.used.lock().unwrap().insert(action);
        }
        Ok(())
    }
}

/// Stores whose client has a policy. Their tables are made by another one.
struct Restricted {
    server: Server,
    client: Client,
}

#[async_trait]
impl Harness for Restricted {
    async fn subject(&self) -> Result<Subject> {
        Ok(Subject::new("dynamo", env!("CARGO_PKG_VERSION")).server("DynamoDB Local").time_out(seconds(10)))
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>> {
        let time_out = seconds(10);
        DynamoStore::connect(&self.server.url_with(&format!("namespace={namespace}&timeout=10000")))
            .await?
            .close()
            .await?;
        let store = DynamoStore::from_client(self.client.clone()).namespace(namespace).timeout(time_out).create(false);
        Ok(Arc::new(store.open().await?))
    }

    async fn open_through(&self, _: SocketAddr, namespace: &str) -> Result<Arc<dyn Store>> {
        self.open(namespace).await
    }

    async fn clean(&self, namespace: &str) {
        self.server.clean(namespace).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_readmes_policy_allows_what_is_sent_and_nothing_else() {
    let server = Server::get();
    let (allowed, used) = (Arc::new(allowed()), Arc::default());
    let policy = Policy { allowed: Arc::clone(&allowed), used: Arc::clone(&used) };
    let client = server.foreign();
    let client = Client::from_conf(client.config().to_builder().interceptor(policy).build());
    let topics = ["create", "load", "save", "touch", "delete", "principal", "scan"];
    clauses_hold(Restricted { server, client }, &topics, "with the rights of the README").await;
    assert_eq!(*used.lock().unwrap(), *allowed);
}
