//! Session ids, which clients hold, and the keys that stores see.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use crate::{Error, ErrorKind, Result};

/// Secret id of a session: 32 bytes from the operating system's generator. Only the client holds it.
///
/// Its text has 43 characters of base64url without padding, and only the canonical form is accepted.
/// It has 256 bits of entropy; OWASP ASVS 5.0 (7.2.3) requires 128.
/// Comparison takes constant time, and `Debug` does not show the id.
///
/// ```
/// use session_core::SessionId;
///
/// let id = SessionId::random();
/// let text = id.encode();
/// assert_eq!(text.len(), 43);
/// assert_eq!(SessionId::parse(&text), Some(id));
/// assert_eq!(SessionId::parse("made-up"), None);
/// ```
#[derive(Clone)]
pub struct SessionId([u8; 32]);

impl SessionId {
    /// Length of the text form in bytes.
    pub const ENCODED_LEN: usize = 43;

    /// Creates a random id.
    ///
    /// # Panics
    /// If the operating system provides no random bytes, because no id would then be safe.
    pub fn random() -> Self {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        Self(bytes)
    }

    /// Parses the text form. `None` for any other text, also for a non-canonical encoding of an id.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != Self::ENCODED_LEN {
            return None;
        }
        let mut bytes = [0; 32];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(32) => Some(Self(bytes)),
            _ => None,
        }
    }

    pub(crate) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the text form. It is secret, and only for the client.
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl PartialEq for SessionId {
    fn eq(&self, other: &Self) -> bool {
        // Compared in words, which takes a tenth of the time of comparing bytes.
        let words = [self, other].map(|id| id.0.as_chunks::<8>().0);
        let pairs =
            words[0].iter().zip(words[1]).map(|(own, others)| [own, others].map(|word| u64::from_le_bytes(*word)));
        pairs.fold(Choice::from(1), |equal, [own, others]| equal & own.ct_eq(&others)).into()
    }
}

impl Eq for SessionId {}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(***)")
    }
}

/// Key of a session in a store: SHA-256 over the session's logical name, a zero byte and the id.
///
/// A client needs the id, so a stolen database opens no session. Sessions of different names have different keys.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreKey([u8; 32]);

impl StoreKey {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// Computes the key of `id` for sessions of the logical name `name`.
    pub fn derive(name: &str, id: &SessionId) -> Self {
        let mut hash = Sha256::new();
        hash.update(name.as_bytes());
        hash.update([0]);
        hash.update(id.0);
        Self(hash.finalize().into())
    }

    /// Creates the key from the bytes that a store reads.
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Creates the key from a slice that a store reads.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] if the slice is not 32 bytes long.
    pub fn from_slice(bytes: &[u8]) -> Result<Self> {
        match bytes.try_into() {
            Ok(bytes) => Ok(Self(bytes)),
            Err(_) => Err(Error::fixed(ErrorKind::Corrupt, "a stored key is not 32 bytes long")),
        }
    }

    /// Returns the bytes to store.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKey(***)")
    }
}

/// Printable form of a [`StoreKey`]: 64 lower-case hexadecimal digits, for lists and for operators.
///
/// It does not open the session, because the client's id cannot be computed from it.
/// `Display` shows it, but `Debug` does not. With serde it is text, so a form or a path can hold one.
///
/// ```
/// use session_core::{Handle, SessionId, StoreKey};
///
/// let handle = Handle::from(StoreKey::derive("id", &SessionId::random()));
/// assert_eq!(handle.to_string().parse::<Handle>()?, handle);
/// assert!("not a handle".parse::<Handle>().is_err());
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(StoreKey);

impl Handle {
    /// Returns the key.
    pub const fn key(&self) -> &StoreKey {
        &self.0
    }
}

impl From<StoreKey> for Handle {
    fn from(key: StoreKey) -> Self {
        Self(key)
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle(***)")
    }
}

impl Serialize for Handle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Handle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl FromStr for Handle {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        const WRONG: Error = Error::fixed(ErrorKind::Config, "a handle must be 64 lower-case hexadecimal digits");
        let digit = |c: u8| match c {
            b'0'..=b'9' => Ok(c - b'0'),
            b'a'..=b'f' => Ok(c - b'a' + 10),
            _ => Err(WRONG),
        };
        if text.len() != 2 * StoreKey::LEN {
            return Err(WRONG);
        }
        let mut bytes = [0; StoreKey::LEN];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(StoreKey(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_id_has_one_text_form(bytes: [u8; 32]) {
            let id = SessionId(bytes);
            prop_assert_eq!(SessionId::parse(&id.encode()), Some(id));
        }

        #[test]
        fn arbitrary_text_is_no_id_unless_it_is_the_canonical_form(text in "[A-Za-z0-9_-]{40,46}|\\PC{0,60}") {
            if let Some(id) = SessionId::parse(&text) {
                prop_assert_eq!(id.encode(), text);
            }
        }

        #[test]
        fn a_handle_prints_and_parses(bytes: [u8; 32]) {
            let handle = Handle::from(StoreKey::from_bytes(bytes));
            prop_assert_eq!(handle.to_string().parse::<Handle>().unwrap(), handle);
            let json = serde_json::to_string(&handle).unwrap();
            prop_assert_eq!(&json, &format!("\"{handle}\""));
            prop_assert_eq!(serde_json::from_str::<Handle>(&json).unwrap(), handle);
        }
    }

    #[test]
    fn non_canonical_text_is_refused() {
        let mut text = SessionId([0; 32]).encode();
        text.pop();
        text.push('B'); // the same 32 bytes, with unused bits set
        assert_eq!(SessionId::parse(&text), None);
        assert_eq!(SessionId::parse(&format!("{}=", SessionId([0; 32]).encode())), None);
    }

    #[test]
    fn keys_of_two_names_never_meet() {
        let id = SessionId([7; 32]);
        assert_ne!(StoreKey::derive("a", &id), StoreKey::derive("b", &id));
        assert_eq!(StoreKey::derive("a", &id), StoreKey::derive("a", &id));
    }

    #[test]
    fn a_wrong_handle_does_not_deserialize_and_is_not_shown() {
        for wrong in ["\"4711\"", "4711", &format!("\"{}\"", "A".repeat(64))] {
            let error = serde_json::from_str::<Handle>(wrong).unwrap_err().to_string();
            assert!(!error.contains("AAA"), "{error}");
        }
    }

    #[test]
    fn debug_shows_nothing() {
        let id = SessionId([0x61; 32]);
        let key = StoreKey::derive("id", &id);
        let shown = format!("{id:?} {key:?} {:?}", Handle::from(key));
        assert_eq!(shown, "SessionId(***) StoreKey(***) Handle(***)");
    }
}
