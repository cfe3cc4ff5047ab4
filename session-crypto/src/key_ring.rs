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
    /// ```
    /// use session_crypto::KeyRing;
    ///
    /// # let secret: Vec<u8> = (0..32).collect();
    /// let ring = KeyRing::new(&secret)?;
    /// assert!(KeyRing::new(&[0; 32]).is_err(), "this is not random");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if `secret` is shorter or is one byte repeated.
    pub fn new(secret: &[u8]) -> Result<Self> {
        Self::of(&[secret]).map_err(refused)
    }

    /// Adds an older key behind the others. It opens and verifies, but does not seal or sign.
    ///
    /// ```
    /// use session_crypto::KeyRing;
    ///
    /// # let (today, last_year) = ((0..32).collect::<Vec<u8>>(), (1..33).collect::<Vec<u8>>());
    /// let ring = KeyRing::new(&today)?.and(&last_year)?;
    /// let sealed = KeyRing::new(&last_year)?.sealer("cookie", "id").seal(b"", b"data");
    /// assert!(ring.sealer("cookie", "id").open(b"", &sealed).is_some());
    /// # Ok::<(), session_core::Error>(())
    /// ```
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
    /// ```
    /// use session_crypto::KeyRing;
    ///
    /// let today = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";
    /// let last_year = "_w7dzLuqmYh3ZlVEMyIRAP_u3cy7qpmId2ZVRDMiEQA";
    /// assert_eq!(KeyRing::from_base64(&format!("{today}, {last_year}"))?.len(), 2);
    /// # Ok::<(), session_core::Error>(())
    /// ```
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
    /// ```
    /// use session_crypto::KeyRing;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("session_keys");
    /// std::fs::write(&path, "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA= # since May\n")?;
    /// assert_eq!(KeyRing::from_file(&path)?.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the file cannot be read or is longer than 64 KiB, or if [`from_base64`](Self::from_base64) would refuse
    /// its keys.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_base64(&source::file(path.as_ref())?)
    }

    /// Reads a ring from the environment variable `SESSION_SECRET`, in the form of [`from_base64`](Self::from_base64).
    ///
    /// ```no_run
    /// // SESSION_SECRET=$(openssl rand -base64 32)
    /// let ring = session_crypto::KeyRing::from_env()?;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the variable is unset or empty, or if [`from_base64`](Self::from_base64) would refuse its keys.
    pub fn from_env() -> Result<Self> {
        Self::from_env_var("SESSION_SECRET")
    }

    /// Reads a ring from the environment variable `name`, in the form of [`from_base64`](Self::from_base64).
    ///
    /// ```
    /// use session_crypto::KeyRing;
    ///
    /// let error = KeyRing::from_env_var("SHOP_SECRET").unwrap_err();
    /// assert!(error.to_string().contains("SHOP_SECRET is not set"));
    /// ```
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
    ///
    /// ```
    /// use session_crypto::KeyRing;
    ///
    /// let sealed = KeyRing::ephemeral().sealer("cookie", "id").seal(b"", b"data");
    /// assert!(KeyRing::ephemeral().sealer("cookie", "id").open(b"", &sealed).is_none());
    /// ```
    pub fn ephemeral() -> Self {
        tracing::warn!("the session key is random and ends with this process: set SESSION_SECRET to keep sessions");
        let mut secret = Zeroizing::new([0; SHORTEST]);
        // There is no fallback without random bytes, as for session ids.
        getrandom::fill(&mut *secret).expect("the operating system gives random bytes");
        Self(Arc::new([Root::new(&*secret)]))
    }

    fn read(text: &str) -> Result<Self, Reason> {
        let keys = source::decode_all(text)?;
        let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_slice()).collect();
        Self::of(&keys)
    }

    fn of(secrets: &[&[u8]]) -> Result<Self, Reason> {
        let mut roots = Vec::new();
        for secret in secrets {
            add(&mut roots, secret)?;
        }
        if roots.is_empty() {
            return Err("there is no key: give at least one");
        }
        Ok(Self(roots.into()))
    }

    /// Number of keys, 1 to 8.
    ///
    /// ```
    /// use session_crypto::KeyRing;
    ///
    /// assert_eq!(KeyRing::ephemeral().len(), 1);
    /// ```
    #[expect(clippy::len_without_is_empty, reason = "a ring is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns a sealer for one purpose, such as `cookie`, and one name, such as the session's.
    ///
    /// It does not open values that were sealed for another purpose or name.
    ///
    /// ```
    /// use session_crypto::KeyRing;
    ///
    /// let ring = KeyRing::ephemeral();
    /// let sealed = ring.sealer("cookie", "cart").seal(b"", b"tea");
    /// assert!(ring.sealer("cookie", "cart").open(b"", &sealed).is_some());
    /// assert!(ring.sealer("cookie", "admin").open(b"", &sealed).is_none());
    /// ```
    pub fn sealer(&self, purpose: &str, name: &str) -> Sealer {
        Sealer::new(self.keys(Use::Seal, purpose, name))
    }

    /// Returns a signer for one purpose and one name. It does not verify signatures for another purpose or name.
    ///
    /// ```
    /// use session_crypto::KeyRing;
    ///
    /// let ring = KeyRing::ephemeral();
    /// let signature = ring.signer("link", "unsubscribe").sign(b"ann@example.com");
    /// assert!(ring.signer("link", "unsubscribe").verify(b"ann@example.com", &signature).is_some());
    /// assert!(ring.signer("link", "confirm").verify(b"ann@example.com", &signature).is_none());
    /// ```
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
        return Err("a key is too short: give it at least 32 bytes, as `openssl rand -base64 32` does");
    }
    if secret.iter().all(|byte| *byte == secret[0]) {
        return Err("a key is one byte repeated: use a random one, which `openssl rand -base64 32` makes");
    }
    let root = Root::new(secret);
    if roots.iter().any(|known| known.is(&root)) {
        return Err("a key stands twice in the ring: remove one of the two");
    }
    if roots.len() == MOST {
        return Err("the ring is full: keep at most 8 keys");
    }
    roots.push(root);
    Ok(())
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({} keys)", self.len())
    }
}
