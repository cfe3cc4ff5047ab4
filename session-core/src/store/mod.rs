//! Contract between sessions and databases.

use std::any::Any;
use std::fmt::Debug;
use std::num::NonZeroU32;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Error, Principal, Record, Result, StoreKey, Timestamp, Version};

mod capabilities;
mod delegate;
mod null;
mod outcome;

pub use capabilities::Capabilities;
pub use null::NullStore;
pub use outcome::Outcome;

/// Context of a call to a store, beside its operands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Call {
    /// Current instant, set by the caller. It alone decides which records are live.
    pub now: Timestamp,
}

impl Call {
    /// Returns the context of a call made at `now`.
    pub const fn new(now: Timestamp) -> Self {
        Self { now }
    }
}

/// Result of a [`Store::purge`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Purged {
    /// Number of expired records removed.
    pub removed: u32,
    /// Whether expired records may remain. If so, call `purge` again.
    ///
    /// `false` ends a round of calls: no record remains that had expired by the `now` of the round's first call.
    /// A record that expires during the round may be left to the next one.
    pub more: bool,
}

impl Purged {
    /// Returns the result of a purge that removed `removed` records. `more` says whether others may remain.
    pub const fn new(removed: u32, more: bool) -> Self {
        Self { removed, more }
    }
}

/// Position at which a [`Store::scan`] continues. Only the store knows the meaning of its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Cursor(Bytes);

impl Cursor {
    /// Makes a cursor from `bytes`.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// Returns the bytes that the cursor was made from.
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
    /// Live records. A page may be empty although others follow.
    pub records: Vec<(StoreKey, Record)>,
    /// Cursor of the next page, or `None` if this is the last.
    pub next: Option<Cursor>,
}

impl Page {
    /// Returns a page of `records`. `next` is the cursor of the next page.
    pub const fn new(records: Vec<(StoreKey, Record)>, next: Option<Cursor>) -> Self {
        Self { records, next }
    }
}

/// Stores the records of sessions. This trait is the contract between sessions and a database.
///
/// A record is *live* when it is stored and its `expires_at` is later than `call.now`.
///
/// # Promises to the caller
///
/// 1. **The caller sets the time.** `call.now` alone decides whether a record is live.
///    The removal of expired records is the one exception, see [`purge`](Store::purge).
/// 2. **Every write is a compare-and-set.** Of several [`create`](Store::create) or [`save`](Store::save) calls from the same state,
///    exactly one succeeds.
/// 3. **A repeated call counts once.** A create or save whose `record.version` is already stored returns [`Outcome::Done`]
///    and changes nothing, so a caller can retry it after a lost reply. A repeated touch is `Done` again.
///    Only a repeated [`delete`](Store::delete) may have another outcome.
/// 4. **An outage is an error** of kind [`Unavailable`](crate::ErrorKind::Unavailable), never `None` or [`Outcome::Missing`].
///    The error is returned within the configured time-out, which includes the time spent waiting for a connection.
///    After the outage the store works again without being reopened.
/// 5. **A future may be dropped at any time.** The store then has either the old record or the new one.
///    No lock, transaction or half-used connection remains.
/// 6. **Data is opaque.** A record holds any bytes up to [`Capabilities::max_data_len`].
///    Longer data is an error of kind [`TooLarge`](crate::ErrorKind::TooLarge) and changes nothing.
/// 7. **Namespaces are separate.** Namespaces on one server do not see each other's records.
/// 8. **No operation spans two keys.** No write has to change two records atomically, so clusters and caches can keep these promises too.
/// 9. **A record that cannot be read** is an error of kind [`Corrupt`](crate::ErrorKind::Corrupt) for a call that loads it, and for no other call.
///    Lists leave it out and emit a `tracing` event. A delete without a version and [`delete_all`](Store::delete_all) remove it.
///
/// # For implementors
///
/// - Many drivers are not cancel-safe. Run statements in tasks of the store's own, never in the caller's future.
/// - Times are exact to the millisecond. If the server counts in seconds, store the milliseconds separately.
/// - Make the server compare `version` and write in one atomic step. A check followed by a separate write is no compare-and-set.
/// - [`Live`](crate::Live) decides every write from the stored version, for stores that read before they write.
/// - Six methods are required. The others have defaults for a store without the capability: `sessions_of`, `delete_all` and `scan`
///   return [`Error::unsupported`](crate::Error::unsupported), and `purge` and `close` do nothing.
/// - The crate `session-conformance` checks every sentence here. `docs/writing-a-store.md` builds a store step by step.
///
/// # For wrappers
///
/// A wrapper keeps each promise or takes the capability away. It passes `call` on unchanged.
/// It never retries a write under another version, because only the identical call is safe to repeat.
///
/// A wrapper forwards every method, including those with defaults. [`delegate_store!`](crate::delegate_store) does so for a newtype.
/// The suite `session-conformance` finds a wrapper that states a capability but keeps the default of its method.
///
/// A store is [`Any`], so a caller that holds a `dyn Store` can find out its type. `session-http` recognises its cookie store this way.
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a session store",
    note = "implement `session_core::Store` with `#[async_trait]`; `Arc<S>` and `Box<S>` of a store are stores"
)]
pub trait Store: Any + Debug + Send + Sync {
    /// Returns the capabilities of the store, which never change.
    fn capabilities(&self) -> Capabilities;

