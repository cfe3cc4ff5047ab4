//! Environment of a clause: a namespace, instances of the store on it, and a clock.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use session_core::{
    Call, Capabilities, Clock as _, Principal, Record, SessionId, Store, StoreKey, SystemClock, Timestamp, Version,
    hours, minutes,
};

use crate::check::ok;
use crate::proxy::Proxy;
use crate::{Failure, Harness, Subject};

/// An instance of the store under test.
pub(crate) type Instance = Arc<dyn Store>;

/// Environment in which a clause runs: a fresh namespace, access to the store, and the properties of the subject.
///
/// Opaque: only the clauses of this crate use its contents.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    harness: Arc<dyn Harness>,
    subject: Arc<Subject>,
    capabilities: Capabilities,
    namespace: String,
    namespaces: AtomicU32,
    used: Mutex<Vec<String>>,
    now: Timestamp,
}

/// Returns the system's time in whole seconds, because only clauses about fractions of a second should meet any.
pub(crate) fn today() -> Timestamp {
    Timestamp::MIN.plus(Duration::from_secs(SystemClock.now().since(Timestamp::MIN).as_secs()))
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("namespace", &self.0.namespace).finish_non_exhaustive()
    }
}

/// Returns a random namespace: `c` and 16 hexadecimal digits.
pub(crate) fn random_namespace() -> String {
    format!("c{:016x}", rand::random::<u64>())
}

impl Context {
    pub(crate) fn new(harness: Arc<dyn Harness>, subject: Arc<Subject>, capabilities: Capabilities) -> Self {
        let namespace = random_namespace();
        Self(Arc::new(Inner {
            harness,
            subject,
            capabilities,
            used: Mutex::new(vec![namespace.clone()]),
            namespace,
            namespaces: AtomicU32::new(0),
            // An hour ahead of every server's clock, so that a record that expires soon by the caller's clock remains
            // stored, even if the server removes expired records by itself.
            now: today().plus(hours(1)),
        }))
    }

    /// Removes the records that the clause left behind.
    pub(crate) async fn clean(&self) {
        let used = std::mem::take(&mut *self.0.used.lock().unwrap_or_else(PoisonError::into_inner));
        for namespace in used {
            self.0.harness.clean(&namespace).await;
        }
    }

    pub(crate) fn subject(&self) -> &Subject {
        &self.0.subject
    }

    pub(crate) fn can(&self) -> &Capabilities {
        &self.0.capabilities
    }

    pub(crate) fn harness(&self) -> &dyn Harness {
        &*self.0.harness
    }

    /// Returns the longest time that an operation may take: the stated time-out and a second for a busy machine.
    pub(crate) fn patience(&self) -> Duration {
        self.subject().time_out + Duration::from_secs(1)
    }

    /// Returns the clause's namespace.
    pub(crate) fn namespace(&self) -> &str {
        &self.0.namespace
    }

    /// Returns a further namespace, which is cleaned up like the first.
    pub(crate) fn another_namespace(&self) -> String {
        let n = self.0.namespaces.fetch_add(1, Ordering::Relaxed);
        self.adopt(format!("{}_{n}", self.namespace()))
    }

    /// Registers `namespace` for the clean-up after the clause.
    pub(crate) fn adopt(&self, namespace: String) -> String {
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner).push(namespace.clone());
        namespace
    }

    /// Opens an instance on `namespace`.
    pub(crate) async fn open(&self, namespace: &str) -> Result<Instance, Failure> {
        ok(self.0.harness.open(namespace).await, format!("opening the store on {namespace:?}"))
    }

    /// Opens an instance on the clause's namespace.
    pub(crate) async fn one(&self) -> Result<Instance, Failure> {
        self.open(self.namespace()).await
    }

    /// Opens two instances on the clause's namespace. For a store that is not shared, both are the same instance.
    pub(crate) async fn pair(&self) -> Result<(Instance, Instance), Failure> {
        let first = self.one().await?;
        let second = if self.can().shared { self.one().await? } else { Arc::clone(&first) };
        Ok((first, second))
    }

    /// Opens an instance whose server is behind a proxy.
    pub(crate) async fn behind_proxy(&self) -> Result<(Instance, Proxy), Failure> {
        let proxy = Proxy::before_all(self.addresses())
            .await
            .map_err(|error| Failure::new(format!("the suite's proxy cannot listen on loopback: {error}")))?;
        let store = self.through(&proxy).await?;
        Ok((store, proxy))
    }

    /// Returns the address of the server and those of its other nodes.
    fn addresses(&self) -> Vec<String> {
        let first = self.subject().address.clone().unwrap_or_default();
        std::iter::once(first).chain(self.subject().nodes.iter().cloned()).collect()
    }

    /// Opens a further instance behind a proxy.
    pub(crate) async fn through(&self, proxy: &Proxy) -> Result<Instance, Failure> {
        let proxies: Vec<_> = self.addresses().into_iter().zip(proxy.addresses().iter().copied()).collect();
        let opened = self.0.harness.open_through_all(&proxies, self.namespace()).await;
        ok(opened, "opening the store through the suite's proxy")
    }

    /// Returns the clause's present, which never changes: an hour ahead of the system's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.0.now
    }

    /// Returns a call made at [`now`](Self::now).
    pub(crate) fn call(&self) -> Call {
        Call::new(self.now())
    }

    /// Returns a call made `by` later than [`now`](Self::now).
    pub(crate) fn later(&self, by: Duration) -> Call {
        Call::new(self.now().plus(by))
    }

    /// Returns an anonymous record that lives for half an hour.
    pub(crate) fn record(&self) -> Record {
        let data = format!("{{\"n\":\"{:08x}\"}}", rand::random::<u32>());
        Record::new(Version::random(), self.now().minus(minutes(1)), self.now().plus(minutes(30)), None, data.into())
    }

    /// Returns a record of `principal` that lives for half an hour.
    pub(crate) fn record_of(&self, principal: &Principal) -> Record {
        let mut record = self.record();
        record.principal = Some(principal.clone());
        record
    }
}

/// Returns a random key, under which nothing is stored.
pub(crate) fn key() -> StoreKey {
    StoreKey::derive("conformance", &SessionId::random())
}

/// Returns `record` with a new version and other data, like after another write.
pub(crate) fn next(record: &Record) -> Record {
    let mut next = record.clone();
    next.version = Version::random();
    next.data = Bytes::from(format!("{{\"m\":\"{:08x}\"}}", rand::random::<u32>()));
    next
}

/// Creates a principal of this text.
pub(crate) fn principal(text: impl std::fmt::Display) -> Result<Principal, Failure> {
    ok(Principal::new(text), "making a principal of valid text")
}
