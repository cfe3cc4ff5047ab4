//! Cookie for a response, as the result of a commit asks.

use std::sync::atomic::Ordering;
use std::time::Duration;

use session_core::{Commit, CookieUpdate, Result, Session};

use super::{ConfiguredSession, OpenSession, SealedCookie, ending};
use crate::{CookieOptions, SetCookie};

impl ConfiguredSession {
    /// Applies the cookie's lifetime to the session, so that both end together. `own` are the options of this response, if it has its own.
    pub(crate) fn keep_in_step(&self, own: Option<&CookieOptions>, session: &Session) {
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

    /// Returns the `Set-Cookie` lines for the result of the commit. There are none if the client's cookie is up to date.
    ///
    /// Lines that clear other places come first, because the last line counts for browsers that take two places for one.
    pub(crate) fn announce(
        &self,
        options: impl FnOnce() -> CookieOptions,
        open: &OpenSession,
        commit: Commit,
    ) -> Result<Vec<SetCookie>> {
        if matches!(commit, Commit::Clear) {
            let options = options();
            let mut lines = options.clear_former(&self.cookie);
            lines.push(SetCookie::clear(&self.cookie, &options)?);
            return Ok(lines);
        }
        let line = match open.sealed.as_deref() {
            Some(sealed) => self.announce_sealed(options, &open.session, sealed, commit)?,
            None => self.announce_id(options, &open.session, commit)?,
        };
        let mut lines = if open.moves && line.is_none() { Vec::new() } else { open.clears.clone() };
        lines.extend(line);
        Ok(lines)
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

    fn announce_id(
        &self,
        options: impl FnOnce() -> CookieOptions,
        session: &Session,
        commit: Commit,
    ) -> Result<Option<SetCookie>> {
        let (ticket, options) = match commit {
            Commit::Issue(ticket) => (ticket, options()),
            Commit::Extended(ticket) => {
                let options = options();
                // Every other cookie ends with the browser or with the absolute time-out, and neither has moved.
                if ending(&options).is_none() && !self.outlives_its_cookie(&options, session, &ticket) {
                    return Ok(None);
                }
                (ticket, options)
            }
            Commit::Unchanged | Commit::Clear => return Ok(None),
        };
        let CookieUpdate { value, persistent, max_age, .. } = &ticket;
        self.issue(&options, &self.value.write(value.as_str(), None), *persistent, *max_age).map(Some)
    }

    /// Whether browsers end a persistent cookie before the absolute time-out ends its session. It is then sent again with each noted use.
    fn outlives_its_cookie(&self, options: &CookieOptions, session: &Session, ticket: &CookieUpdate) -> bool {
        let age = self.manager.now().since(session.created_at());
        let whole = ticket.max_age.saturating_add(age);
        (ticket.persistent || options.max_age.is_some()) && whole > CookieOptions::LONGEST
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
        if (sealed.current || session.keeps_expiry()) && before.is_some_and(|(_, before)| *before == record) {
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
