//! What a clause has at hand: a namespace of its own, instances on it, and a clock.

use std::num::NonZeroU32;
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

/// A limit that no clause reaches by accident.
pub(crate) const BOUND: NonZeroU32 = NonZeroU32::new(10_000).expect("it is not zero");

/// An instance of the store under test.
pub(crate) type Shared = Arc<dyn Store>;

/// What a clause runs in: a fresh namespace, ways to open the store on it, the stated limits.
///
/// Opaque: only the clauses of this crate look inside.
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

/// The system's clock, without its milliseconds: only clauses about fractions of a second should meet any.
pub(crate) fn today() -> Timestamp {
    Timestamp::MIN.plus(Duration::from_secs(SystemClock.now().since(Timestamp::MIN).as_secs()))
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("namespace", &self.0.namespace).finish_non_exhaustive()
    }
}

/// A namespace that nobody else has: `c` and 16 random hexadecimal digits.
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
            // An hour ahead of every server's clock: what expires soon by the caller's clock stays on the server,
            // one that expires by itself too.
            now: today().plus(hours(1)),
        }))
    }

    /// Removes what the clause left behind.
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

    /// The longest that any operation may take: the stated time-out and a second for a busy machine.
    pub(crate) fn patience(&self) -> Duration {
        self.subject().time_out + Duration::from_secs(1)
    }

    /// The clause's namespace.
    pub(crate) fn namespace(&self) -> &str {
        &self.0.namespace
    }

    /// A further namespace, cleaned up as the first is.
    pub(crate) fn another_namespace(&self) -> String {
        let n = self.0.namespaces.fetch_add(1, Ordering::Relaxed);
        self.adopt(format!("{}_{n}", self.namespace()))
    }

    /// Has `namespace` cleaned up after the clause.
    pub(crate) fn adopt(&self, namespace: String) -> String {
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner).push(namespace.clone());
        namespace
    }

    /// An instance on `namespace`.
    pub(crate) async fn open(&self, namespace: &str) -> Result<Shared, Failure> {
        ok(self.0.harness.open(namespace).await, format!("opening the store on {namespace:?}"))
    }

    /// An instance on the clause's namespace.
    pub(crate) async fn one(&self) -> Result<Shared, Failure> {
        self.open(self.namespace()).await
    }

    /// Two instances on the clause's namespace, or twice the same one of a store that is not shared.
    pub(crate) async fn pair(&self) -> Result<(Shared, Shared), Failure> {
        let first = self.one().await?;
        let second = if self.can().shared { self.one().await? } else { Arc::clone(&first) };
        Ok((first, second))
    }

    /// An instance whose server is behind a proxy.
    pub(crate) async fn behind_proxy(&self) -> Result<(Shared, Proxy), Failure> {
        let proxy = Proxy::before_all(self.addresses())
            .await
            .map_err(|error| Failure::new(format!("the suite's proxy cannot listen on loopback: {error}")))?;
        let store = self.through(&proxy).await?;
        Ok((store, proxy))
    }

    /// Where the server is, or each of its nodes.
    fn addresses(&self) -> Vec<String> {
        let first = self.subject().address.clone().unwrap_or_default();
        std::iter::once(first).chain(self.subject().nodes.iter().cloned()).collect()
    }

    /// A further instance behind a proxy.
    pub(crate) async fn through(&self, proxy: &Proxy) -> Result<Shared, Failure> {
        let proxies: Vec<_> = self.addresses().into_iter().zip(proxy.addresses().iter().copied()).collect();
        let opened = self.0.harness.open_through_all(&proxies, self.namespace()).await;
        ok(opened, "opening the store through the suite's proxy")
    }

    /// The clause's present: the same throughout, an hour ahead of the system's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.0.now
    }

    /// A call at [`now`](Self::now).
    pub(crate) fn call(&self) -> Call {
        Call::new(self.now())
    }

    /// A call so much later.
    pub(crate) fn later(&self, by: Duration) -> Call {
        Call::new(self.now().plus(by))
    }

    /// An anonymous record that lives for half an hour.
    pub(crate) fn record(&self) -> Record {
        let data = format!("{{\"n\":\"{:08x}\"}}", rand::random::<u32>());
        Record::new(Version::random(), self.now().minus(minutes(1)), self.now().plus(minutes(30)), None, data.into())
    }

    /// A record of `principal` that lives for half an hour.
    pub(crate) fn record_of(&self, principal: &Principal) -> Record {
        let mut record = self.record();
        record.principal = Some(principal.clone());
        record
    }
}

/// A key that nobody has.
pub(crate) fn key() -> StoreKey {
    StoreKey::derive("conformance", &SessionId::random())
}

/// `record` as another write would leave it: a new version and other data, all else the same.
pub(crate) fn next(record: &Record) -> Record {
    let mut next = record.clone();
    next.version = Version::random();
    next.data = Bytes::from(format!("{{\"m\":\"{:08x}\"}}", rand::random::<u32>()));
    next
}

/// The principal of this text.
pub(crate) fn principal(text: impl std::fmt::Display) -> Result<Principal, Failure> {
    ok(Principal::new(text), "making a principal of valid text")
}
