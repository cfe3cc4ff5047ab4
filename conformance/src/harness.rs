//! Interface between a backend and the suite.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use session_core::{Codec, Error, Principal, Result, Store, StoreKey};

/// The store under test and its properties. Built once per run, before the first clause.
///
/// ```
/// use std::time::Duration;
///
/// use session_conformance::Subject;
///
/// let subject = Subject::new("store-mine", "0.1.0").server("MyDB 4.2").time_out(Duration::from_secs(2));
/// assert_eq!(subject.name, "store-mine");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Subject {
    /// Name of the store's crate.
    pub name: String,
    /// Version of the store's crate.
    pub version: String,
    /// Name and version of the store's server, for the report.
    pub server: Option<String>,
    /// `host:port` of the server, if it is reached by TCP. The `fault` clauses put a [proxy](crate::proxy) in front
    /// of it.
    pub address: Option<String>,
    /// `host:port` of the other nodes, if the server is a cluster that sends its clients their addresses. Each gets a
    /// proxy.
    pub nodes: Vec<String>,
    /// Time-out of an operation, with which the harness configures its instances.
    pub time_out: Duration,
    /// How long an expired record may remain on a server that removes expired records by itself.
    pub expiry_delay: Duration,
    /// Texts that no `Debug` or `Display` output may contain, such as the URL's password.
    pub secrets: Vec<String>,
    /// Whether the store has namespaces. A store that lives in a value of the program does not need them.
    pub namespaces: bool,
    /// Time limit of one clause. A clause that takes longer fails.
    pub clause_limit: Duration,
    /// Number of operations of `history.random`; `history.cuts` runs a tenth of it. `CONFORMANCE_HISTORY_OPS`
    /// overrides it.
    pub history_ops: usize,
    /// Codecs of the two managers, one per process, that the `session` clauses run on the store.
    pub codecs: [Codec; 2],
}

impl Subject {
    /// Creates a subject for version `version` of the crate `name`. It has a time-out of 5 s, an expiry delay of 2 s,
    /// namespaces and no server.
    ///
    /// ```
    /// let subject = session_conformance::Subject::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    /// assert_eq!(subject.time_out.as_secs(), 5);
    /// ```
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            server: None,
            address: None,
            nodes: Vec::new(),
            time_out: Duration::from_secs(5),
            expiry_delay: Duration::from_secs(2),
            secrets: Vec::new(),
            namespaces: true,
            clause_limit: Duration::from_secs(300),
            history_ops: 20_000,
            codecs: [Codec::Json; 2],
        }
    }

    /// Sets [`server`](#structfield.server).
    ///
    /// ```
    /// # use session_conformance::Subject;
    /// let subject = Subject::new("store-mine", "0.1.0").server("MyDB 4.2");
    /// assert_eq!(subject.server.as_deref(), Some("MyDB 4.2"));
    /// ```
    #[must_use]
    pub fn server(mut self, name_and_version: impl Into<String>) -> Self {
        self.server = Some(name_and_version.into());
        self
    }

    /// Sets [`address`](#structfield.address). The harness must then implement [`Harness::open_through`].
    ///
    /// ```
    /// # use session_conformance::Subject;
    /// let subject = Subject::new("store-mine", "0.1.0").address("127.0.0.1:5432");
    /// assert_eq!(subject.address.as_deref(), Some("127.0.0.1:5432"));
    /// ```
    #[must_use]
    pub fn address(mut self, host_and_port: impl Into<String>) -> Self {
        self.address = Some(host_and_port.into());
        self
    }

    /// Adds to [`nodes`](#structfield.nodes). The harness must then implement [`Harness::open_through_all`] instead
    /// of `open_through`.
    ///
    /// ```
    /// # use session_conformance::Subject;
    /// let subject = Subject::new("store-mine", "0.1.0").address("10.0.0.1:7000").node("10.0.0.2:7000");
    /// assert_eq!(subject.nodes, ["10.0.0.2:7000"]);
    /// ```
    #[must_use]
    pub fn node(mut self, host_and_port: impl Into<String>) -> Self {
        self.nodes.push(host_and_port.into());
        self
    }

    /// Sets [`time_out`](#structfield.time_out).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use session_conformance::Subject;
    /// let subject = Subject::new("store-mine", "0.1.0").time_out(Duration::from_secs(2));
    /// assert_eq!(subject.time_out, Duration::from_secs(2));
    /// ```
    #[must_use]
    pub fn time_out(mut self, time_out: Duration) -> Self {
        self.time_out = time_out;
        self
    }

    /// Sets [`expiry_delay`](#structfield.expiry_delay).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use session_conformance::Subject;
    /// let subject = Subject::new("store-mine", "0.1.0").expiry_delay(Duration::from_secs(90));
    /// assert_eq!(subject.expiry_delay, Duration::from_secs(90));
    /// ```
    #[must_use]
    pub fn expiry_delay(mut self, delay: Duration) -> Self {
        self.expiry_delay = delay;
        self
    }

    /// Adds to [`secrets`](#structfield.secrets).
    ///
    /// ```
    /// # use session_conformance::Subject;
    /// let subject = Subject::new("store-mine", "0.1.0").secret("pa55");
    /// assert_eq!(subject.secrets, ["pa55"]);
    /// ```
    #[must_use]
    pub fn secret(mut self, text: impl Into<String>) -> Self {
        self.secrets.push(text.into());
        self
    }

    /// Clears [`namespaces`](#structfield.namespaces).
    ///
    /// ```
    /// # use session_conformance::Subject;
    /// let subject = Subject::new("store-mine", "0.1.0").without_namespaces();
    /// assert!(!subject.namespaces);
    /// ```
    #[must_use]
    pub fn without_namespaces(mut self) -> Self {
        self.namespaces = false;
        self
    }

    /// Sets [`clause_limit`](#structfield.clause_limit).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use session_conformance::Subject;
    /// let subject = Subject::new("store-mine", "0.1.0").clause_limit(Duration::from_secs(600));
    /// assert_eq!(subject.clause_limit, Duration::from_secs(600));
    /// ```
    #[must_use]
    pub fn clause_limit(mut self, limit: Duration) -> Self {
        self.clause_limit = limit;
        self
    }

    /// Sets [`history_ops`](#structfield.history_ops).
    ///
    /// ```
    /// # use session_conformance::Subject;
    /// let subject = Subject::new("store-mine", "0.1.0").history_ops(5_000);
    /// assert_eq!(subject.history_ops, 5_000);
    /// ```
    #[must_use]
    pub fn history_ops(mut self, operations: usize) -> Self {
        self.history_ops = operations;
        self
    }

    /// Sets [`codecs`](#structfield.codecs). Stores do not depend on the codec: this is for the session model's own
    /// tests.
    ///
    /// ```
    /// # use session_core::Codec;
    /// # use session_conformance::Subject;
    /// let subject = Subject::new("store-mine", "0.1.0").codecs([Codec::Json, Codec::MessagePack]);
    /// assert_eq!(subject.codecs[1], Codec::MessagePack);
    /// ```
    #[must_use]
    pub fn codecs(mut self, of_both_managers: [Codec; 2]) -> Self {
        self.codecs = of_both_managers;
        self
    }
}

