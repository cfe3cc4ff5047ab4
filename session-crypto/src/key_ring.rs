//! Ring of an application's keys, the current one first.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use session_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

use crate::derive::{Root, Use};
use crate::keys::Keys;
use crate::seal::Sealer;
use crate::sign::Signer;
use crate::source::{self, Reason};

/// Minimum length of a secret in bytes. It is the length of the keys that are derived from it.
const SHORTEST: usize = 32;

/// Maximum number of keys. Each one may be tried on a client's value.
const MOST: usize = 8;

/// Ring of secret keys. The first key seals and signs; every key opens and verifies.
///
/// Clones are cheap and share the secrets. The secrets are wiped from memory when the last clone is dropped.
///
/// ```
/// use session_crypto::KeyRing;
///
/// let ring = KeyRing::from_base64("q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=")?;
/// assert_eq!(ring.len(), 1);
/// assert!(KeyRing::new(b"too short").is_err());
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone)]
pub struct KeyRing(Arc<[Root]>);

impl KeyRing {
    /// Creates a ring of one key from `secret`, which has at least 32 bytes. Use random bytes from a generator.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if `secret` is shorter or is one byte repeated.
    pub fn new(secret: &[u8]) -> Result<Self> {
        Self::of(&[secret]).map_err(refused)
    }

    /// Adds an older key behind the others. It opens and verifies, but does not seal or sign.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if [`new`](Self::new) would refuse `older`, if the ring already has this key, or if it already has 8 keys.
    pub fn and(self, older: &[u8]) -> Result<Self> {
        let mut roots = self.0.to_vec();
        add(&mut roots, older).map_err(refused)?;
        Ok(Self(roots.into()))
    }

    /// Creates a ring from keys in base64, separated by commas or white space. The first key is the current one.
    ///
    /// The standard and the URL-safe alphabet are accepted, with or without padding.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if there is no key, if a key is not base64, or if [`new`](Self::new) or [`and`](Self::and) would refuse it.
    pub fn from_base64(text: &str) -> Result<Self> {
        Self::read(text).map_err(refused)
    }

    /// Reads a ring from a file with one key in base64 per line. The first key is the current one, and `#` begins a comment.
    ///
    /// On Unix, a warning is logged if every user of the machine can read the file.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the file cannot be read or is longer than 64 KiB, or if [`from_base64`](Self::from_base64) would refuse
    /// its keys.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_base64(&source::file(path.as_ref())?)
    }

    /// Reads a ring from the environment variable `SESSION_SECRET`, in the form of [`from_base64`](Self::from_base64).
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the variable is unset or empty, or if [`from_base64`](Self::from_base64) would refuse its keys.
    pub fn from_env() -> Result<Self> {
        Self::from_env_var("SESSION_SECRET")
    }

    /// Reads a ring from the environment variable `name`, in the form of [`from_base64`](Self::from_base64).
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the variable is unset or empty, or if [`from_base64`](Self::from_base64) would refuse its keys.
    /// The error names the variable.
    pub fn from_env_var(name: &str) -> Result<Self> {
        let text = source::variable(name)?;
        Self::read(&text).map_err(|reason| Error::new(ErrorKind::Config, format!("{name}: {reason}")))
    }

    /// Creates a ring of one random key, for development and tests.
    ///
    /// Values that it sealed or signed are invalid after a restart and on every other server. A warning is logged.
    pub fn ephemeral() -> Self {
        tracing::warn!("session keys are random and end with this process: set SESSION_SECRET to keep sessions");
        let mut secret = Zeroizing::new([0; SHORTEST]);
        // There is no fallback without random bytes, as for session ids.
        getrandom::fill(&mut *secret).expect("the operating system gives random bytes");
        Self(Arc::new([Root::new(&*secret)]))
    }

    fn read(text: &str) -> Result<Self, Reason> {
        let keys = source::keys(text)?;
        let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_slice()).collect();
        Self::of(&keys)
    }

    fn of(secrets: &[&[u8]]) -> Result<Self, Reason> {
        let mut roots = Vec::new();
        for secret in secrets {
            add(&mut roots, secret)?;
        }
        if roots.is_empty() {
            return Err("there is no key");
        }
        Ok(Self(roots.into()))
    }

    /// Number of keys, 1 to 8.
    #[expect(clippy::len_without_is_empty, reason = "a ring is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns a sealer for one purpose, such as `cookie`, and one name, such as the session's.
    ///
    /// It does not open values that were sealed for another purpose or name.
    pub fn sealer(&self, purpose: &str, name: &str) -> Sealer {
        Sealer::new(self.keys(Use::Seal, purpose, name))
    }

    /// Returns a signer for one purpose and one name. It does not verify signatures for another purpose or name.
    pub fn signer(&self, purpose: &str, name: &str) -> Signer {
        Signer::new(self.keys(Use::Sign, purpose, name))
    }

    fn keys(&self, kind: Use, purpose: &str, name: &str) -> Keys {
        Keys::new(self.0.iter().map(|root| (root.id(), root.key(kind, purpose, name))))
    }
}

const fn refused(reason: Reason) -> Error {
    Error::fixed(ErrorKind::Config, reason)
}

fn add(roots: &mut Vec<Root>, secret: &[u8]) -> Result<(), Reason> {
    if secret.len() < SHORTEST {
        return Err("a key has at least 32 bytes");
    }
    if secret.iter().all(|byte| *byte == secret[0]) {
        return Err("a key is random: this one is one byte repeated");
    }
    let root = Root::new(secret);
    if roots.iter().any(|known| known.is(&root)) {
        return Err("a key stands twice in the ring");
    }
    if roots.len() == MOST {
        return Err("a ring has at most 8 keys");
    }
    roots.push(root);
    Ok(())
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({} keys)", self.len())
    }
}
