//! A store of tower-sessions as a store of this project.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use peers::tower_sessions::cookie::time::OffsetDateTime;
use peers::tower_sessions::session::Id;
use serde_json::Value;
use session_core::Outcome::{Done, Exists, Missing};
use session_core::{
    Bytes, Call, Capabilities, Error, ErrorKind, Outcome, Principal, Record, Result, Store, StoreKey, Timestamp,
    Version,
};

use crate::lifetimes::{Lifetime, Lifetimes};
use crate::peer::{Kept, Peer};

/// Text of an error that is due to the machine and not to the store.
pub(crate) const TOO_SLOW: &str = "this machine was too slow to ask in time";

/// A store of tower-sessions as a [`Store`], used as its own `Session` does.
///
/// | here | there |
/// |---|---|
/// | `create` | `create`; `Exists` if it stored the record under another id, because that reports a taken id. That record is deleted. |
/// | `save` | `save`, for any expected version; `Done` if it answers `Ok`, because its applications learn no more. |
/// | `load` | `load` |
/// | `touch` | `load`, then `save` with the later expiry, as its session does, for any expected version |
/// | `delete` | `delete`, for any expected version; `Done` if it answers `Ok` |
///
/// **Records.** Version, creation, principal and data are values in the session's map, next to each other like an application's values.
/// A load returns only what the peer kept; the adapter remembers no content. The expiry is the peer's `expiry_date`.
///
/// **Keys.** An id has half the bytes of a key. The halves of a key are folded, so that keys that differ in one bit have ids that
/// differ in one or two bits. If all bytes of a key belong to the alphabet of written ids, its first characters are the id. So keys
/// that differ in the case of their letters have ids that differ in case, in the form in which the peers keep them. (Such keys
/// with the same beginning share an id. The suite has only two of them, and a random key is never one.)
///
/// **Time.** The peers use the machine's clock. The suite uses its own clock, which is set and not waited for. So a record's lifetime is
/// shifted to the machine's clock, by whole seconds and with two to spare for reading and writing. An operation near the end of a
/// record's lifetime waits until the machine's clock is on the same side of that end: at the end, or 200 ms before it.
/// This favours the peers, because nothing is asked of them within the last 200 ms of a record's lifetime. If an end is more than 90 s
/// away, a load beyond it is not sent, but answered correctly by the adapter.
#[derive(Debug)]
pub(crate) struct Adapter {
    peer: Arc<dyn Peer>,
    lifetimes: Arc<Lifetimes>,
    durable: bool,
}

impl Adapter {
    /// Makes an adapter. All adapters of the same records share `lifetimes`. A store that is not `durable` is not `shared` either.
    pub(crate) fn new(peer: Arc<dyn Peer>, lifetimes: Arc<Lifetimes>, durable: bool) -> Self {
        Self { peer, lifetimes, durable }
    }

    async fn reach(&self, key: &StoreKey, now: Timestamp) -> Result<()> {
        let reached = self.lifetimes.reach(key, now).await;
        reached.then_some(()).ok_or(Error::unsupported("writing at an instant that cannot be waited for"))
    }
}

