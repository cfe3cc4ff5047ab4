//! Signing: the message stays readable, but only holders of a key can sign it.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::derive::{ID, Key};
use crate::keys::Keys;

/// Format number, which is the first byte.
const FORMAT: u8 = 1;
const HEAD: usize = 1 + ID;
const MAC: usize = 32;

/// Signs and verifies messages for one purpose and one name. Created by [`KeyRing::signer`](crate::KeyRing::signer).
#[derive(Clone)]
pub struct Signer(Keys);

/// Result of verifying a valid signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// Whether the ring's first key made the signature. If not, sign the message again before the older key is removed.
    pub current: bool,
}

impl Signer {
    /// Length of a signature in bytes.
    pub const LEN: usize = HEAD + MAC;

    pub(crate) fn new(keys: Keys) -> Self {
        Self(keys)
    }

    /// Signs `message` with the ring's first key.
    ///
    /// ```
    /// # let ring = session_crypto::KeyRing::new(&(0..32).collect::<Vec<u8>>())?;
    /// let signer = ring.signer("cookie", "id");
    /// let signature = signer.sign(b"message");
    /// assert!(signer.verify(b"message", &signature).is_some());
    /// assert!(signer.verify(b"another", &signature).is_none());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn sign(&self, message: &[u8]) -> [u8; Self::LEN] {
        let (id, key) = self.0.current();
        let mut signature = [0; Self::LEN];
        signature[0] = FORMAT;
        signature[1..HEAD].copy_from_slice(id);
        let mac = mac(key, &signature[..HEAD], message).finalize().into_bytes();
        signature[HEAD..].copy_from_slice(&mac);
        signature
    }

    /// Verifies that a key of the ring made `signature` for `message`. Returns `None` otherwise.
    ///
    /// The comparison takes constant time.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Option<Verified> {
        let (head, tag) = signature.split_at_checked(HEAD)?;
        if head[0] != FORMAT || tag.len() != MAC {
            return None;
        }
        let right = |key: &Key| mac(key, head, message).verify_slice(tag).is_ok();
        self.0.with_id(&head[1..]).find_map(|(key, current)| right(key).then_some(Verified { current }))
    }
}

fn mac(key: &Key, head: &[u8], message: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&**key).expect("HMAC takes keys of any length");
    mac.update(head);
    mac.update(message);
    mac
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}
