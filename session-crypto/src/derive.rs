//! Derives the keys of each use from a secret.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Length of a key's id in bytes. It is enough to distinguish 8 keys and takes little space in a cookie.
pub(crate) const ID: usize = 4;

/// Root key extracted from a secret (HKDF-Extract). It has the same length for every secret.
#[derive(Clone)]
pub(crate) struct Root(Zeroizing<[u8; 32]>);

/// Key for one use, purpose and name.
pub(crate) type Key = Zeroizing<[u8; 32]>;

/// Use of a key. No two uses share a key.
#[derive(Clone, Copy)]
pub(crate) enum Use {
    Seal,
    Sign,
}

impl Root {
    pub(crate) fn new(secret: &[u8]) -> Self {
        let (root, _) = Hkdf::<Sha256>::extract(Some(b"sessions/1"), secret);
        Self(Zeroizing::new(root.into()))
    }

    /// Derives the key for a use, a purpose and a name.
    pub(crate) fn key(&self, kind: Use, purpose: &str, name: &str) -> Key {
        let kind: &[u8] = match kind {
            Use::Seal => b"seal",
            Use::Sign => b"sign",
        };
        // The length before the purpose keeps different pairs of purpose and name distinct.
        let length = u32::try_from(purpose.len()).unwrap_or(u32::MAX).to_be_bytes();
        let mut key = Zeroizing::new([0; 32]);
        self.expand(&[kind, &length, purpose.as_bytes(), name.as_bytes()], &mut *key);
        key
    }

    /// Derives the id of the key. It reveals nothing about the key.
    pub(crate) fn id(&self) -> [u8; ID] {
        let mut id = [0; ID];
        self.expand(&[b"name"], &mut id);
        id
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        *self.0 == *other.0
    }

    fn expand(&self, info: &[&[u8]], into: &mut [u8]) {
        let hkdf = Hkdf::<Sha256>::from_prk(&*self.0).expect("32 bytes are as many as the hash has");
        hkdf.expand_multi_info(info, into).expect("HKDF gives far more than 32 bytes");
    }
}
