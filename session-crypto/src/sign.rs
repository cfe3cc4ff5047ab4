//! Signing: anybody reads it, nobody else makes it.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::derive::{ID, Key};
use crate::ring::Keys;

/// The format's number, the first byte.
const FORMAT: u8 = 1;
const HEAD: usize = 1 + ID;
const MAC: usize = 32;

/// Signs and verifies for one purpose and one name; from [`KeyRing::signer`](crate::KeyRing::signer).
#[derive(Clone)]
pub struct Signer(Keys);

/// A signature that is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// Whether the ring's first key made it. If not, it should be made again while the older key is there.
    pub current: bool,
}

impl Signer {
    /// Length of a signature in bytes.
    pub const LEN: usize = HEAD + MAC;

    pub(crate) fn new(keys: Keys) -> Self {
        Self(keys)
    }

    /// The signature of `message`.
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

    /// Whether `signature` is one of `message`, by any key of the ring. Compared in constant time.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Option<Verified> {
        let (head, tag) = signature.split_at_checked(HEAD)?;
        if head[0] != FORMAT || tag.len() != MAC {
            return None;
        }
        let right = |key: &Key| mac(key, head, message).verify_slice(tag).is_ok();
        self.0.named(&head[1..]).find_map(|(key, current)| right(key).then_some(Verified { current }))
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
