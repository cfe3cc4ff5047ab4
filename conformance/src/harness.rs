//! What a backend tells the suite about itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use session_core::{Codec, Error, Principal, Result, Store, StoreKey};

/// What is under test, and what it states about itself. Built once per run, before the first clause.
///
/// ```
/// use std::time::Duration;
///
/// use conformance::Subject;
///
/// let subject = Subject::new("store-mine", "0.1.0").server("MyDB 4.2").time_out(Duration::from_secs(2));
/// assert_eq!(subject.name, "store-mine");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Subject {
    /// The store's crate.
    pub name: String,
    /// The version of that crate.
    pub version: String,
    /// The server behind it and its version, for the report.
    pub server: Option<String>,
    /// `host:port` of the server, if it is reached by TCP: the `fault` clauses put a [proxy](crate::proxy) before it.
    pub address: Option<String>,
    /// `host:port` of the other nodes, if the server is a cluster that tells its clients of them: the proxy stands before each.
    pub nodes: Vec<String>,
    /// How long an operation may take at most: what the harness configures its instances with.
    pub time_out: Duration,
    /// How long after its expiry a record may still lie on a server that expires by itself.
    pub expiry_delay: Duration,
    /// Texts that no `Debug` or `Display` may show: passwords of the URL in use.
    pub secrets: Vec<String>,
    /// Whether the store has namespaces at all. One that lives in a value of the program does not need them.
    pub namespaces: bool,
    /// A clause that is not over by then hangs, and fails.
    pub clause_limit: Duration,
    /// How many operations `history.random` runs, and `history.cuts` a tenth of. `CONFORMANCE_HISTORY_OPS` overrides it.
    pub history_ops: usize,
    /// The codecs of the two managers, one per process, that the `session` clauses run on the store.
    pub codecs: [Codec; 2],
}

impl Subject {
    /// The crate `name` in `version`, with a time-out of 5 s, an expiry delay of 2 s, namespaces and no server.
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
    #[must_use]
    pub fn server(mut self, name_and_version: impl Into<String>) -> Self {
        self.server = Some(name_and_version.into());
        self
    }

    /// Sets [`address`](#structfield.address). [`Harness::open_through`] has to be written too.
    #[must_use]
    pub fn address(mut self, host_and_port: impl Into<String>) -> Self {
        self.address = Some(host_and_port.into());
        self
    }

    /// Adds to [`nodes`](#structfield.nodes). [`Harness::open_through_all`] has to be written instead of `open_through`.
    #[must_use]
    pub fn node(mut self, host_and_port: impl Into<String>) -> Self {
        self.nodes.push(host_and_port.into());
        self
    }

    /// Sets [`time_out`](#structfield.time_out).
    #[must_use]
    pub fn time_out(mut self, time_out: Duration) -> Self {
        self.time_out = time_out;
        self
    }

    /// Sets [`expiry_delay`](#structfield.expiry_delay).
    #[must_use]
    pub fn expiry_delay(mut self, delay: Duration) -> Self {
        self.expiry_delay = delay;
        self
    }

    /// Adds to [`secrets`](#structfield.secrets).
    #[must_use]
    pub fn secret(mut self, text: impl Into<String>) -> Self {
        self.secrets.push(text.into());
        self
    }

    /// Clears [`namespaces`](#structfield.namespaces).
    #[must_use]
    pub fn without_namespaces(mut self) -> Self {
        self.namespaces = false;
        self
    }

    /// Sets [`clause_limit`](#structfield.clause_limit).
    #[must_use]
    pub fn clause_limit(mut self, limit: Duration) -> Self {
        self.clause_limit = limit;
        self
    }

    /// Sets [`history_ops`](#structfield.history_ops).
    #[must_use]
    pub fn history_ops(mut self, operations: usize) -> Self {
        self.history_ops = operations;
        self
    }

    /// Sets [`codecs`](#structfield.codecs). To a store one is as good as the other: this is for the session model's own tests.
    #[must_use]
    pub fn codecs(mut self, of_both_managers: [Codec; 2]) -> Self {
        self.codecs = of_both_managers;
        self
    }
}

/// How the suite gets at a store. A backend implements it in its `tests/conformance.rs` and calls [`run`](crate::run).
///
/// Only the first two methods are required.
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// What is under test. Called once, before the first clause and not for `--list`: a server may be started here.
    ///
    /// # Errors
    /// If there is no server to test against. Every clause then fails with this error: nothing is skipped in silence.
    async fn subject(&self) -> Result<Subject>;

    /// Opens an instance of the store on `namespace`, with the time-outs that the subject states.
    ///
    /// A store whose capabilities say `shared` is opened several times on one namespace, and the instances must see
    /// the same records; a store that is `durable` is opened again after every instance was dropped.
    /// The name is passed to the store as it is: some clauses pass names that the store must refuse.
    ///
    /// # Errors
    /// What the store's own `open` answers.
    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>>;

    /// As [`open`](Harness::open), with the server's address replaced by `proxy`. Called when the subject has an address.
    ///
    /// # Errors
    /// What the store's own `open` answers.
    async fn open_through(&self, proxy: SocketAddr, namespace: &str) -> Result<Arc<dyn Store>> {
        let _ = (proxy, namespace);
        Err(Error::unsupported("this harness states a server's address and has no `open_through`"))
    }

    /// As [`open_through`](Harness::open_through), for a cluster: with each of its nodes' addresses, which are those of the subject in their order,
    /// replaced by the proxy's beside it, wherever the store learns of the address. An address that is left as it is leads past the faults.
    ///
    /// # Errors
    /// What the store's own `open` answers.
    async fn open_through_all(&self, proxies: &[(String, SocketAddr)], namespace: &str) -> Result<Arc<dyn Store>> {
        match proxies {
            [(_, proxy)] => self.open_through(*proxy, namespace).await,
            _ => Err(Error::unsupported("this harness states several nodes and has no `open_through_all`")),
        }
    }

    /// Leaves an index entry of `principal` for `key` without a record, as a writer does that dies between two steps.
    /// `false` if no writer of this store can.
    ///
    /// # Errors
    /// What the server answers.
    async fn plant_orphan(&self, namespace: &str, principal: &Principal, key: &StoreKey) -> Result<bool> {
        let _ = (namespace, principal, key);
        Ok(false)
    }

    /// Removes what a clause left in `namespace`. Its instances have been dropped. Errors are of no interest.
    async fn clean(&self, namespace: &str) {
        let _ = namespace;
    }
}
