//! New id of a renewed session, sealed so that only the holder of the old id can read it.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::{SessionId, StoreKey};

/// Separates this use of an id as a key from any other.
const PURPOSE: &[u8] = b"session-core renewed id";

/// Id of a session, encrypted with a one-time pad that is derived from the id before it.
///
/// The pad is HMAC-SHA-256 of the new key under the old id, so each new id has a pad of its own. The new key also proves that the id is
/// intact, because it is a hash of that id. A stolen database has neither id, so it opens nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct SealedId([u8; 32]);

impl SealedId {
    /// Seals `id`, whose key is `key`, for clients that hold the id `old`.
    pub(crate) fn seal(id: &SessionId, key: &StoreKey, old: &SessionId) -> Self {
        Self(pad(id.as_bytes(), key, old))
    }

    /// Returns the id, whose key is `key` under the logical name `name`. `None` if it was sealed for another id than `old`, or was changed.
    pub(crate) fn open(&self, name: &str, key: &StoreKey, old: &SessionId) -> Option<SessionId> {
        let id = SessionId::from_bytes(pad(&self.0, key, old));
        (StoreKey::derive(name, &id) == *key).then_some(id)
    }

    pub(crate) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Adds the pad to `bytes`. A second call removes it.
fn pad(bytes: &[u8; 32], key: &StoreKey, old: &SessionId) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(old.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(PURPOSE);
    mac.update(key.as_bytes());
    let mut padded: [u8; 32] = mac.finalize().into_bytes().into();
    padded.iter_mut().zip(bytes).for_each(|(pad, byte)| *pad ^= byte);
    padded
}

impl fmt::Debug for SealedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedId(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_old_id_opens_it_and_no_changed_byte_passes() {
        let [old, new, other] = [(); 3].map(|()| SessionId::random());
        let key = StoreKey::derive("id", &new);
        let sealed = SealedId::seal(&new, &key, &old);
        assert_eq!(sealed.open("id", &key, &old), Some(new.clone()));
        assert_eq!(sealed.open("id", &key, &other), None);
        assert_eq!(sealed.open("other", &key, &old), None);
        assert_eq!(sealed.open("id", &StoreKey::derive("id", &other), &old), None);
        for bit in 0..256 {
            let mut changed = *sealed.as_bytes();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SealedId::from_bytes(changed).open("id", &key, &old), None);
        }
    }

    #[test]
    fn two_ids_that_are_sealed_under_one_have_different_pads() {
        let [old, one, other] = [(); 3].map(|()| SessionId::random());
        let pads = [one, other].map(|id| {
            let sealed = SealedId::seal(&id, &StoreKey::derive("id", &id), &old);
            let pad: Vec<u8> = sealed.as_bytes().iter().zip(id.as_bytes()).map(|(a, b)| a ^ b).collect();
            pad
        });
        assert_ne!(pads[0], pads[1]);
    }
}
