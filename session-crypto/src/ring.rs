//! The keys of an application, the current one first.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use session_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

use crate::derive::{ID, Key, Root, Use};
use crate::seal::Sealer;
use crate::sign::Signer;
use crate::source::{self, Reason};

/// The shortest secret: as long as the keys that are made from it.
const SHORTEST: usize = 32;

/// The most keys. Each may be tried on what a client sends.
const MOST: usize = 8;

/// Secret keys: the first one writes, all of them read.
///
/// Clones are cheap and share the secrets, which are wiped when the last one goes.
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
    /// A ring of one key, made from `secret`: at least 32 random bytes, better from a generator than from a person.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if it is shorter, or one byte repeated.
    pub fn new(secret: &[u8]) -> Result<Self> {
        Self::of(&[secret]).map_err(refused)
    }

    /// The same ring with an older key behind the others: it opens what it once sealed, and seals nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] as from [`new`](Self::new), for a key that is in the ring already, and for a ninth one.
    pub fn and(self, older: &[u8]) -> Result<Self> {
        let mut roots = self.0.to_vec();
        add(&mut roots, older).map_err(refused)?;
        Ok(Self(roots.into()))
    }

    /// The ring of these keys in base64, the current one first, apart by commas or white space.
    ///
    /// The standard and the URL-safe alphabet are taken, with padding and without.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if a key is no base64, or is none that [`new`](Self::new) and [`and`](Self::and) take, or there is none.
    pub fn from_base64(text: &str) -> Result<Self> {
        Self::read(text).map_err(refused)
    }

    /// The ring in a file: a key in base64 on each line, the current one first. `#` begins a remark.
    ///
    /// On Unix a file that others may read is warned of.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the file cannot be read, is longer than 64 KiB, or as from [`from_base64`](Self::from_base64).
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_base64(&source::file(path.as_ref())?)
    }

    /// The ring in the environment's variable `SESSION_SECRET`, as [`from_base64`](Self::from_base64) reads it.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if it is unset or empty, or as from [`from_base64`](Self::from_base64).
    pub fn from_env() -> Result<Self> {
        Self::from_env_var("SESSION_SECRET")
    }

    /// The ring in the environment's variable `name`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] as from [`from_env`](Self::from_env), naming the variable.
    pub fn from_env_var(name: &str) -> Result<Self> {
        let text = source::variable(name)?;
        Self::read(&text).map_err(|reason| Error::new(ErrorKind::Config, format!("{name}: {reason}")))
    }

    /// A ring of one random key that nobody else has: what it sealed or signed is worthless after a restart,
    /// and to every other server. For development, and for tests.
    pub fn ephemeral() -> Self {
        tracing::warn!("session keys are random and end with this process: set SESSION_SECRET to keep sessions");
        let mut secret = Zeroizing::new([0; SHORTEST]);
        // As for session ids: without random bytes there is nothing that could be done instead.
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

    /// How many keys there are, 1 to 8.
    #[expect(clippy::len_without_is_empty, reason = "a ring is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// What seals and opens for one purpose, such as `cookie`, and one name, such as the session's. What was sealed for another
    /// purpose or name is not opened.
    pub fn sealer(&self, purpose: &str, name: &str) -> Sealer {
        Sealer::new(self.keys(Use::Seal, purpose, name))
    }

    /// What signs and verifies for one purpose and one name.
    pub fn signer(&self, purpose: &str, name: &str) -> Signer {
        Signer::new(self.keys(Use::Sign, purpose, name))
    }

    fn keys(&self, kind: Use, purpose: &str, name: &str) -> Keys {
        Keys(self.0.iter().map(|root| (root.id(), root.key(kind, purpose, name))).collect())
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

/// The keys of one use, the current one first.
#[derive(Clone)]
pub(crate) struct Keys(Arc<[([u8; ID], Key)]>);

impl Keys {
    pub(crate) fn current(&self) -> (&[u8; ID], &Key) {
        let (id, key) = &self.0[0];
        (id, key)
    }

    /// Every key of this id, and whether it is the current one. Two keys have one id once in four thousand million pairs.
    pub(crate) fn named<'a>(&'a self, id: &'a [u8]) -> impl Iterator<Item = (&'a Key, bool)> {
        self.0.iter().enumerate().filter(move |(_, (known, _))| known == id).map(|(n, (_, key))| (key, n == 0))
    }
}
