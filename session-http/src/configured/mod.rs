//! One session of a set: opens it from a client's cookie and returns the cookie for the response.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use session_core::{
    Commit, CookieUpdate, Error, ErrorKind, Manager, Opened, Record, Result, Session, SessionId, StoreKey,
};

use crate::cookie_header::Candidates;
use crate::cookie_store::request_store::RequestStore;
use crate::cookie_value::{Read, Value};
use crate::{CookieOptions, CookieStore, SetCookie};

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
}

/// Session that a request has opened.
pub(crate) struct OpenSession {
    pub(crate) session: Session,
    /// Set for a session that is kept in its cookie. Boxed because it is rare and would enlarge every request.
    sealed: Option<Box<SealedCookie>>,
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
        let name = manager.name();
        let cookie = options.cookie_name(name);
        options.check(name)?;
        if !options.secure {
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
            (Some(store), None) => Value::Sealed(store.sealer(name)),
            (None, Some(ring)) => {
                Value::Signed { signer: ring.signer("id", name), accept_unsigned: options.accept_unsigned }
            }
            (None, None) => Value::Id,
        };
        let empty = SetCookie::issue(&cookie, &options, "", options.max_age)?;
        let room = CookieOptions::MAX_LEN - empty.as_str().len();
        if matches!(value, Value::Sealed(_)) && room < SMALLEST {
            return Err(Error::fixed(
                ErrorKind::Config,
                "the cookie's name and attributes leave less than 512 bytes for the session: shorten them",
            ));
        }
        // The session's idle time-out must not be longer than the cookie's lifetime.
        let manager = ending(&options).map_or_else(|| manager.clone(), |longest| manager.idle_at_most(longest));
        Ok(Self { manager, cookie, options, value, room })
    }

    /// Checks per-response options. Everything but the cookie's name may change.
    pub(crate) fn check_override(&self, options: &CookieOptions) -> Result<()> {
        let name = self.manager.name();
        if options.cookie_name(name) != self.cookie {
            return Err(Error::fixed(
                ErrorKind::Config,
                "the cookie's name cannot change for one response: leave out `name`",
            ));
        }
        options.check(name)
    }

    /// Finds the values of this session's cookie in the lines of a request's `Cookie` headers.
    pub(crate) fn find<'h>(&self, lines: impl IntoIterator<Item = &'h [u8]>) -> Candidates<'h> {
        Candidates::find(lines, &self.cookie, |value| self.value.is_usable(value))
    }

    // ---- opening ----

    /// Opens the session from the values that the client sent.
    pub(crate) async fn open(&self, found: Candidates<'_>) -> Result<OpenSession> {
        match found.usable() {
            [] => self.open_by(found.has_others().then_some("")).await,
            [only] => self.open_by(Some(only)).await,
            several => Box::pin(self.open_one_of(several)).await,
        }
    }

    /// Opens the session from one value. An unusable value gives a new session.
    async fn open_by(&self, value: Option<&str>) -> Result<OpenSession> {
        match &self.value {
            Value::Id => Ok(OpenSession { session: self.manager.open(value).await?, sealed: None }),
            // Boxed so that these futures do not enlarge the common one.
            Value::Signed { .. } => Box::pin(self.open_signed(value)).await,
            Value::Sealed(_) => Box::pin(self.open_sealed(value)).await,
        }
    }

    async fn open_signed(&self, value: Option<&str>) -> Result<OpenSession> {
        let Some(Read { id, current, .. }) = value.and_then(|value| self.value.read(value)) else {
            return Ok(OpenSession { session: self.manager.open(value.map(|_| "")).await?, sealed: None });
        };
        let session = self.manager.open(Some(&id)).await?;
        if !current {
            session.renew_cookie();
        }
        Ok(OpenSession { session, sealed: None })
    }

    async fn open_sealed(&self, value: Option<&str>) -> Result<OpenSession> {
        let read = value.and_then(|value| self.value.read(value));
        let current = read.as_ref().is_none_or(|read| read.current);
        let before = read.and_then(|read| Some((read.id.into_owned(), read.record?)));
        let kept = before.as_ref().and_then(|(id, record)| Some((self.key(id)?, record.clone())));
        let store = Arc::new(RequestStore::new(kept, self.room));
        let manager = self.manager.for_request(Arc::clone(&store));
        let id = before.as_ref().map(|(id, _)| &**id);
        let session = manager.open(id.or(value.map(|_| ""))).await?;
        Ok(OpenSession { session, sealed: Some(Box::new(SealedCookie { store, before, current })) })
    }

    fn key(&self, id: &str) -> Option<StoreKey> {
        Some(StoreKey::derive(self.manager.name(), &SessionId::parse(id)?))
    }

    async fn open_one_of(&self, values: &[&str]) -> Result<OpenSession> {
        let mut opened = try_join_all(values.iter().map(|value| self.open_by(Some(value)))).await?;
        let live = self.live(&opened);
        if live > 1 {
            tracing::warn!(
                cookie = %self.cookie,
                "a client sent {live} live sessions under one cookie name, and none is used: another host of the domain may plant cookies"
            );
            return self.open_by(None).await;
        }
        // If all are dead, use the one that says most: after a rotation or a logout no new cookie must be set.
        let best = (0..opened.len()).max_by_key(|&at| (rank(opened[at].session.opened()), Reverse(at)));
        Ok(opened.swap_remove(best.unwrap_or(0)))
    }

    /// Number of live sessions. Two signatures of one id count as one session.
    ///
    /// Two sealed cookies of one session count as two, because it is unknown which one is newer.
    fn live(&self, opened: &[OpenSession]) -> usize {
        let live = opened.iter().filter(|open| open.session.opened() == Opened::Resumed);
        let mut handles: Vec<_> = live.map(|open| open.session.handle()).collect();
        if !matches!(self.value, Value::Sealed(_)) {
            handles.sort();
            handles.dedup();
        }
        handles.len()
    }

    // ---- announcing ----

    /// Applies the cookie lifetime of this response to the session, so that later responses agree with the stored record.
    pub(crate) fn keep_in_step(&self, options: &CookieOptions, session: &Session) {
        let Some(longest) = options.max_age else { return };
        if options.max_age == self.options.max_age || (session.is_new() && !session.is_modified()) {
            return;
        }
        // Refused if the session was rotated or has ended. No cookie is sent then either.
        if !session.is_persistent() && session.set_persistent(true).is_err() {
            return;
        }
        let _ = session.idle_at_most(longest);
    }

    /// Returns the `Set-Cookie` line for the result of the commit, or `None` if the client's cookie is up to date.
    pub(crate) fn announce(
        &self,
        options: impl FnOnce() -> CookieOptions,
        open: &OpenSession,
        commit: Commit,
    ) -> Result<Option<SetCookie>> {
        if matches!(commit, Commit::Clear) {
            return SetCookie::clear(&self.cookie, &options()).map(Some);
        }
        match open.sealed.as_deref() {
            Some(sealed) => self.announce_sealed(options, &open.session, sealed, commit),
            None => self.announce_id(options, commit),
        }
    }

    fn announce_id(&self, options: impl FnOnce() -> CookieOptions, commit: Commit) -> Result<Option<SetCookie>> {
        let (ticket, options) = match commit {
            Commit::Issue(ticket) => (ticket, options()),
            Commit::Extended(ticket) => {
                let options = options();
                // Every other cookie ends with the browser or with the absolute time-out, and neither has moved.
                if ending(&options).is_none() {
                    return Ok(None);
                }
                (ticket, options)
            }
            Commit::Unchanged | Commit::Clear => return Ok(None),
        };
        let CookieUpdate { value, persistent, max_age, .. } = &ticket;
        self.issue(&options, &self.value.write(value.as_str(), None), *persistent, *max_age).map(Some)
    }

    /// Returns the line with the sealed session, or `None` if the client already has this state.
    fn announce_sealed(
        &self,
        options: impl FnOnce() -> CookieOptions,
        session: &Session,
        sealed: &SealedCookie,
        commit: Commit,
    ) -> Result<Option<SetCookie>> {
        let Some(record) = session.handle().and_then(|handle| sealed.store.record(handle.key())) else {
            return Ok(None);
        };
        let before = sealed.before.as_ref();
        if sealed.current && before.is_some_and(|(_, before)| *before == record) {
            return Ok(None);
        }
        let id = match &commit {
            Commit::Issue(ticket) | Commit::Extended(ticket) => ticket.value.as_str(),
            // The id and the expiry are unchanged, so it is the id that the client sent.
            Commit::Unchanged | Commit::Clear => match before {
                Some((id, _)) => id,
                None => return Ok(None),
            },
        };
        let left = session.expires_at().since(self.manager.now());
        self.issue(&options(), &self.value.write(id, Some(&record)), session.is_persistent(), left).map(Some)
    }

    /// Returns the line for `value`, with a lifetime if the options or the session ask for a persistent cookie.
    fn issue(&self, options: &CookieOptions, value: &str, persistent: bool, left: Duration) -> Result<SetCookie> {
        let persistent = persistent || options.max_age.is_some();
        SetCookie::issue(&self.cookie, options, value, persistent.then_some(left))
    }
}

/// Lifetime of a cookie that may end before the session's absolute time-out does.
fn ending(options: &CookieOptions) -> Option<Duration> {
    options.max_age.filter(|age| *age < CookieOptions::LONGEST)
}

/// Preference among several dead sessions. A higher rank says more about what the client holds.
fn rank(opened: Opened) -> u8 {
    match opened {
        Opened::Resumed => 5,
        Opened::Moved => 4,
        Opened::Ended => 3,
        Opened::Expired => 2,
        Opened::Undecodable => 1,
        _ => 0,
    }
}
