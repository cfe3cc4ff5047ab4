//! Opening a session from the values that a client sent under its cookie's name.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::try_join_all;
use session_core::{Opened, Result, SessionId, StoreKey};

use super::{ConfiguredSession, OpenSession, SealedCookie};
use crate::RequestHead;
use crate::cookie_header::Candidates;
use crate::cookie_store::request_store::RequestStore;
use crate::cookie_value::{Read, Value};
use crate::transport::Sent;

impl ConfiguredSession {
    /// Opens the session from the values that the client sent.
    pub(crate) async fn open(&self, sent: Sent<'_>, head: &dyn RequestHead) -> Result<OpenSession> {
        let Sent { found, source, .. } = sent;
        let without_value = found.first.is_none() && !found.others;
        let mut opened = match found {
            Candidates { first: None, others, .. } => self.open_by(others.then_some("")).await?,
            Candidates { first: Some(only), ref more, .. } if more.is_empty() => self.open_by(Some(only)).await?,
            Candidates { first: Some(first), more, .. } => Box::pin(self.open_one_of(first, &more, head)).await?,
        };
        (opened.without_value, opened.source) = (without_value, source);
        Ok(opened)
    }

    /// Opens the session from one value. An unusable value gives a new session.
    async fn open_by(&self, value: Option<&str>) -> Result<OpenSession> {
        match &self.value {
            Value::Id => Ok(OpenSession::new(self.manager.open(value).await?, None)),
            // Boxed so that these futures do not enlarge the common one.
            Value::Signed { .. } => Box::pin(self.open_signed(value)).await,
            Value::Sealed(_) => Box::pin(self.open_sealed(value)).await,
        }
    }

    async fn open_signed(&self, value: Option<&str>) -> Result<OpenSession> {
        let Some(Read { id, current, .. }) = value.and_then(|value| self.value.read(value)) else {
            return Ok(OpenSession::new(self.manager.open(value.map(|_| "")).await?, None));
        };
        let session = self.manager.open(Some(&id)).await?;
        if !current {
            session.renew_cookie();
        }
        Ok(OpenSession::new(session, None))
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
        Ok(OpenSession::new(session, Some(Box::new(SealedCookie { store, before, current }))))
    }

    fn key(&self, id: &str) -> Option<StoreKey> {
        Some(StoreKey::derive(self.manager.name(), &SessionId::parse(id)?))
    }

    async fn open_one_of(&self, first: &str, more: &[&str], head: &dyn RequestHead) -> Result<OpenSession> {
        let values = std::iter::once(&first).chain(more);
        let mut opened = try_join_all(values.map(|value| self.open_by(Some(value)))).await?;
        let live = self.live(&opened);
        if live.len() > 1 {
            return match self.newest(&opened, &live) {
                Some(at) => {
                    let mut newest = opened.swap_remove(at);
                    self.move_here(&mut newest);
                    Ok(newest)
                }
                None => self.use_neither(live.len(), head).await,
            };
        }
        // If all are dead, use the one that says most: after a rotation or a logout no new cookie must be set.
        // Of two ids of one session, which a renewal has changed, use the present one. The other may lie at a former place.
        let had_old_id = opened.iter().any(|open| open.session.has_old_id());
        let preference =
            |&at: &usize| (rank(opened[at].session.opened()), !opened[at].session.has_old_id(), Reverse(at));
        let best = (0..opened.len()).max_by_key(preference);
        let mut best = opened.swap_remove(best.unwrap_or(0));
        if had_old_id && !best.session.has_old_id() && !self.options.former.is_empty() {
            self.move_here(&mut best);
        }
        Ok(best)
    }

    /// Lets the response send the cookie again for today's place, and clear the former ones. The session's cookie may come from one of them.
    fn move_here(&self, open: &mut OpenSession) {
        open.session.renew_cookie();
        if let Some(sealed) = &mut open.sealed {
            sealed.current = false;
        }
        open.moves = true;
        open.clears = self.options.clear_former(&self.cookie);
    }

    /// Opens a new session, because several live ones were sent. The other places of the cookie are cleared, so that the next request is whole.
    async fn use_neither(&self, live: usize, head: &dyn RequestHead) -> Result<OpenSession> {
        tracing::warn!(
            cookie = %self.cookie,
            "a client sent {live} live sessions under one cookie name, and none is used: another host of the domain may plant cookies, \
             or the cookie's domain, path or partition was changed without `CookieOptions::formerly`"
        );
        let mut neither = self.open_by(None).await?;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        neither.clears = self.options.clear_elsewhere(&self.cookie, head, turn);
        Ok(neither)
    }

    /// Positions of the live sessions. Two signatures of one id count as one session.
    ///
    /// Two sealed cookies of one session count as two, because it is unknown which one is newer.
    fn live(&self, opened: &[OpenSession]) -> Vec<usize> {
        let mut live: Vec<usize> = Vec::new();
        for (at, open) in opened.iter().enumerate().filter(|(_, open)| open.session.opened() == Opened::Resumed) {
            let handle = open.session.handle();
            let known = |&other: &usize| opened[other].session.handle() == handle;
            if matches!(self.value, Value::Sealed(_)) || !live.iter().any(known) {
                live.push(at);
            }
        }
        live
    }

    /// Position of the newest live session, if the options name former places of the cookie.
    ///
    /// Sessions of different principals are not compared, because a sibling host can plant a newer one.
    fn newest(&self, opened: &[OpenSession], live: &[usize]) -> Option<usize> {
        let principal = |&at: &usize| opened[at].session.principal();
        let alike = live.iter().all(|at| principal(at) == principal(&live[0]));
        if self.options.former.is_empty() || !alike {
            return None;
        }
        let age = |&&at: &&usize| (opened[at].session.created_at(), opened[at].session.expires_at());
        live.iter().max_by_key(age).copied()
    }
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
