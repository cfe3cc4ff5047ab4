//! The contract between sessions and databases.

use std::any::Any;
use std::fmt::Debug;
use std::num::NonZeroU32;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Error, Principal, Record, Result, StoreKey, Timestamp, Version};

mod capabilities;
mod delegate;
mod null;

pub use capabilities::Capabilities;
pub use null::NullStore;

/// What a call to a store carries beside its operands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Call {
    /// The instant that counts as now: it alone decides which records are live.
    pub now: Timestamp,
}

impl Call {
    /// A call made at `now`.
    pub const fn new(now: Timestamp) -> Self {
        Self { now }
    }
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "a write that was refused changed nothing"]
pub enum Outcome {
    /// It was carried out.
    Done,
    /// `create`: a live record has the key already.
    Exists,
    /// `save`, `touch`, `delete`: the live record has another version than the one expected.
    Conflict,
    /// `save`, `touch`, `delete`: there is no live record.
    Missing,
}

/// How far a [`Store::purge`] came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Purged {
    /// How many expired records it removed.
    pub removed: u32,
    /// Whether expired records may be left: call again.
    pub more: bool,
}

impl Purged {
    /// So many removed, and whether there may be more.
    pub const fn new(removed: u32, more: bool) -> Self {
        Self { removed, more }
    }
}

/// Where a [`Store::scan`] goes on. What the bytes mean is the store's own affair.
#[derive(Clone, PartialEq, Eq)]
pub struct Cursor(Bytes);

impl Cursor {
    /// A cursor of these bytes.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// The bytes it was made of.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cursor(***)")
    }
}

/// One page of a [`Store::scan`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Page {
    /// Live records; a page may be empty though there are more.
    pub records: Vec<(StoreKey, Record)>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Cursor>,
}

impl Page {
    /// A page of `records`, with the next one at `next`.
    pub const fn new(records: Vec<(StoreKey, Record)>, next: Option<Cursor>) -> Self {
        Self { records, next }
    }
}

/// A place where sessions are kept, and what it promises.
///
/// A record is *live* when it is stored and its `expires_at` lies after `call.now`.
///
/// # Promises to the caller
///
/// 1. **Time is the caller's.** Whether a record is live is decided by `call.now` alone.
///    Removal is the one exception, see [`purge`](Store::purge).
/// 2. **Every write is a compare-and-set** ([`create`](Store::create), [`save`](Store::save)): of several from the same state exactly one wins.
/// 3. **The same call twice is one call.** A create or save whose `record.version` is what is stored already answers [`Outcome::Done`]
///    and changes nothing, so sending it again after a lost reply does no harm. A touch sent again is `Done` again.
/// 4. **An outage is an error** of kind [`Unavailable`](crate::ErrorKind::Unavailable), never `None` or [`Outcome::Missing`].
///    It comes within the configured time-out, time spent waiting for a connection included.
///    When the outage passes the store works again without being opened anew.
/// 5. **Dropping a future** leaves the old record or the new one, and no lock, transaction or half-used connection.
/// 6. **Data is opaque**: any bytes up to [`Capabilities::max_data_len`]; longer is [`TooLarge`](crate::ErrorKind::TooLarge) and changes nothing.
/// 7. **Namespaces** on one server do not see each other.
/// 8. **No operation spans two keys**, so that clusters and caches can keep all of this too.
/// 9. **A record that cannot be read** is an error of kind [`Corrupt`](crate::ErrorKind::Corrupt) for a call that loads it, and for no other call.
///    Lists leave it out, with a `tracing` event. A delete without a version and [`delete_all`](Store::delete_all) remove it.
///
/// # For those who write a store
///
/// - Many drivers are not safe to cancel: run statements in tasks of the store's own, never in the caller's future.
/// - Times are exact to the millisecond. A server that counts in seconds keeps the milliseconds beside.
/// - Build the server's compare-and-set on `version`; a check followed by a write is no compare-and-set.
/// - [`Live`](crate::Live) decides every write from the version that is stored, for stores that read before they write.
/// - Six methods are enough. The others have defaults for a store without the capability: `sessions_of`, `delete_all` and `scan`
///   answer [`Error::unsupported`](crate::Error::unsupported), `purge` removes nothing.
/// - The crate `conformance` checks every sentence here; `docs/writing-a-store.md` walks through it.
///
/// # For those who wrap a store
///
/// A wrapper keeps the promises or takes the capability away. It passes `call` on unchanged and never retries a write
/// under another version: only the identical call is safe to send again.
///
/// A wrapper passes every method on, those with defaults too. [`delegate_store!`](crate::delegate_store) does so for a newtype.
/// The suite finds a wrapper that states a capability and leaves a default in its place.
///
/// A store is [`Any`], so whoever is handed one behind a pointer can find out which it is: `session-http` serves
/// cookie sessions by that.
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a session store",
    note = "implement `session_core::Store` with `#[async_trait]`; `Arc<S>` and `Box<S>` of a store are stores"
)]
pub trait Store: Any + Debug + Send + Sync {
    /// What this store can do. Constant over its life.
    fn capabilities(&self) -> Capabilities;

