//! Helpers for the tests of this store.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use session_conformance::server::{Server, Start};
use session_conformance::{Harness, Subject};
use session_core::{Error, ErrorKind, Principal, Result, Store, StoreKey, async_trait};
use session_store_nats::NatsStore;
use tokio::sync::OnceCell;

const TIME_OUT: Duration = Duration::from_secs(2);

/// Connects to a server as its own user, without the store.
pub(crate) async fn client(server: &Server) -> async_nats::Client {
    let options = async_nats::ConnectOptions::with_user_and_password("conformance".into(), server.password().into());
    options.connect(server.addresses()).await.expect("a server")
}

/// Sends a request in JSON to JetStream's API and returns the reply.
pub(crate) async fn api(client: &async_nats::Client, call: &str, request: serde_json::Value) -> serde_json::Value {
    let reply = client.request(format!("$JS.API.{call}"), request.to_string().into()).await.expect("a reply");
    serde_json::from_slice(&reply.payload).expect("a reply in JSON")
}

/// The server under test, kept while the suite runs.
pub(crate) struct Nats {
    /// Name in the table of all stores.
    name: &'static str,
    start: Start,
    server: OnceCell<Server>,
    /// User of the stores. The suite itself is always the one who may do everything.
    user: &'static str,
}

impl Nats {
    pub(crate) const fn on(name: &'static str, start: Start) -> Self {
        Self::as_user(name, "conformance", start)
    }

    /// Stores of another user, in a bucket that is there already.
    pub(crate) const fn as_user(name: &'static str, user: &'static str, start: Start) -> Self {
        Self { name, start, server: OnceCell::const_new(), user }
    }

    async fn server(&self) -> Result<&Server> {
        let start = async || {
            let server = (self.start)().await?;
            drop(NatsStore::connect(server.url()).await?);
            Ok(server)
        };
        self.server.get_or_try_init(start).await
    }

    async fn open(&self, url: &str, namespace: &str) -> Result<Arc<dyn Store>> {
        let url = url.replacen("//conformance:", &format!("//{}:", self.user), 1);
        Ok(Arc::new(NatsStore::builder(&url)?.namespace(namespace).timeout(TIME_OUT).open().await?))
    }
}

#[async_trait]
impl Harness for Nats {
    async fn subject(&self) -> Result<Subject> {
        let server = self.server().await?;
        let version = client(server).await.server_info().version;
        let subject = Subject::new(self.name, env!("CARGO_PKG_VERSION")).server(format!("NATS {version}"));
        // The server counts in seconds, and the store adds more than one.
        let subject = subject.secret(server.password()).time_out(TIME_OUT).expiry_delay(Duration::from_secs(8));
        let (first, others) = server.addresses().split_first().expect("a server");
        // Each write waits for the disks of two servers.
        let subject = if others.is_empty() { subject } else { subject.history_ops(5_000) };
        Ok(others.iter().fold(subject.address(first), Subject::node))
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>> {
        self.open(self.server().await?.url(), namespace).await
    }

    async fn open_through(&self, proxy: SocketAddr, namespace: &str) -> Result<Arc<dyn Store>> {
        self.open(&self.server().await?.url_through(proxy), namespace).await
    }

    async fn open_through_all(&self, proxies: &[(String, SocketAddr)], namespace: &str) -> Result<Arc<dyn Store>> {
        let server = self.server().await?;
        let places: Vec<_> = proxies.iter().map(|(_, proxy)| proxy.to_string()).collect();
        let url = server.url().replace(&server.addresses().join(","), &places.join(","));
        self.open(&url, namespace).await
    }

    async fn plant_orphan(&self, namespace: &str, principal: &Principal, key: &StoreKey) -> Result<bool> {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (principal, key) = (text(principal.as_str().as_bytes()), text(key.as_bytes()));
        let subject = format!("$KV.sessions.{namespace}.p.{principal}.{key}");
        let failed = |_| Error::fixed(ErrorKind::Unavailable, "the entry was not written");
        let reply = client(self.server().await?).await.request(subject, vec![1; 9].into()).await.map_err(failed)?;
        assert!(!reply.payload.windows(5).any(|word| word == b"error"), "{reply:?}");
        Ok(true)
    }

    async fn clean(&self, namespace: &str) {
        let Ok(server) = self.server().await else { return };
        let filter = serde_json::json!({ "filter": format!("$KV.sessions.{namespace}.>") });
        api(&client(server).await, "STREAM.PURGE.KV_sessions", filter).await;
    }
}
