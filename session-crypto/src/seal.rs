//! Sealing: authenticated encryption, so that only holders of a key can read or create a value.

use std::fmt;

use chacha20poly1305::aead::{AeadInOut as _, KeyInit as _};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::derive::{ID, Key};
use crate::keys::Keys;

/// Format number, which is the first byte.
const FORMAT: u8 = 1;
const HEAD: usize = 1 + ID;
const NONCE: usize = 24;
const TAG: usize = 16;

/// Seals and opens data for one purpose and one name. Created by [`KeyRing::sealer`](crate::KeyRing::sealer).
#[derive(Clone)]
pub struct Sealer(Keys);

/// Data that [`Sealer::open`] returned.
pub struct Opened {
    /// The data, which is wiped from memory when dropped.
    pub data: Zeroizing<Vec<u8>>,
    /// Whether the ring's first key sealed the data. If not, seal it again before the older key is removed.
    pub current: bool,
}

impl fmt::Debug for Opened {
    /// Shows all fields but the data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("current", &self.current).finish_non_exhaustive()
    }
}

impl Sealer {
    /// Number of bytes that sealing adds.
    pub const OVERHEAD: usize = HEAD + NONCE + TAG;

    pub(crate) fn new(keys: Keys) -> Self {
        Self(keys)
    }

    /// Seals `data`. Opening it needs the same `context`, which says what the value belongs to, such as a record's key.
    ///
    /// The result does not contain `context`. Sealing the same data twice gives different bytes.
    ///
    /// ```
    /// # let ring = session_crypto::KeyRing::new(&(0..32).collect::<Vec<u8>>())?;
    /// let sealer = ring.sealer("store", "id");
    /// let sealed = sealer.seal(b"key 1", b"data");
    /// assert_eq!(sealed.len(), 4 + session_crypto::Sealer::OVERHEAD);
    /// assert!(sealer.open(b"key 2", &sealed).is_none());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn seal(&self, context: &[u8], data: &[u8]) -> Vec<u8> {
        let (id, key) = self.0.current();
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).expect("the operating system gives random bytes");
        let mut sealed = Vec::with_capacity(data.len() + Self::OVERHEAD);
        sealed.push(FORMAT);
        sealed.extend_from_slice(id);
        let bound = bound(&sealed, context);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(data);
        let tag = cipher(key)
            .encrypt_inout_detached(&XNonce::from(nonce), &bound, (&mut sealed[HEAD + NONCE..]).into())
            .expect("data is far shorter than the cipher's limit of 256 GiB");
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// Opens sealed data. Returns `None` if it was sealed for another context, purpose or name, by a key that is not in the ring, or if it
    /// is not sealed data.
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Opened> {
        let (head, rest) = sealed.split_at_checked(HEAD)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE>()?;
        let (body, tag) = rest.split_last_chunk::<TAG>()?;
        if head[0] != FORMAT {
            return None;
        }
        let bound = bound(head, context);
        self.0.with_id(&head[1..]).find_map(|(key, current)| {
            let mut data = Zeroizing::new(body.to_vec());
            let buffer = data.as_mut_slice().into();
            cipher(key).decrypt_inout_detached(&XNonce::from(*nonce), &bound, buffer, &Tag::from(*tag)).ok()?;
            Some(Opened { data, current })
        })
    }
}

fn cipher(key: &Key) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&(**key).into())
}

/// Associated data that the seal covers: the head, whose length is fixed, and the context.
fn bound(head: &[u8], context: &[u8]) -> Vec<u8> {
    [head, context].concat()
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}
