//! Value for a response, as the result of a commit asks: in a cookie or in a header.

use std::sync::atomic::Ordering;
use std::time::Duration;

use session_core::{Commit, CookieUpdate, Record, Result, Session};

use super::{ConfiguredSession, OpenSession, SealedCookie, ending};
use crate::transport::{Source, Token};
use crate::{CookieOptions, SetCookie};

/// What a response sends for one session.
#[derive(Debug, Default)]
pub(crate) struct Announced {
    pub(crate) lines: Vec<SetCookie>,
    /// Response header and value, if the session's value does not come in a cookie.
    pub(crate) token: Option<(&'static str, Token)>,
}

/// New value of the client. It is empty if the session has ended.
#[derive(Default)]
struct NewValue {
    value: String,
    /// Whether the session asks for a cookie that outlives the browser.
    persistent: bool,
    /// Time until the cookie is useless.
    left: Duration,
}

impl ConfiguredSession {
    /// Applies the cookie's lifetime to the session, so that both end together. `own` are the options of this response, if it has its own.
    pub(crate) fn keep_in_step(&self, own: Option<&CookieOptions>, session: &Session) {
        // This is the case of most requests, so it is told by one look at the session.
        if own.is_none() && self.options.max_age.is_none() && !session.is_persistent() {
            return;
        }
        if session.is_new() && !session.is_modified() {
            return;
        }
        let changed =
            own.and_then(|own| own.max_age).filter(|_| own.is_some_and(|own| own.max_age != self.options.max_age));
        if let Some(longest) = changed {
            // Refused if the session was rotated or has ended. No cookie is sent then either.
            if !session.is_persistent() && session.set_persistent(true).is_err() {
                return;
            }
            let _ = session.idle_at_most(longest);
        }
        let options = own.unwrap_or(&self.options);
        if options.max_age.is_some() || session.is_persistent() {
            // No browser keeps a cookie for longer, and each noted use sends it again.
            let _ = session.idle_at_most(CookieOptions::LONGEST);
        }
    }

    /// Returns what the response sends for the result of the commit. It is nothing if the client has the session's present value.
    ///
    /// `handed` is the value that the handler has passed on itself.
    pub(crate) fn announce(
        &self,
        options: impl Fn() -> CookieOptions,
        open: &OpenSession,
        commit: Commit,
        handed: Option<&Token>,
    ) -> Result<Announced> {
        let new = match commit {
            Commit::Clear => Some(NewValue::default()),
            commit => self.new_value(&options, open, commit)?,
        };
        let new = new.filter(|new| handed.is_none_or(|handed| handed.as_str() != new.value));
        match open.source {
            Source::Header(name) => {
                let token = new.map(|new| (name, Token::new(new.value)));
                Ok(Announced { token, ..Announced::default() })
            }
            Source::Cookie => self.announce_cookie(options, open, new),
        }
    }

    /// Returns the `Set-Cookie` lines for a new value. An empty value clears the cookie.
    ///
    /// Lines that clear other places come first, because the last line counts for browsers that take two places for one.
    fn announce_cookie(
        &self,
        options: impl Fn() -> CookieOptions,
        open: &OpenSession,
        new: Option<NewValue>,
    ) -> Result<Announced> {
        let mut lines = if open.moves && new.is_none() { Vec::new() } else { open.clears.clone() };
        match new {
            None => {}
            Some(NewValue { value, .. }) if value.is_empty() => {
                let options = options();
                lines = options.clear_former(&self.cookie);
                lines.push(SetCookie::clear(&self.cookie, &options)?);
            }
            Some(NewValue { value, persistent, left }) => {
                let options = options();
                let persistent = persistent || options.max_age.is_some();
                lines.push(SetCookie::issue(&self.cookie, &options, &value, persistent.then_some(left))?);
            }
        }
        Ok(Announced { lines, token: None })
    }

    /// Returns the value that opens the session, for the application to pass on.
    pub(crate) fn token(&self, open: &OpenSession, id: &str) -> Token {
        let record = open.sealed.as_deref().and_then(|sealed| sealed.record(&open.session));
        Token::new(self.value.write(id, record.as_ref()).into_owned())
    }

    fn new_value(
        &self,
        options: &impl Fn() -> CookieOptions,
        open: &OpenSession,
        commit: Commit,
    ) -> Result<Option<NewValue>> {
        if let Some(sealed) = open.sealed.as_deref() {
            return Ok(self.new_sealed(&open.session, sealed, &commit));
        }
        let update = match commit {
            Commit::Issue(update) => update,
            // Every other cookie ends with the browser or with the absolute time-out, and neither has moved.
            Commit::Extended(update)
                if open.source == Source::Cookie && self.is_renewed(&options(), &open.session, &update) =>
            {
                update
            }
            Commit::Extended(_) | Commit::Unchanged | Commit::Clear => return Ok(None),
        };
        let CookieUpdate { value, persistent, max_age, .. } = &update;
        let value = self.value.write(value.as_str(), None).into_owned();
        Ok(Some(NewValue { value, persistent: *persistent, left: *max_age }))
    }

    /// Whether the cookie is sent again because the session's expiry has moved.
    fn is_renewed(&self, options: &CookieOptions, session: &Session, update: &CookieUpdate) -> bool {
        ending(options).is_some() || self.outlives_its_cookie(options, session, update)
    }

    /// Warns that the browser drops the cookie, because its page was loaded by plain HTTP. At most once an hour, as each page may.
    pub(crate) fn warn_of_plain_page(&self) {
        let now = self.manager.now().as_millis();
        if now.saturating_sub(self.warned_at.load(Ordering::Relaxed)) < 3_600_000 {
            return;
        }
        self.warned_at.store(now, Ordering::Relaxed);
        tracing::warn!(
            cookie = self.cookie,
            "a browser shows a page by plain HTTP, so it drops the `Secure` cookie, and its next request starts a new session: \
             use HTTPS, or `http://localhost`, or set `CookieOptions::secure_when` (`insecure` in development)"
        );
    }

    /// Whether browsers end a persistent cookie before the absolute time-out ends its session. It is then sent again with each noted use.
    fn outlives_its_cookie(&self, options: &CookieOptions, session: &Session, ticket: &CookieUpdate) -> bool {
        let age = self.manager.now().since(session.created_at());
        let whole = ticket.max_age.saturating_add(age);
        (ticket.persistent || options.max_age.is_some()) && whole > CookieOptions::LONGEST
    }

    /// Returns the sealed session, or `None` if the client already has this state.
    fn new_sealed(&self, session: &Session, sealed: &SealedCookie, commit: &Commit) -> Option<NewValue> {
        let record = sealed.record(session)?;
        let before = sealed.before.as_ref();
        if (sealed.current || session.keeps_expiry()) && before.is_some_and(|(_, before)| *before == record) {
            return None;
        }
        let id = match commit {
            Commit::Issue(ticket) | Commit::Extended(ticket) => ticket.value.as_str(),
            // The id and the expiry are unchanged, so it is the id that the client sent.
            Commit::Unchanged | Commit::Clear => before.map(|(id, _)| &**id)?,
        };
        let left = session.expires_at().since(self.manager.now());
        let value = self.value.write(id, Some(&record)).into_owned();
        Some(NewValue { value, persistent: session.is_persistent(), left })
    }
}

impl SealedCookie {
    /// Record of the session as it is stored now.
    fn record(&self, session: &Session) -> Option<Record> {
        session.handle().and_then(|handle| self.store.record(handle.key()))
    }
}
