//! Test store that counts, fails and waits as a test asks, and helpers for requests.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderValue, Request, Response};
use session_core::{
    Call, Capabilities, Cursor, Error, ErrorKind, Outcome, Page, Principal, Purged, Record, Result, Store, StoreKey,
    Timestamp, Version,
};
use session_store_memory::MemoryStore;
use session_tower::{Manager, SessionLayer};
use std::num::NonZeroU32;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

#[derive(Clone, Debug)]
pub(crate) struct TestStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    memory: MemoryStore,
    loads: AtomicUsize,
    writes: AtomicUsize,
    fail_loads: Mutex<Option<ErrorKind>>,
    fail_writes: Mutex<Option<ErrorKind>>,
    /// Gate that holds writes up, if there is one.
    gate: Mutex<Option<Arc<Gate>>>,
}

/// Holds writes up. Each write signals its arrival, waits to pass, and signals its end.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) arrived: Semaphore,
    pub(crate) pass: Semaphore,
    pub(crate) done: Semaphore,
}

/// Waits for a permit of `semaphore` and takes it. A time-out fails the test, so that it cannot hang.
pub(crate) async fn wait(semaphore: &Semaphore) {
    let permit = tokio::time::timeout(session_core::minutes(1), semaphore.acquire());
    permit.await.expect("it comes to pass").unwrap().forget();
}

impl TestStore {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            memory: MemoryStore::new(),
            loads: AtomicUsize::new(0),
            writes: AtomicUsize::new(0),
            fail_loads: Mutex::new(None),
            fail_writes: Mutex::new(None),
            gate: Mutex::new(None),
        }))
    }

    pub(crate) fn loads(&self) -> usize {
        self.0.loads.load(Ordering::SeqCst)
    }

    pub(crate) fn writes(&self) -> usize {
        self.0.writes.load(Ordering::SeqCst)
    }

    pub(crate) fn fail_loads(&self, kind: ErrorKind) {
        *self.0.fail_loads.lock().unwrap() = Some(kind);
    }

    pub(crate) fn fail_writes(&self, kind: ErrorKind) {
        *self.0.fail_writes.lock().unwrap() = Some(kind);
    }

    pub(crate) fn recover(&self) {
        *self.0.fail_loads.lock().unwrap() = None;
        *self.0.fail_writes.lock().unwrap() = None;
    }

    pub(crate) fn gate(&self) -> Arc<Gate> {
        let gate = Arc::new(Gate { arrived: Semaphore::new(0), pass: Semaphore::new(0), done: Semaphore::new(0) });
        *self.0.gate.lock().unwrap() = Some(gate.clone());
        gate
    }

    async fn write<T>(&self, write: impl Future<Output = Result<T>>) -> Result<T> {
        let fails = *self.0.fail_writes.lock().unwrap();
        if let Some(kind) = fails {
            return Err(Error::fixed(kind, "as the test demands"));
        }
        let gate = self.0.gate.lock().unwrap().clone();
        if let Some(gate) = &gate {
            gate.arrived.add_permits(1);
            wait(&gate.pass).await;
        }
        let written = write.await;
        self.0.writes.fetch_add(1, Ordering::SeqCst);
        if let Some(gate) = gate {
            gate.done.add_permits(1);
        }
        written
    }
}

#[async_trait::async_trait]
impl Store for TestStore {
    fn capabilities(&self) -> Capabilities {
        self.0.memory.capabilities()
    }

    async fn create(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Outcome> {
        self.write(self.0.memory.create(call, key, record)).await
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
        self.0.loads.fetch_add(1, Ordering::SeqCst);
        // Yields to other tasks, as a round trip to a real server would.
        tokio::task::yield_now().await;
        let fails = *self.0.fail_loads.lock().unwrap();
        match fails {
            Some(kind) => Err(Error::fixed(kind, "as the test demands")),
            None => self.0.memory.load(call, key).await,
        }
    }

    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        self.write(self.0.memory.save(call, key, expected, record)).await
    }

    async fn touch(&self, call: &Call, key: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome> {
        self.write(self.0.memory.touch(call, key, expected, expires_at)).await
    }

    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        self.write(self.0.memory.delete(call, key, expected)).await
    }

    async fn purge(&self, call: &Call, limit: NonZeroU32) -> Result<Purged> {
        self.0.memory.purge(call, limit).await
    }

    async fn sessions_of(
        &self,
        call: &Call,
        principal: &Principal,
        limit: NonZeroU32,
    ) -> Result<Vec<(StoreKey, Record)>> {
        self.0.memory.sessions_of(call, principal, limit).await
    }

    async fn delete_all(&self, call: &Call, principal: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        self.0.memory.delete_all(call, principal, keep).await
    }

    async fn scan(&self, call: &Call, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        self.0.memory.scan(call, after, limit).await
    }
}

/// Returns a fresh store and a layer with one session over it.
pub(crate) fn one() -> (TestStore, SessionLayer) {
    let store = TestStore::new();
    (store.clone(), SessionLayer::new(Manager::new(store)))
}

pub(crate) fn named(store: &TestStore, name: &str) -> Manager {
    Manager::builder(store.clone()).name(name).build().unwrap()
}

/// Sends `GET /` without a cookie.
pub(crate) async fn get(app: &Router) -> Response<Body> {
    send(app, None).await
}

/// Sends `GET /` with this `Cookie` header.
pub(crate) async fn get_with(app: &Router, cookie: &HeaderValue) -> Response<Body> {
    send(app, Some(cookie)).await
}

async fn send(app: &Router, cookie: Option<&HeaderValue>) -> Response<Body> {
    app.clone().oneshot(request(cookie)).await.unwrap()
}

pub(crate) fn request(cookie: Option<&HeaderValue>) -> Request<Body> {
    let mut request = Request::get("/").body(Body::empty()).unwrap();
    if let Some(cookie) = cookie {
        request.headers_mut().insert(COOKIE, cookie.clone());
    }
    request
}

pub(crate) async fn text(response: Response<Body>) -> String {
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) fn set_cookies(response: &Response<Body>) -> Vec<&str> {
    response.headers().get_all(SET_COOKIE).iter().map(|line| line.to_str().unwrap()).collect()
}

pub(crate) fn header<'r>(response: &'r Response<Body>, name: &str) -> Option<&'r str> {
    let mut values = response.headers().get_all(name).iter();
    let value = values.next().map(|value| value.to_str().unwrap());
    assert!(values.next().is_none(), "`{name}` is there once at most");
    value
}
