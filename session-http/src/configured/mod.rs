//! One session of a set: its manager, and the name, options and values of its cookie.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize};
use std::time::Duration;

use session_core::{Error, ErrorKind, Manager, Principal, Record, Result, Session};

use crate::cookie_store::request_store::RequestStore;
use crate::cookie_value::Value;
use crate::transport::{self, Sent, Source};
use crate::{CookieOptions, CookieStore, RequestHead, Scheme, SetCookie, Transport};

mod announce;
pub(crate) use announce::Announced;
mod open;

/// Minimum room in bytes for a sealed session.
///
/// An empty session takes about 130 bytes. With a principal of maximum length it just fits.
const SMALLEST: usize = 512;

pub(crate) struct ConfiguredSession {
    pub(crate) manager: Manager,
    pub(crate) cookie: String,
    pub(crate) options: CookieOptions,
    value: Value,
    /// Maximum length of the cookie's value in bytes.
    room: usize,
    /// The same session for requests by plain HTTP, if its cookie depends on that.
    pub(crate) plain: Option<Box<ConfiguredSession>>,
    /// Logical name, as the application knows it. That of the manager differs for plain HTTP.
    name: Box<str>,
    /// Instant of the last warning about a browser that drops the cookie, in ms.
    warned_at: AtomicI64,
    /// Number of responses that have cleared the cookie's other places.
    turn: AtomicUsize,
}

/// Session that a request has opened.
pub(crate) struct OpenSession {
    pub(crate) session: Session,
    /// User who was signed in when the request came.
    user: Option<Principal>,
    /// Set for a session that is kept in its cookie. Boxed because it is rare and would enlarge every request.
    sealed: Option<Box<SealedCookie>>,
    /// Lines that clear the cookie at other places.
    clears: Vec<SetCookie>,
    /// Whether the session may lie at one of those places, so that they are cleared only if its cookie is sent again.
    moves: bool,
    /// Whether the request had no value of the session.
    pub(crate) without_value: bool,
    /// How the request's value came, and how a new one goes out.
    pub(crate) source: Source,
}

impl OpenSession {
    fn new(session: Session, sealed: Option<Box<SealedCookie>>) -> Self {
        let user = session.principal();
        Self { session, user, sealed, clears: Vec::new(), moves: false, without_value: false, source: Source::Cookie }
    }

    /// Whether another user than `user` was signed in when the request came, in a browser.
    pub(crate) fn had_other_user(&self, user: Option<&Principal>) -> bool {
        self.source == Source::Cookie && self.user.as_ref() != user
    }
}

struct SealedCookie {
    store: Arc<RequestStore>,
    /// Id and record from the request's cookie, if it had a session.
    before: Option<(String, Record)>,
    /// Whether the ring's first key sealed the request's cookie.
    current: bool,
}

impl ConfiguredSession {
    pub(crate) fn new(manager: Manager, options: CookieOptions) -> Result<Self> {
        let name: Box<str> = manager.name().into();
        options.check(&name)?;
        let plain = match options.for_plain_http() {
            Some(plain) => Some(Box::new(Self::of(manager.for_plain_http(), name.clone(), plain)?)),
            None => None,
        };
        Ok(Self { plain, ..Self::of(manager, name, options)? })
    }

    fn of(manager: Manager, name: Box<str>, options: CookieOptions) -> Result<Self> {
        let cookie = options.cookie_name(&name);
        if !options.secure && manager.name() == &*name {
            tracing::warn!(
                cookie,
                "this session's cookie is also sent without TLS: leave out `insecure()` in production"
            );
        }
        let value = match (CookieStore::of(&**manager.store()), &options.signing) {
            (Some(_), Some(_)) => {
                return Err(Error::fixed(
                    ErrorKind::Config,
                    "the cookie is sealed by its `CookieStore`: leave out `signed`",
                ));
            }
            (Some(_), None) if manager.renews_ids() => {
                return Err(Error::fixed(
                    ErrorKind::Config,
                    "the session is kept in its cookie, so that an old cookie opens whatever its id: leave out `renew_id_every`, or use a store \
                     on the server",
                ));
            }
            (Some(store), None) => Value::Sealed(store.sealer(manager.name())),
            (None, Some(ring)) => {
                Value::Signed { signer: ring.signer("id", manager.name()), accept_unsigned: options.accept_unsigned }
            }
            (None, None) => Value::Id,
        };
        let empty = SetCookie::issue(&cookie, &options, "", options.max_age)?;
        let room = options.max_len.saturating_sub(empty.as_str().len());
        if matches!(value, Value::Sealed(_)) && room < SMALLEST {
            return Err(Error::fixed(
                ErrorKind::Config,
                "the cookie's name and attributes leave less than 512 bytes for the session: shorten them, or raise `CookieOptions::max_len`",
            ));
        }
        // The session's idle time-out must not be longer than the cookie's lifetime.
        let manager = ending(&options).map_or_else(|| manager.clone(), |longest| manager.idle_at_most(longest));
        let (warned_at, turn) = (AtomicI64::new(i64::MIN), AtomicUsize::new(0));
        Ok(Self { manager, cookie, options, value, room, plain: None, name, warned_at, turn })
    }

    /// Logical name of the session, as the application knows it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the request came by plain HTTP, and the session's cookie depends on that.
    pub(crate) fn is_plain(&self, head: &dyn RequestHead) -> bool {
        self.options.secure_when.as_ref().is_some_and(|secure_when| secure_when.scheme(head) == Scheme::Plain)
    }

    /// Names of the cookies that the session may have.
    pub(crate) fn cookies(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&*self.cookie).chain(self.plain.as_deref().map(|plain| &*plain.cookie))
    }

    /// Checks per-response options. Everything but the cookie's name may change.
    pub(crate) fn check_override(&self, options: &CookieOptions) -> Result<()> {
        if options.cookie_name(&self.name) != self.cookie {
            return Err(Error::fixed(
                ErrorKind::Config,
                "the cookie's name cannot change for one response: leave out `name` and `insecure`, or use `secure_when`",
            ));
        }
        options.check(&self.name)
    }

    /// Finds the values of this session in the headers of a request.
    pub(crate) fn find<'h>(&self, transports: &[Transport], head: &'h dyn RequestHead) -> Sent<'h> {
        transport::read(transports, head, &self.cookie, &self.value)
    }
}

/// Lifetime of a cookie that may end before the session's absolute time-out does.
fn ending(options: &CookieOptions) -> Option<Duration> {
    options.max_age.filter(|age| *age < CookieOptions::LONGEST)
}