    /// Stores `record` if no live record has the key.
    ///
    /// Returns [`Outcome::Done`], or [`Outcome::Exists`] if another live record has the key. `Exists` changes nothing.
    ///
    /// - Of concurrent creates of one key, exactly one is `Done`.
    /// - An expired record that is still stored is replaced as a whole in the same step, including its index entry.
    /// - If the live record already has `record.version`, an identical call was carried out before, and this one is `Done`.
    async fn create(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Outcome>;

    /// Returns the record of the last completed write, or `None` if no live record has the key. Never writes.
    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>>;

    /// Replaces the live record under the key if its version is `expected`.
    ///
    /// Returns [`Outcome::Done`], [`Outcome::Conflict`] if the live record has another version, or [`Outcome::Missing`]
    /// if no live record has the key. Only `Done` changes anything.
    ///
    /// - A save never creates a record and never revives an expired one.
    /// - It may move `expires_at` in both directions, even into the past.
    /// - Of concurrent saves from one version, exactly one is `Done`.
    /// - If the live record already has `record.version`, an identical call was carried out before, and this one is `Done`.
    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome>;

    /// Extends the live record under the key to `expires_at` if its version is `expected`.
    ///
    /// Returns [`Outcome::Done`], [`Outcome::Conflict`] if the live record has another version, or [`Outcome::Missing`]
    /// if no live record has the key.
    ///
    /// - After `Done` the expiry is the later of the stored one and `expires_at`. A touch never shortens a record's life.
    /// - `Conflict` and `Missing` change nothing. So a late request cannot extend a record that has replaced the one it read.
    /// - Version, data, principal and index stay as they are. So a save from `expected` still succeeds, and so does the same touch again.
    /// - The record's data is not transferred.
    async fn touch(&self, call: &Call, key: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome>;

    /// Removes the live record under the key. With `expected`, removes it only if it has that version.
    ///
    /// Returns [`Outcome::Done`], [`Outcome::Conflict`] if the live record has another version than `expected`, or
    /// [`Outcome::Missing`] if no live record has the key.
    ///
    /// - After `Done`, no save or touch that was in flight brings the record back.
    /// - A delete that is repeated after a lost reply is `Missing`, even if the first one removed the record.
    /// - Without `expected`, it also removes a record that cannot be read.
    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome>;

    /// Removes at most `limit` expired records in one short transaction.
    ///
    /// - A record is removed only if it has expired by `call.now` and by the server's own clock. So a node with a wrong clock
    ///   removes no live record.
    /// - A record that a concurrent save or touch has extended, with the outcome `Done`, survives.
    ///
    /// The default removes nothing. It suits a store that keeps nothing, and one whose server
    /// [removes expired records itself](Capabilities::expires_itself).
    async fn purge(&self, call: &Call, limit: NonZeroU32) -> Result<Purged> {
        let _ = (call, limit);
        Ok(Purged::default())
    }

    /// Returns at most `limit` live records of `principal`, in no particular order.
    ///
    /// Expired records that are still stored, and records that cannot be read, are left out and do not count towards `limit`.
    /// Within `limit`, the call misses no record whose create or save returned before it began.
    ///
    /// Needs [`Capabilities::by_principal`]. The default returns [`Error::unsupported`](crate::Error::unsupported).
    async fn sessions_of(
        &self,
        call: &Call,
        principal: &Principal,
        limit: NonZeroU32,
    ) -> Result<Vec<(StoreKey, Record)>> {
        let _ = (call, principal, limit);
        Err(Error::unsupported("sessions_of"))
    }

    /// Removes every live record of `principal` except the one under `keep`, and returns their number.
    ///
    /// - The call misses no record whose create or save returned before it began.
    /// - It changes no record of another principal, even if `keep` is the key of one.
    /// - It also removes the principal's records that cannot be read.
    ///
    /// Needs [`Capabilities::by_principal`]. The default returns [`Error::unsupported`](crate::Error::unsupported).
    async fn delete_all(&self, call: &Call, principal: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        let _ = (call, principal, keep);
        Err(Error::unsupported("delete_all"))
    }

    /// Returns a page of at most `limit` live records, from the position `after` on, or from the start if it is `None`.
    ///
    /// A walk follows [`Page::next`] until it is `None`. A record that is live throughout the walk is returned at least once.
    /// A record that is stored or removed during the walk may be returned. Records that cannot be read are left out.
    ///
    /// Needs [`Capabilities::scan`]. The default returns [`Error::unsupported`](crate::Error::unsupported).
    async fn scan(&self, call: &Call, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        let _ = (call, after, limit);
        Err(Error::unsupported("scan"))
    }

    /// Ends the store before the process does: waits for the calls in flight, then gives back what the store holds, such as
    /// connections, threads and open files.
    ///
    /// - Every confirmed write is kept. SQLite's database is then complete in its file, without a log beside it, unless another process
    ///   uses it.
    /// - A call in flight has its usual result, or is [`Unavailable`](crate::ErrorKind::Unavailable).
    /// - A later call to a store that held something is `Unavailable`. Clones share what they hold, so they are closed together.
    /// - A store that is closed already stays closed, and closing it again is no error.
    ///
    /// A store that is dropped without it loses nothing that was confirmed either, but its threads may still run when the process ends.
    /// The default does nothing. It suits a store that holds nothing, or only connections, which end with the process.
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}