#[async_trait]
impl Store for Adapter {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new().durable(self.durable).shared(self.durable).expires_itself(true)
    }

    async fn create(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Outcome> {
        self.reach(key, call.now).await?;
        let (id, lifetime) = (id(key), Lifetime::begin(call.now, record.expires_at));
        let stored = self.peer.create(kept(id, record, lifetime)?).await?;
        if stored != id {
            self.peer.delete(stored).await?;
            return Ok(Exists);
        }
        self.lifetimes.set(key, lifetime);
        Ok(Done)
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
        if !self.lifetimes.reach(key, call.now).await {
            return Ok(None);
        }
        let loaded = self.peer.load(id(key)).await?;
        let late = |lifetime: Lifetime| call.now < lifetime.expires_at && lifetime.is_over();
        match loaded {
            Some(kept) => record(kept).map(Some),
            None if self.lifetimes.of(key).is_some_and(late) => Err(Error::new(ErrorKind::Other, TOO_SLOW)),
            None => Ok(None),
        }
    }

    async fn save(&self, call: &Call, key: &StoreKey, _: Version, record: &Record) -> Result<Outcome> {
        self.reach(key, call.now).await?;
        let lifetime = Lifetime::begin(call.now, record.expires_at);
        self.peer.save(kept(id(key), record, lifetime)?).await?;
        self.lifetimes.set(key, lifetime);
        Ok(Done)
    }

    async fn touch(&self, call: &Call, key: &StoreKey, _: Version, expires_at: Timestamp) -> Result<Outcome> {
        self.reach(key, call.now).await?;
        let Some(mut kept) = self.peer.load(id(key)).await? else { return Ok(Missing) };
        let lifetime = Lifetime { expires_at, clock: number(&kept, CLOCK)? };
        let later = instant(lifetime.ends())?;
        if later > kept.expiry_date {
            kept.expiry_date = later;
            self.lifetimes.set(key, lifetime);
        }
        self.peer.save(kept).await?;
        Ok(Done)
    }

    async fn delete(&self, call: &Call, key: &StoreKey, _: Option<Version>) -> Result<Outcome> {
        self.reach(key, call.now).await?;
        self.peer.delete(id(key)).await?;
        Ok(Done)
    }
}

/// Returns the id for a key.
pub(crate) fn id(key: &StoreKey) -> i128 {
    let bytes = key.as_bytes();
    // Twenty-one characters are 126 bits; `A` is two that are zero.
    let text = str::from_utf8(&bytes[..21]).ok().filter(|_| bytes.iter().all(|byte| is_written_in_ids(*byte)));
    if let Some(Ok(Id(id))) = text.map(|text| format!("{text}A").parse()) {
        return id;
    }
    let (low, high) = bytes.split_at(16);
    let half = |bytes: &[u8]| bytes.iter().fold(0_u128, |half, byte| half << 8 | u128::from(*byte));
    (half(low) ^ half(high) ^ half(high).rotate_left(1)).cast_signed()
}

const fn is_written_in_ids(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

const VERSION: &str = "version";
const CREATED: &str = "created";
const CLOCK: &str = "clock";
const PRINCIPAL: &str = "principal";
const DATA: &str = "data";

fn kept(id: i128, record: &Record, lifetime: Lifetime) -> Result<Kept> {
    let mut data = HashMap::from([
        (VERSION.to_owned(), record.version.as_i64().into()),
        (CREATED.to_owned(), record.created_at.as_millis().into()),
        (CLOCK.to_owned(), lifetime.clock.into()),
        // Each byte is the character with its number, so ASCII text stays as it is.
        (DATA.to_owned(), record.data.iter().copied().map(char::from).collect::<String>().into()),
    ]);
    if let Some(principal) = &record.principal {
        data.insert(PRINCIPAL.to_owned(), principal.as_str().into());
    }
    Ok(Kept { id, data, expiry_date: instant(lifetime.ends())? })
}

fn record(mut kept: Kept) -> Result<Record> {
    let expiry =
        i64::try_from(kept.expiry_date.unix_timestamp_nanos().div_euclid(1_000_000)).map_err(|_| not_ours())?;
    let principal = match kept.data.get(PRINCIPAL) {
        Some(principal) => Some(Principal::new(principal.as_str().ok_or_else(not_ours)?)?),
        None => None,
    };
    let Some(Value::String(text)) = kept.data.remove(DATA) else { return Err(not_ours()) };
    let data = text.chars().map(u8::try_from).collect::<Result<Bytes, _>>().map_err(|_| not_ours())?;
    Ok(Record::new(
        Version::from_i64(number(&kept, VERSION)?)?,
        Timestamp::from_millis(number(&kept, CREATED)?)?,
        Timestamp::from_millis(expiry - number(&kept, CLOCK)?)?,
        principal,
        data,
    ))
}

fn number(kept: &Kept, name: &str) -> Result<i64> {
    kept.data.get(name).and_then(Value::as_i64).ok_or_else(not_ours)
}

fn not_ours() -> Error {
    Error::new(ErrorKind::Corrupt, "the session lacks a value that was stored, or has another")
}

fn instant(millis: i64) -> Result<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
        .map_err(|_| Error::new(ErrorKind::Config, "the expiry is none that tower-sessions can write"))
}
