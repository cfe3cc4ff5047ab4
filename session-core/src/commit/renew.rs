//! Renewal of the id by policy: the session moves to a new id, and its old id opens it for a while.

use std::sync::Arc;
use std::time::Duration;

use super::changes::{Changes, NewId};
use super::committer::{Committer, Step};
use super::own_write::{OwnWrite, Replacement};
use super::recovery::{Attempted, attempt};
use super::save::no_changes;
use crate::codec::{Content, IdAge, OldId, Stored, tombstone};
use crate::manager::environment::Now;
use crate::mutant::{self, Mutant};
use crate::session::committed::StoredAt;
use crate::session::state::State;
use crate::{Error, Outcome, Result, Timestamp, hours};

/// Maximum number of attempts of a renewal. After as many conflicts with other requests, the next request renews the id.
const TRIES: usize = 3;

/// Time for which the tombstone of an id that is two renewals old is stored.
const OLDER_ID_LIFE: Duration = hours(1);

/// Write that keeps a session's id up to date.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IdWrite {
    /// The id is old, and the client has it.
    Renew,
    /// The client has the new id, and the record does not tell yet.
    NoteSeen,
    /// The client has the old id, whose tombstone would expire before the session.
    KeepOldId,
}

impl Committer<'_> {
    /// Renews the session's id if it is old enough, or notes which id the client has. Returns whether that has stored a use of the session.
    ///
    /// A failure is an event and no error, because no change of the request is lost, and the client's id still opens the session.
    pub(super) async fn renew_if_due(&self) -> bool {
        if !self.id_write_is_possible(&self.state()) {
            return false;
        }
        let now = self.shared.env.now();
        if !self.id_write_is_due(&self.state(), now) {
            return false;
        }
        let _turn = self.shared.committing.lock().await;
        Box::pin(self.write_id()).await.unwrap_or_else(|error| {
            tracing::warn!(name = %self.shared.env.name, %error, "the renewal of a session's id could not be stored");
            false
        })
    }

    pub(super) fn id_write_is_due(&self, state: &State, now: Timestamp) -> bool {
        self.due_id_write(state, now).is_some()
    }

    /// Whether an id write can become due with time. Most sessions have none, and need not look at the clock.
    fn id_write_is_possible(&self, state: &State) -> bool {
        let env = &*self.shared.env;
        let is_busy = state.has_changes() || state.uncertain.is_some() || state.closed;
        let (Some(_), Some(stored)) = (&state.client, &state.stored) else { return false };
        if is_busy || env.for_request || env.discards {
            return false;
        }
        if state.quiet.keeps_expiry && !mutant::is(Mutant::RenewsForQuietRequests) {
            return false;
        }
        env.renewal.is_on() || unseen(stored).is_some()
    }

    fn due_id_write(&self, state: &State, now: Timestamp) -> Option<IdWrite> {
        if !self.id_write_is_possible(state) {
            return None;
        }
        let env = &*self.shared.env;
        let (client, stored) = (state.client.as_ref()?, state.stored.as_ref()?);
        let unseen = unseen(stored);
        if client.id.as_ref() == Some(&stored.id) {
            // A cookie that is outdated may have been handed out by the application in another way.
            let renews = !client.outdated && env.renewal.is_due(&stored.content, now);
            return match unseen {
                Some(_) if !mutant::is(Mutant::NeverSeesNewIds) => Some(IdWrite::NoteSeen),
                _ => renews.then_some(IdWrite::Renew),
            };
        }
        if mutant::is(Mutant::RenewsUnseenIds) && env.renewal.is_due(&stored.content, now) {
            return Some(IdWrite::Renew);
        }
        let (_, _, expires_at) = client.successor.as_ref()?.tombstone?;
        let lasts = expires_at >= now.plus(env.policy.idle(&stored.content));
        (unseen.is_some() && !lasts).then_some(IdWrite::KeepOldId)
    }

    async fn write_id(&self) -> Result<bool> {
        let (due, changes, stored) = {
            let now = self.shared.env.now();
            let state = self.state();
            let (Some(due), Some(stored)) = (self.due_id_write(&state, now), state.stored.clone()) else {
                return Ok(false);
            };
            (due, no_changes(&state, &stored), stored)
        };
        match due {
            IdWrite::Renew => {
                let renewed = self.renew(&changes, &stored).await;
                self.remove_orphans().await;
                renewed
            }
            IdWrite::NoteSeen => self.note_seen(&stored).await,
            IdWrite::KeepOldId => self.keep_old_id(&stored).await.map(|()| false),
        }
    }

    /// Stores the session under a new id, and a tombstone in place of its record, as a rotation does. The new record holds its id, sealed
    /// under the old one.
    async fn renew(&self, changes: &Changes, old: &StoredAt) -> Result<bool> {
        let env = &*self.shared.env;
        let mut over = old.record.clone();
        for _ in 0..TRIES {
            let after = self.store_under_new_id(changes, &over.content, &NewId::Renewed(old)).await?;
            if mutant::is(Mutant::IssuesUnstoredRenewals) {
                self.apply_commit(&after);
            }
            let mut tombstone = OwnWrite::new(self, changes, old, &over, Replacement::Tombstone(after));
            match attempt(env, &old.key, over.version, &mut tombstone).await? {
                Attempted::Stored(version) => {
                    self.apply_sent(version, tombstone.last, changes);
                    self.expire_older_id(&over.content).await;
                    return Ok(true);
                }
                Attempted::Unknown(error) => return Err(error),
                Attempted::NotStored | Attempted::Gone => self.state().end_uncertain(),
            }
            self.remove_orphans().await;
            over = match env.current(&old.key).await? {
                Now::Live(now) if now.content.identity() == over.content.identity() => now,
                Now::Moved(next) => {
                    self.follow(old, &next).await?;
                    return Ok(false);
                }
                Now::Live(_) | Now::Ended | Now::Missing => return Ok(false),
            };
            if !env.renewal.is_due(&over.content, env.now()) {
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// Lets the tombstone of the renewal before, whose id is two renewals old, expire sooner.
    ///
    /// That id opens nothing any more. A task or a page that is older than two renewals can still end the session through it.
    async fn expire_older_id(&self, content: &Content) {
        let Some(before) = content.id_age.as_ref().and_then(|age| age.before.as_ref()) else { return };
        let env = &*self.shared.env;
        let shorten = async {
            let Some(record) = env.store().load(&env.call(), &before.key).await? else { return Ok(()) };
            let expires_at = env.now().plus(OLDER_ID_LIFE);
            let Ok((Stored::Tombstone(next @ Some(_)), head)) = Stored::read(&record) else { return Ok(()) };
            if record.expires_at > expires_at {
                let sooner = tombstone(next.as_ref(), record.created_at, expires_at, Some(&head.trail));
                let _ = env.store().save(&env.call(), &before.key, record.version, &sooner).await?;
            }
            Ok::<_, Error>(())
        };
        if let Err(error) = shorten.await {
            tracing::debug!(name = %env.name, %error, "the tombstone of an earlier renewal stays until it expires");
        }
    }

    /// Notes in the record that the client has the session's present id. From then on the id before opens the session for its grace time.
    async fn note_seen(&self, stored: &StoredAt) -> Result<bool> {
        let seen = Some(self.shared.env.now());
        let id_age = stored.content.id_age.as_ref().map(|age| {
            let before = age.before.clone().map(|before| OldId { seen, ..before });
            Arc::new(IdAge { before, ..**age })
        });
        let content = Content { id_age, ..Content::clone(&stored.content) };
        self.save_again(stored, &stored.record, content.into()).await.map(|outcome| outcome == Outcome::Done)
    }

    /// Lets the tombstone under the client's old id be stored for as long as the session.
    async fn keep_old_id(&self, stored: &StoredAt) -> Result<()> {
        let env = &*self.shared.env;
        let tombstone = self.state().client.as_ref().and_then(|client| client.successor.as_ref()?.tombstone);
        let Some((key, version, _)) = tombstone else { return Ok(()) };
        let expires_at = env.now().plus(env.old_id_life(&stored.content));
        if env.store().touch(&env.call(), &key, version, expires_at).await? == Outcome::Done {
            self.state().note_tombstone((key, version, expires_at));
        }
        Ok(())
    }

    /// Continues at the key `next`, if a renewal by another request has moved the session there from `stored`. Returns whether it has.
    ///
    /// An open session follows a renewal at any time, because it changes no right and its changes must not be lost.
    pub(super) async fn follow(&self, stored: &StoredAt, next: &crate::StoreKey) -> Result<bool> {
        let env = &*self.shared.env;
        if mutant::is(Mutant::LosesRenewedSessions) {
            return Ok(false);
        }
        let epoch = self.state().epoch;
        let Some(moved) = env.renewed(&stored.id, &stored.key, next).await? else { return Ok(false) };
        let follows = {
            let mut state = self.state();
            let is_same = state.stored.as_ref().is_some_and(|now| now.key == stored.key);
            if state.epoch == epoch && is_same { state.follow(&moved, env.conflicts)? } else { false }
        };
        if follows {
            // The next commit reports a conflict.
            let _later = self.catch_up();
        }
        Ok(follows)
    }

    /// Continues where a renewal by another request has moved the session. Without a renewal the session is gone, which is an error.
    pub(super) async fn follow_or_lose(&self, changes: &Changes, stored: &StoredAt) -> Result<Step> {
        match self.shared.env.current(&stored.key).await? {
            Now::Moved(next) if self.follow(stored, &next).await? => Ok(Step::Again),
            _ => self.mark_gone(changes),
        }
    }

    /// Continues where a renewal by another request has moved the session, if one has.
    pub(crate) async fn find_renewed(&self) -> Result<()> {
        let _turn = self.shared.committing.lock().await;
        let Some(stored) = self.state().stored.clone() else { return Ok(()) };
        if let Now::Moved(next) = self.shared.env.current(&stored.key).await? {
            self.follow(&stored, &next).await?;
        }
        Ok(())
    }
}

/// Returns the id before, if no client was seen to have the present one.
fn unseen(stored: &StoredAt) -> Option<&OldId> {
    stored.content.id_age.as_ref()?.unseen()
}
