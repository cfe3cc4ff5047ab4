//! Sessions that live in their cookies.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use session_core::{
    Call, Capabilities, Error, Outcome, Record, Result, Store, StoreKey, Timestamp, Version, async_trait,
};
use session_crypto::{KeyRing, Sealer};

/// Keeps sessions in their cookies, sealed: no database, no round trip, nothing to clean up.
///
/// Handlers use [`Session`](session_core::Session) as ever. Where a [`Manager`](session_core::Manager) over this store is added to a
/// [`SessionSet`](crate::SessionSet), each request gets a store of its own that holds the one record from the cookie, and what that record has
/// become goes back in the response's head.
///
/// ```
/// use session_core::Manager;
/// use session_crypto::KeyRing;
/// use session_http::{CookieOptions, CookieStore, SessionSet};
///
/// # let secret: Vec<u8> = (0..32).collect();
/// let ring = KeyRing::new(&secret)?; // or KeyRing::from_env()?
/// let sessions = SessionSet::new(Manager::new(CookieStore::new(&ring)), CookieOptions::new())?;
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # What is in the cookie
///
/// Everything: id, values, flashes, principal, when it began, when the principal signed in, when it expires.
/// It is sealed with XChaCha20-Poly1305 ([`session_crypto`]), with the session's logical name, the format and the key's id bound in, so
/// a client can neither read nor change it, nor use it as another session.
/// Name, value and attributes together have at most [4096 bytes](crate::CookieOptions::MAX_LEN); beyond that the commit is
/// [`TooLarge`](session_core::ErrorKind::TooLarge) and no cookie is sent. That leaves about 2,800 bytes for values. Nothing is compressed,
/// since the length of compressed secrets tells of them.
///
/// The first key of the ring seals, all open. What an older one has sealed is sealed anew by the first, and nobody is signed out; once
/// that key is gone it opens as a new session.
///
/// # What it cannot promise
///
/// The client holds the only copy, and may put an old one back:
///
/// - **Revocation.** A logout clears the cookie, but a copy made before stays good until it expires. `revoke`, `revoke_all`, `sessions_of`
///   and the like are [`Unsupported`](session_core::ErrorKind::Unsupported). Keep time-outs short.
/// - **Once.** What [`take`](session_core::Session::take) and `flashes` gave comes back with an old copy.
/// - **Conflicts.** Of two requests at once the later answer wins, whole. `update` counts within a request only.
/// - **Rotation.** A login makes a new id, but the cookie from before stays the session that it was.
/// - **After the head.** Nothing can be written once the response's head has left:
///   [`Closed`](session_core::ErrorKind::Closed).
///
/// Where one of these matters, keep sessions in a store.
#[derive(Clone)]
pub struct CookieStore(KeyRing);

impl CookieStore {
    /// Cookies sealed by the first key of `ring` and opened by all.
    pub fn new(ring: &KeyRing) -> Self {
        Self(ring.clone())
    }

    /// This store, if `store` is one, behind pointers too.
    pub(crate) fn of(store: &dyn Store) -> Option<&Self> {
        let any: &dyn Any = store;
        if let Some(shared) = any.downcast_ref::<Arc<dyn Store>>() {
            return Self::of(&**shared);
        }
        if let Some(boxed) = any.downcast_ref::<Box<dyn Store>>() {
            return Self::of(&**boxed);
        }
        any.downcast_ref::<Self>().or_else(|| any.downcast_ref::<Arc<Self>>().map(|shared| &**shared))
    }

    pub(crate) fn sealer(&self, name: &str) -> Sealer {
        self.0.sealer("cookie", name)
    }
}

impl fmt::Debug for CookieStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CookieStore").field(&self.0).finish()
    }
}

/// Outside of a request there is no cookie.
const NO_REQUEST: Error = Error::unsupported("a cookie session is only there in its own requests");

/// As a store of the whole application it has nothing.
#[async_trait]
impl Store for CookieStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new().durable(true).shared(true)
    }

    async fn create(&self, _: &Call, _: &StoreKey, _: &Record) -> Result<Outcome> {
        Err(NO_REQUEST)
    }

    async fn load(&self, _: &Call, _: &StoreKey) -> Result<Option<Record>> {
        Err(NO_REQUEST)
    }

    async fn save(&self, _: &Call, _: &StoreKey, _: Version, _: &Record) -> Result<Outcome> {
        Err(NO_REQUEST)
    }

    async fn touch(&self, _: &Call, _: &StoreKey, _: Version, _: Timestamp) -> Result<Outcome> {
        Err(NO_REQUEST)
    }

    async fn delete(&self, _: &Call, _: &StoreKey, _: Option<Version>) -> Result<Outcome> {
        Err(NO_REQUEST)
    }
}
