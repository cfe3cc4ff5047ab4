//! Store for sessions that are kept in their cookies.

pub(crate) mod format;
pub(crate) mod request_store;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use session_core::{
    Call, Capabilities, Error, Outcome, Record, Result, Store, StoreKey, Timestamp, Version, async_trait,
};
use session_crypto::{KeyRing, Sealer};

/// Store that keeps each session sealed in its cookie. It needs no database and no round trip, and there is nothing to clean up.
///
/// Handlers use [`Session`](session_core::Session) as with any other store. Add a [`Manager`](session_core::Manager) over this store to a
/// [`SessionSet`](crate::SessionSet). Each request then gets its own store, which holds only the record from its cookie.
/// The commit sends the changed record back in the response's cookie.
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
/// The cookie holds the whole session: id, values, flashes, principal, and the times of creation, sign-in and expiry.
/// It is sealed with XChaCha20-Poly1305 ([`session_crypto`]). The seal also covers the session's logical name, the format and the key's id.
/// So a client can neither read nor change the session, nor use the cookie for another session.
///
/// Name, value and attributes together have at most [3584 bytes](crate::CookieOptions::max_len), which leaves about 2,450 bytes for
/// values. Many proxies have 4 KiB for all headers, of which the cookie is only a part. If a session is larger, the commit fails as [`TooLarge`](session_core::ErrorKind::TooLarge) and sends no cookie.
/// Nothing is compressed, because the length of compressed data leaks information about secrets in it.
///
/// The first key of the ring seals, and every key opens. A cookie that an older key has sealed is sent again, sealed by the first key.
/// A cookie whose key is no longer in the ring opens as a new session.
///
/// # Limits
///
/// The client holds the only copy and can send an old one:
///
/// - **Revocation.** A logout clears the cookie, but a copy made before stays valid until it expires. `revoke`, `revoke_all`, `sessions_of`
///   and similar calls are [`Unsupported`](session_core::ErrorKind::Unsupported). Keep time-outs short.
/// - **One-time values.** An old copy brings back values that [`take`](session_core::Session::take) and `flashes` have removed.
/// - **Conflicts.** If two requests change the session at the same time, the later response replaces the changes of the other. `update` is
///   atomic only within a request.
/// - **Rotation.** A login creates a new id, but the previous cookie still opens the previous session. So ids cannot be
///   [renewed](session_core::ManagerBuilder::renew_id_every).
/// - **After the head.** Once the response's head has been sent, writes fail as [`Closed`](session_core::ErrorKind::Closed).
///
/// If one of these limits matters, keep sessions in a server-side store.
#[derive(Clone)]
pub struct CookieStore(KeyRing);

impl CookieStore {
    /// Creates a store that seals cookies with the first key of `ring` and opens them with any of its keys.
    ///
    /// ```
    /// use session_core::Manager;
    /// use session_crypto::KeyRing;
    /// use session_http::CookieStore;
    ///
    /// let manager = Manager::new(CookieStore::new(&KeyRing::ephemeral())); // for development
    /// assert!(manager.store().capabilities().durable);
    /// ```
    pub fn new(ring: &KeyRing) -> Self {
        Self(ring.clone())
    }

    /// Returns `store` as a cookie store, also from behind pointers, or `None` if it is another store.
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

/// Error of every call outside of a request, where there is no cookie.
const NO_REQUEST: Error =
    Error::unsupported("a session in its cookie exists only within a request: use a store on the server for this call");

/// Fails every call, because the records are in the cookies. Each request uses its own store instead.
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
