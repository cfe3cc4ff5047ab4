//! Content of a session, with its values encoded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::id_age::{IdAge, OldId};
use super::limits::Codec;
use super::value::{Rules, Value};
use crate::{Principal, Result, StoreKey, Timestamp};

/// One flash message. The request that shows it removes it by its id.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Flash {
    pub(crate) id: u64,
    pub(crate) value: Value,
}

/// Time-outs and persistence that a session has set for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnPolicy {
    pub(crate) idle: Option<Duration>,
    pub(crate) absolute: Option<Duration>,
    pub(crate) persistent: bool,
    /// Set if the manager's time for remembered sessions applies.
    pub(crate) remember: bool,
}

/// Serialized form of [`OwnPolicy`], shared by both codecs.
#[derive(Serialize, Deserialize)]
pub(super) struct WirePolicy {
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    idle: Option<u64>,
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    absolute: Option<u64>,
    #[serde(rename = "p", default, skip_serializing_if = "std::ops::Not::not")]
    persistent: bool,
    #[serde(rename = "r", default, skip_serializing_if = "std::ops::Not::not")]
    remember: bool,
}

impl From<OwnPolicy> for WirePolicy {
    fn from(own: OwnPolicy) -> Self {
        let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        Self {
            idle: own.idle.map(millis),
            absolute: own.absolute.map(millis),
            persistent: own.persistent,
            remember: own.remember,
        }
    }
}

impl From<WirePolicy> for OwnPolicy {
    fn from(wire: WirePolicy) -> Self {
        Self {
            idle: wire.idle.map(Duration::from_millis),
            absolute: wire.absolute.map(Duration::from_millis),
            persistent: wire.persistent,
            remember: wire.remember,
        }
    }
}

/// Content of a session: all of its record except the key, the version and the expiry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Content {
    /// Codec of the record, and of every value in it.
    pub(crate) codec: Codec,
    pub(crate) created_at: Timestamp,
    pub(crate) principal: Option<Principal>,
    pub(crate) auth_time: Option<Timestamp>,
    pub(crate) label: Option<Arc<str>>,
    /// Logical name of the session, if it has a principal.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) own: OwnPolicy,
    /// Age of the session's id. `None` if the session has had it since its start.
    pub(crate) id_age: Option<Arc<IdAge>>,
    pub(crate) values: BTreeMap<Arc<str>, Value>,
    pub(crate) flashes: BTreeMap<Arc<str>, Vec<Flash>>,
    /// Envelope fields of a later release. A save writes them back, so that an older process does not drop them.
    pub(crate) unknown: BTreeMap<Arc<str>, Value>,
}

impl Content {
    pub(crate) fn empty(created_at: Timestamp, codec: Codec) -> Self {
        Self {
            codec,
            created_at,
            principal: None,
            auth_time: None,
            label: None,
            name: None,
            own: OwnPolicy::default(),
            id_age: None,
            values: BTreeMap::new(),
            flashes: BTreeMap::new(),
            unknown: BTreeMap::new(),
        }
    }

    /// Returns the value under `key`, unless its deadline has passed at `now`.
    pub(crate) fn value(&self, key: &str, now: Timestamp) -> Option<&Value> {
        self.values.get(key).filter(|value| value.is_live(now))
    }

    /// Returns the values whose deadline has not passed at `now`, with their keys.
    pub(crate) fn live_values(&self, now: Timestamp) -> impl Iterator<Item = (&Arc<str>, &Value)> {
        self.values.iter().filter(move |(_, value)| value.is_live(now))
    }

    /// Checks that there is room for a value under `key` now.
    pub(crate) fn check_room(&self, key: &str, now: impl FnOnce() -> Timestamp, rules: &Rules) -> Result<()> {
        let most = rules.limits.max_keys;
        let is_full =
            self.values.len() >= most && !self.values.contains_key(key) && self.live_values(now()).count() >= most;
        if is_full { Err(rules.too_many_keys().on_key(key)) } else { Ok(()) }
    }

    /// Removes the values whose deadline has passed at `now`.
    pub(crate) fn remove_expired(content: &mut Arc<Self>, now: Timestamp) {
        if content.values.values().any(|value| !value.is_live(now)) {
            Arc::make_mut(content).values.retain(|_, value| value.is_live(now));
        }
    }

    /// Returns the deadlines of values, by key.
    pub(super) fn deadlines(&self) -> BTreeMap<Arc<str>, Timestamp> {
        self.values.iter().filter_map(|(key, value)| Some((key.clone(), value.until?))).collect()
    }

    /// Sets the deadlines of values. Those of keys without a value are ignored.
    pub(super) fn set_deadlines(&mut self, deadlines: BTreeMap<Arc<str>, Timestamp>) {
        for (key, until) in deadlines {
            if let Some(value) = self.values.get_mut(&key) {
                value.until = Some(until);
            }
        }
    }

    /// Returns the session's old id if a renewal has moved it here from `key`.
    pub(crate) fn renewed_from(&self, key: &StoreKey) -> Option<&OldId> {
        self.id_age.as_ref()?.before.as_ref().filter(|before| before.key == *key)
    }

    /// Returns the content with the age of the id in `current`.
    pub(crate) fn with_id_age_of(&self, current: &Self) -> Self {
        Self { id_age: current.id_age.clone(), ..self.clone() }
    }

    /// Whether the two differ in nothing but the age of the id, which is no change that a request has made.
    pub(crate) fn differs_in_id_only(&self, other: &Self) -> bool {
        self.with_id_age_of(other) == *other
    }

    pub(crate) fn flash_count(&self) -> usize {
        self.flashes.values().map(Vec::len).sum()
    }

    /// Returns the key and the id of the oldest message.
    pub(crate) fn oldest_flash(&self) -> Option<(Arc<str>, u64)> {
        let all = self.flashes.iter().flat_map(|(key, messages)| messages.iter().map(move |flash| (flash.id, key)));
        all.min().map(|(id, key)| (key.clone(), id))
    }

    /// Returns the principal, the time of authentication and the codec. If one of them differs in a newer record, no changes are replayed on it.
    ///
    /// A record keeps its codec for its life, so a record in another codec is another session.
    pub(crate) fn identity(&self) -> (Option<&Principal>, Option<Timestamp>, Codec) {
        (self.principal.as_ref(), self.auth_time, self.codec)
    }
}
