//! From a secret to the keys for each use.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Length of a key's id in bytes: enough to tell 8 keys apart, little in a cookie.
pub(crate) const ID: usize = 4;

/// What a secret becomes at once (HKDF's extraction), so that secrets of any length and form are alike.
#[derive(Clone)]
pub(crate) struct Root(Zeroizing<[u8; 32]>);

/// A key for one use.
pub(crate) type Key = Zeroizing<[u8; 32]>;

/// What a key is for. No two of them ever share one.
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

    /// The key of a use, a purpose and a name.
    pub(crate) fn key(&self, kind: Use, purpose: &str, name: &str) -> Key {
        let kind: &[u8] = match kind {
            Use::Seal => b"seal",
            Use::Sign => b"sign",
        };
        // With its length in front, no purpose and name together look like another two.
        let length = u32::try_from(purpose.len()).unwrap_or(u32::MAX).to_be_bytes();
        let mut key = Zeroizing::new([0; 32]);
        self.expand(&[kind, &length, purpose.as_bytes(), name.as_bytes()], &mut *key);
        key
    }

    /// A number for the key that says nothing about it.
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