    /// Stores `record` if no live record has the key: [`Outcome::Done`] or [`Outcome::Exists`].
    ///
    /// On `Exists` nothing changes. Of concurrent creates of one key exactly one is `Done`.
    /// An expired record that still lies there is replaced whole, its index entry included, in the same step.
    /// If the live record has `record.version` already, this call was carried out before: `Done`.
    async fn create(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Outcome>;

    /// The last completed write, or `None` when no live record has the key. Never writes.
    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>>;

    /// Replaces the live record whose version is `expected`, and nothing else:
    /// [`Outcome::Done`], [`Outcome::Conflict`] (live, with another version) or [`Outcome::Missing`] (not live).
    ///
    /// It never creates and never revives; `expires_at` may move in both directions, into the past too.
    /// Of concurrent saves from one version exactly one is `Done`.
    /// If the live record has `record.version` already, this call was carried out before: `Done`.
    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome>;

    /// Moves the expiry of the live record whose version is `expected` out to `expires_at`, never nearer:
    /// [`Outcome::Done`], [`Outcome::Conflict`] (live, with another version) or [`Outcome::Missing`] (not live).
    ///
    /// After `Done` the expiry is the later of the two. A refused touch changes nothing, so a late request cannot extend
    /// the record that has taken the place of the one that it read.
    /// Version, data, principal and index stay: a save made from `expected` still succeeds, and so does the same touch again.
    /// No data crosses the wire.
    async fn touch(&self, call: &Call, key: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome>;

    /// Removes a live record, with `expected` only that version: [`Outcome::Done`], [`Outcome::Conflict`] or [`Outcome::Missing`].
    ///
    /// Once it has returned `Done`, no save or touch that was in flight brings the record back.
    /// It is the one write that tells nothing when it is sent again: after a lost answer the second one is `Missing`.
    /// Without `expected` it also removes a record that cannot be read.
    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome>;

    /// Removes at most `limit` expired records in one short transaction.
    ///
    /// Only what both `call.now` and the server's own clock call expired goes, so that one node with a wrong clock deletes nothing.
    /// What a save or touch answered `Done` for survives.
    /// The default removes nothing. It suits a store whose server [expires by itself](Capabilities::expires_itself), or that keeps nothing.
    async fn purge(&self, call: &Call, limit: NonZeroU32) -> Result<Purged> {
        let _ = (call, limit);
        Ok(Purged::default())
    }

    /// Live records of `principal`, at most `limit`, in no order. Expired ones that still lie there do not count,
    /// and neither do those that cannot be read.
    ///
    /// Needs [`Capabilities::by_principal`]; the default is [`Error::unsupported`](crate::Error::unsupported).
    /// Misses no record whose create or save returned before this call began.
    async fn sessions_of(
        &self,
        call: &Call,
        principal: &Principal,
        limit: NonZeroU32,
    ) -> Result<Vec<(StoreKey, Record)>> {
        let _ = (call, principal, limit);
        Err(Error::unsupported("sessions_of"))
    }

    /// Removes every live record of `principal` except `keep`, and answers how many.
    ///
    /// Needs [`Capabilities::by_principal`]; the default is [`Error::unsupported`](crate::Error::unsupported).
    /// Misses no record whose create or save returned before this call began,
    /// and touches no other principal's, not even as `keep`. It also removes the principal's records that cannot be read.
    async fn delete_all(&self, call: &Call, principal: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        let _ = (call, principal, keep);
        Err(Error::unsupported("delete_all"))
    }

    /// Live records from `after` on, at most `limit`, each at least once over the whole walk. Those that cannot be read are left out.
    ///
    /// Needs [`Capabilities::scan`]; the default is [`Error::unsupported`](crate::Error::unsupported).
    /// A record that is live throughout the walk is visited; one that comes or goes may be.
    async fn scan(&self, call: &Call, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        let _ = (call, after, limit);
        Err(Error::unsupported("scan"))
    }
}
