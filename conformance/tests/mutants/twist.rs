//! Defects of the reference store, and the harness that opens a store with one.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use session_conformance::{Harness, Subject};
use session_core::{
    Call, Capabilities, Cursor, Error, Namespace, Outcome, Page, Principal, Purged, Record, Result, Store, StoreKey,
    Timestamp, Version, async_trait,
};

use crate::reference::{LONGEST, World, fits};

/// Capabilities of the reference store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// All capabilities of a store without an external server.
    Full,
    /// Neither sessions by principal nor scan.
    Plain,
    /// All capabilities, with a server that removes expired records by itself.
    Expiring,
}

impl Flavour {
    fn capabilities(self) -> Capabilities {
        Capabilities::new()
            .durable(true)
            .shared(true)
            .expires_itself(self == Self::Expiring)
            .by_principal(self != Self::Plain)
            .scan(self != Self::Plain)
            .max_data_len(Some(LONGEST))
    }
}

/// An instance: its connection to the server, and its own state.
pub(crate) struct Instance {
    pub(crate) world: Arc<World>,
    pub(crate) memo: Mutex<Memo>,
    pub(crate) permits: tokio::sync::Semaphore,
    pub(crate) turn: tokio::sync::Mutex<()>,
    flavour: Flavour,
    twist: Arc<dyn Twist>,
}

/// State that mutants keep from call to call.
#[derive(Default)]
pub(crate) struct Memo {
    pub(crate) seen: BTreeMap<StoreKey, Option<Record>>,
    pub(crate) in_flight: u32,
    pub(crate) now: Option<Timestamp>,
    pub(crate) key: Option<StoreKey>,
    pub(crate) spoilt: bool,
    pub(crate) home: Option<tokio::runtime::Handle>,
}

impl Instance {
    pub(crate) fn memo(&self) -> MutexGuard<'_, Memo> {
        self.memo.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Operations of the reference. A mutant overrides some of them.
#[async_trait]
pub(crate) trait Twist: Send + Sync + 'static {
    async fn create(&self, at: &Instance, now: Timestamp, key: &StoreKey, record: &Record) -> Result<Outcome> {
        fits(record)?;
        Ok(at.world.rows().create(now, key, record))
    }

    async fn load(&self, at: &Instance, now: Timestamp, key: &StoreKey) -> Result<Option<Record>> {
        Ok(at.world.rows().live(now, key).cloned())
    }

    async fn save(
        &self,
        at: &Instance,
        now: Timestamp,
        key: &StoreKey,
        from: Version,
        record: &Record,
    ) -> Result<Outcome> {
        fits(record)?;
        Ok(at.world.rows().save(now, key, from, record))
    }

    async fn touch(
        &self,
        at: &Instance,
        now: Timestamp,
        key: &StoreKey,
        from: Version,
        expires_at: Timestamp,
    ) -> Result<Outcome> {
        Ok(at.world.rows().touch(now, key, from, expires_at))
    }

    async fn delete(&self, at: &Instance, now: Timestamp, key: &StoreKey, from: Option<Version>) -> Result<Outcome> {
        Ok(at.world.rows().delete(now, key, from))
    }

    async fn purge(&self, at: &Instance, now: Timestamp, limit: NonZeroU32) -> Result<Purged> {
        Ok(at.world.rows().purge(now, limit))
    }

    async fn sessions_of(
        &self,
        at: &Instance,
        now: Timestamp,
        who: &Principal,
        limit: NonZeroU32,
    ) -> Result<Vec<(StoreKey, Record)>> {
        if at.flavour == Flavour::Plain {
            return Err(Error::unsupported("sessions_of"));
        }
        let mut rows = at.world.rows().sessions_of(now, who);
        rows.truncate(limit.get() as usize);
        Ok(rows)
    }

    async fn delete_all(&self, at: &Instance, now: Timestamp, who: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        if at.flavour == Flavour::Plain {
            return Err(Error::unsupported("delete_all"));
        }
        Ok(at.world.rows().delete_all(now, who, keep))
    }

    async fn scan(&self, at: &Instance, now: Timestamp, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        if at.flavour == Flavour::Plain {
            return Err(Error::unsupported("scan"));
        }
        at.world.rows().scan(now, after, limit)
    }

    async fn close(&self, _at: &Instance) -> Result<()> {
        Ok(())
    }

    /// Returns the name under which the server keeps the namespace.
    fn namespace(&self, name: &str) -> Result<String> {
        Namespace::new(name).map(|name| name.to_string())
    }

