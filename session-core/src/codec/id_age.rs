//! Age of a session's id, and the id before it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::sealed_id::SealedId;
use crate::{StoreKey, Timestamp};

/// Age of a session's id. A session without one has had its id since its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdAge {
    /// Instant at which the session got its id.
    pub(crate) since: Timestamp,
    /// The id before, if a renewal has replaced it. After a login or a rotation there is none.
    pub(crate) before: Option<OldId>,
}

/// Id that a renewal has replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OldId {
    /// Key under which the session was stored.
    pub(crate) key: StoreKey,
    /// The session's present id.
    pub(crate) sealed: SealedId,
    /// Instant at which a client was first seen to have the present id.
    pub(crate) seen: Option<Timestamp>,
}

impl IdAge {
    /// Returns the id before, if no client was seen to have the present one.
    pub(crate) fn unseen(&self) -> Option<&OldId> {
        self.before.as_ref().filter(|before| before.seen.is_none())
    }
}

/// Serialized form of [`IdAge`], shared by both codecs.
#[derive(Serialize, Deserialize)]
pub(super) struct WireIdAge {
    #[serde(rename = "s")]
    since: i64,
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    before: Option<WireOldId>,
}

#[derive(Serialize, Deserialize)]
struct WireOldId {
    #[serde(rename = "k")]
    key: String,
    #[serde(rename = "n")]
    sealed: String,
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    seen: Option<i64>,
}

impl From<&IdAge> for WireIdAge {
    fn from(age: &IdAge) -> Self {
        let before = age.before.as_ref().map(|before| WireOldId {
            key: URL_SAFE_NO_PAD.encode(before.key.as_bytes()),
            sealed: URL_SAFE_NO_PAD.encode(before.sealed.as_bytes()),
            seen: before.seen.map(Timestamp::as_millis),
        });
        Self { since: age.since.as_millis(), before }
    }
}

impl WireIdAge {
    /// Returns the age, or `None` if a part of it is malformed.
    pub(super) fn read(&self) -> Option<IdAge> {
        let before = match &self.before {
            None => None,
            Some(before) => Some(OldId {
                key: StoreKey::from_bytes(bytes(&before.key)?),
                sealed: SealedId::from_bytes(bytes(&before.sealed)?),
                seen: before.seen.map(Timestamp::from_millis).transpose().ok()?,
            }),
        };
        Some(IdAge { since: Timestamp::from_millis(self.since).ok()?, before })
    }
}

fn bytes(text: &str) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}