/// Access of the suite to a store. A backend implements it in its `tests/conformance.rs` and calls [`run`](crate::run).
///
/// Only the first two methods are required.
///
/// ```
/// use std::net::SocketAddr;
/// use std::sync::Arc;
///
/// use session_conformance::{Harness, Subject};
/// use session_core::{Result, Store, async_trait};
/// # use session_store_memory::MemoryStore;
/// # async fn open_mine(_: &str, _: &str) -> Result<MemoryStore> { Ok(MemoryStore::new()) }
///
/// /// A store on a server that runs on this machine.
/// struct Mine;
///
/// #[async_trait]
/// impl Harness for Mine {
///     async fn subject(&self) -> Result<Subject> {
///         Ok(Subject::new("store-mine", "0.1.0").address("127.0.0.1:9000").secret("pa55"))
///     }
///
///     async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>> {
///         Ok(Arc::new(open_mine("mine://:pa55@127.0.0.1:9000", namespace).await?))
///     }
///
///     async fn open_through(&self, proxy: SocketAddr, namespace: &str) -> Result<Arc<dyn Store>> {
///         Ok(Arc::new(open_mine(&format!("mine://:pa55@{proxy}"), namespace).await?))
///     }
/// }
/// ```
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// Returns the store under test and its properties. A server may be started here.
    ///
    /// Called once, before the first clause, and not for `--list`.
    ///
    /// # Errors
    /// If there is no server to test against. Every clause then fails with this error: nothing is skipped silently.
    async fn subject(&self) -> Result<Subject>;

    /// Opens an instance of the store on `namespace`, with the time-out of the subject.
    ///
    /// If the store's capabilities say `shared`, it is opened several times on one namespace, and all instances must see
    /// the same records. If they say `durable`, it is opened again after every instance was dropped.
    /// The harness must pass the name to the store unchanged, because some clauses use names that the store must refuse.
    ///
    /// # Errors
    /// The error of the store's own `open`.
    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>>;

    /// Opens an instance like [`open`](Harness::open), but through `proxy` instead of the server's address.
    ///
    /// Called if the subject has an address.
    ///
    /// # Errors
    /// The error of the store's own `open`.
    async fn open_through(&self, proxy: SocketAddr, namespace: &str) -> Result<Arc<dyn Store>> {
        let _ = (proxy, namespace);
        Err(Error::unsupported("this harness states a server's address and has no `open_through`"))
    }

    /// Opens an instance like [`open_through`](Harness::open_through), for a cluster.
    ///
    /// Each pair of `proxies` is the address of a node and its proxy, in the order of the subject.
    /// The store must connect to the proxy wherever it learns of the node's address. Otherwise it bypasses the faults.
    ///
    /// # Errors
    /// The error of the store's own `open`.
    async fn open_through_all(&self, proxies: &[(String, SocketAddr)], namespace: &str) -> Result<Arc<dyn Store>> {
        match proxies {
            [(_, proxy)] => self.open_through(*proxy, namespace).await,
            _ => Err(Error::unsupported("this harness states several nodes and has no `open_through_all`")),
        }
    }

    /// Leaves an index entry of `principal` for `key` without a record, like a writer that dies between two steps.
    ///
    /// Returns `false` if no writer of this store can leave such an entry.
    ///
    /// # Errors
    /// The error of the server.
    async fn plant_orphan(&self, namespace: &str, principal: &Principal, key: &StoreKey) -> Result<bool> {
        let _ = (namespace, principal, key);
        Ok(false)
    }

    /// Removes the records that a clause left in `namespace`. Its instances have been dropped. The harness ignores
    /// errors.
    async fn clean(&self, namespace: &str) {
        let _ = namespace;
    }
}