    /// Returns the server of this namespace, and creates it if necessary.
    async fn open(&self, worlds: &Worlds, name: String) -> Arc<World> {
        worlds.get_or_make(name)
    }

    /// Writes the store's `Debug` output.
    fn debug(&self, _at: &Instance, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reference")
    }

    /// Returns whether the server of a namespace removes expired records by itself, if the store says so.
    fn expires(&self) -> bool {
        true
    }
}

/// The reference without a defect.
pub(crate) struct Honest;

impl Twist for Honest {}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.twist.debug(self, f)
    }
}

#[async_trait]
impl Store for Instance {
    fn capabilities(&self) -> Capabilities {
        self.flavour.capabilities()
    }

    async fn create(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Outcome> {
        self.twist.create(self, call.now, key, record).await
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
        self.twist.load(self, call.now, key).await
    }

    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        self.twist.save(self, call.now, key, expected, record).await
    }

    async fn touch(&self, call: &Call, key: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome> {
        self.twist.touch(self, call.now, key, expected, expires_at).await
    }

    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        self.twist.delete(self, call.now, key, expected).await
    }

    async fn purge(&self, call: &Call, limit: NonZeroU32) -> Result<Purged> {
        self.twist.purge(self, call.now, limit).await
    }

    async fn sessions_of(&self, call: &Call, who: &Principal, limit: NonZeroU32) -> Result<Vec<(StoreKey, Record)>> {
        self.twist.sessions_of(self, call.now, who, limit).await
    }

    async fn delete_all(&self, call: &Call, who: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        self.twist.delete_all(self, call.now, who, keep).await
    }

    async fn scan(&self, call: &Call, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        self.twist.scan(self, call.now, after, limit).await
    }

    async fn close(&self) -> Result<()> {
        self.twist.close(self).await
    }
}

/// Servers of all namespaces.
pub(crate) struct Worlds {
    by_name: Mutex<HashMap<String, Arc<World>>>,
    expires_itself: bool,
}

impl Worlds {
    pub(crate) fn new(expires_itself: bool) -> Self {
        Self { by_name: Mutex::default(), expires_itself }
    }

    fn map(&self) -> MutexGuard<'_, HashMap<String, Arc<World>>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<World>> {
        self.map().get(name).cloned()
    }

    pub(crate) fn make(&self, name: String) -> Arc<World> {
        let world = Arc::new(World::new(self.expires_itself));
        self.map().insert(name, Arc::clone(&world));
        world
    }

    pub(crate) fn get_or_make(&self, name: String) -> Arc<World> {
        let mut map = self.map();
        let fresh = || Arc::new(World::new(self.expires_itself));
        Arc::clone(map.entry(name).or_insert_with(fresh))
    }
}

/// Harness for the reference store, or for a mutant of it.
pub(crate) struct Bench {
    twist: Arc<dyn Twist>,
    flavour: Flavour,
    worlds: Worlds,
}

impl Bench {
    pub(crate) fn new(flavour: Flavour, twist: Arc<dyn Twist>) -> Self {
        let worlds = Worlds::new(flavour == Flavour::Expiring && twist.expires());
        Self { twist, flavour, worlds }
    }
}

/// Creates the subject of all harnesses here. Its time-outs are short, because some mutants run into them.
pub(crate) fn subject(name: &str) -> Subject {
    Subject::new(name, "0.0.0")
        .time_out(Duration::from_millis(300))
        .expiry_delay(Duration::from_millis(500))
        .clause_limit(Duration::from_secs(8))
        .secret("open-sesame")
        .history_ops(3_000)
}

#[async_trait]
impl Harness for Bench {
    async fn subject(&self) -> Result<Subject> {
        Ok(subject("reference"))
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>> {
        let name = self.twist.namespace(namespace)?;
        let world = self.twist.open(&self.worlds, name).await;
        let permits = tokio::sync::Semaphore::new(4);
        Ok(Arc::new(Instance {
            world,
            memo: Mutex::default(),
            permits,
            turn: tokio::sync::Mutex::new(()),
            flavour: self.flavour,
            twist: Arc::clone(&self.twist),
        }))
    }

    async fn plant_orphan(&self, namespace: &str, who: &Principal, key: &StoreKey) -> Result<bool> {
        let Some(world) = self.worlds.get(namespace) else { return Ok(false) };
        world.rows().index.insert((who.clone(), *key));
        Ok(true)
    }
}
