//! Ends or refuses the sessions that a principal has too many.

use std::sync::Arc;

use super::administration::{KEPT_CHANGING, MAX_ROUNDS};
use super::environment::Environment;
use super::excess::{Excess, SessionLimit};
use super::session_info::SessionInfo;
use crate::codec::Content;
use crate::mutant::{self, Mutant};
use crate::{Error, ErrorKind, EventKind, Outcome, Principal, Result, StoreKey, Timestamp, Version};

pub(crate) const TOO_MANY: Error = Error::fixed(
    ErrorKind::TooManySessions,
    "the principal has as many as `max_sessions` allows; let one be ended first, then log in again",
);

/// A live session of a principal.
struct Live {
    key: StoreKey,
    version: Version,
    info: SessionInfo,
    content: Arc<Content>,
}

impl Live {
    /// Returns the place of the session in the order in which sessions stay, as a login that began at `login` sees it.
    ///
    /// No use after that login counts, so a login never gives way to an older one.
    fn rank(&self, login: Timestamp) -> (Timestamp, Option<Timestamp>, StoreKey) {
        let counts_later_use = mutant::is(Mutant::RanksByAnyUse);
        // A login is a use. Its time may be ahead of the record's, see `LoginTimes`.
        let used = self.info.auth_time.map_or(self.info.last_used, |login| login.max(self.info.last_used));
        let used = if counts_later_use { used } else { used.min(login) };
        (used, self.info.auth_time, self.key)
    }
}

impl Environment {
    /// Returns an error if a login of `principal` would be one session too many. `own` is the session that it continues.
    pub(crate) async fn check_session_limit(
        &self,
        limit: SessionLimit,
        principal: &Principal,
        own: Option<&StoreKey>,
    ) -> Result<()> {
        let live = self.live_sessions(principal).await?;
        let is_own = |live: &&Live| own.is_some_and(|own| live.key == *own || live.content.renewed_from(own).is_some());
        let others = live.iter().filter(|live| !is_own(live)).count();
        if limit.is_exceeded_by(others + 1) { Err(TOO_MANY) } else { Ok(()) }
    }

    /// Ends the sessions of `principal` that are too many after a login that began at `login` and is stored under `own`.
    /// Returns whether the session of that login is live.
    pub(crate) async fn end_excess(
        &self,
        limit: SessionLimit,
        principal: &Principal,
        own: &StoreKey,
        login: Timestamp,
    ) -> Result<bool> {
        for _ in 0..MAX_ROUNDS {
            let mut live = self.live_sessions(principal).await?;
            let mut ranks: Vec<_> = live.iter().map(|live| (live.rank(login), live.key == *own)).collect();
            ranks.sort_unstable_by(|a, b| b.cmp(a));
            // A newer login has ended it.
            let Some(place) = ranks.iter().position(|(_, is_own)| *is_own) else { return Ok(false) };
            if !limit.is_exceeded_by(live.len()) {
                return Ok(true);
            }
            match limit.excess {
                // The sessions before it in the order are of newer logins, which look after the limit themselves. So the newest login is
                // ended by no other, and of any number of logins at once at least one stays.
                Excess::EndOldest => {
                    let first = ranks.get(place.max(limit.most as usize)).map(|(rank, _)| *rank);
                    live.retain(|live| first.is_some_and(|first| live.rank(login) <= first));
                }
                Excess::Refuse => live.retain(|live| live.key == *own),
            }
            let mut own_is_live = true;
            let mut changed = false;
            for excess in live {
                match self.store().delete(&self.call(), &excess.key, Some(excess.version)).await? {
                    Outcome::Done => {
                        let kind = match limit.excess {
                            Excess::EndOldest => EventKind::Evicted,
                            Excess::Refuse => EventKind::Revoked,
                        };
                        self.emit(kind, &excess.content, Some(&excess.key));
                        own_is_live &= excess.key != *own;
                    }
                    Outcome::Missing => own_is_live &= excess.key != *own,
                    Outcome::Conflict | Outcome::Exists => changed = true,
                }
            }
            if !changed {
                return Ok(own_is_live);
            }
        }
        Err(KEPT_CHANGING)
    }

    /// Lists the live sessions of `principal` that have this manager's name.
    async fn live_sessions(&self, principal: &Principal) -> Result<Vec<Live>> {
        let records = self.all_of(principal).await?;
        let now = self.now();
        let mut live = Vec::with_capacity(records.len());
        for (key, record) in records {
            if let Some((info, content)) = self.describe(key, &record, now)?
                && content.name.as_deref() == Some(&*self.name)
            {
                live.push(Live { key, version: record.version, info, content });
            }
        }
        self.remove_unfinished(&mut live, |live| &live.info).await?;
        Ok(live)
    }
}
