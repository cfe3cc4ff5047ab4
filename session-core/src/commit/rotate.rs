//! Rotation: the session under a new id, and a tombstone in place of its old record.

use std::sync::Arc;

use super::changes::{Changes, RebaseError};
use super::committer::{Committer, Step, TOMBSTONE_LIFE, TOMBSTONE_TELLS, TOO_MANY_CONFLICTS};
use super::joint_write::Current;
use super::recovery::{Attempted, Undecided, attempt, is_definite};
use super::uncertain::{Sent, UncertainSave, UncertainWrite};
use crate::codec::{Content, tombstone};
use crate::manager::environment::Now;
use crate::mutant::{self, Mutant};
use crate::session::committed::{CommittedState, Orphan, StoredAt};
use crate::session::log::{self, replay};
use crate::trail::Trail;
use crate::{Error, ErrorKind, Outcome, Record, Result, Session, Version};

/// The tombstone over `over`, after which the session is what `after` says.
struct Tombstone<'s> {
    session: &'s Session,
    epoch: u64,
    old: &'s StoredAt,
    over: &'s Current,
    after: CommittedState,
    last: Option<Arc<Sent>>,
}

impl Undecided for Tombstone<'_> {
    fn record(&self) -> Result<(Record, Trail)> {
        let life = if mutant::is(Mutant::ForgetsTombstonesEarly) { TOMBSTONE_TELLS } else { TOMBSTONE_LIFE };
        let expires_at = self.session.shared.env.now().plus(life);
        let next = Some(&self.after.stored.key);
        let record = tombstone(next, self.over.content.created_at, expires_at, Some(&self.over.trail));
        // No save goes over a tombstone, so its trail is of no use here.
        let trail = Trail::of(record.version);
        Ok((record, trail))
    }

    fn note(&mut self, record: &Record, _: Trail) -> bool {
        let last = Arc::new(Sent { version: record.version, after: self.after.clone() });
        self.last = Some(last.clone());
        let save = UncertainSave { key: self.old.key, over: self.over.clone(), last, earlier: Vec::new() };
        self.session.state().note(UncertainWrite::Save(save), self.epoch)
    }

    fn sent(&self) -> Vec<Version> {
        self.session.state().sent_versions()
    }

    fn refused(&mut self) {
        self.session.state().forget_last_sent();
    }
}

impl Committer<'_> {
    /// Stores the session under a new id, then turns the old record into a tombstone that points there.
    ///
    /// Until the second step succeeds no client has the new id, and after it the old one opens nothing.
    /// At no instant do both open the session, or neither.
    pub(super) async fn rotate_over(&self, changes: &Changes, old: &StoredAt) -> Result<Step> {
        let env = &*self.shared.env;
        let mut over = self.state().undecided_over().unwrap_or_else(|| changes.as_loaded(old));
        for _ in 0..=env.max_replays {
            let content = match changes.rebase_onto(&over, old, env.conflicts) {
                Ok(content) => content,
                Err(RebaseError::Identity) => return self.start_over(changes).await,
                Err(RebaseError::Error(error)) => return Err(error),
            };
            let after = self.store_under_new_id(changes, &content).await?;
            let mut tombstone = Tombstone { session: self, epoch: changes.epoch, old, over: &over, after, last: None };
            // If the tombstone stands, the new record is the session. After an error the next commit finds out.
            match attempt(env, &old.key, over.version, &mut tombstone).await? {
                Attempted::Stored(version) => return Ok(self.apply_sent(version, tombstone.last, changes)),
                Attempted::Unknown(error) => return Err(error),
                Attempted::NotStored | Attempted::Gone => self.state().uncertain = None,
            }
            self.remove_orphans().await;
            over = match env.current(&old.key).await? {
                Now::Live(current) => current,
                // A logout beats a login that was in flight.
                Now::Ended => return self.mark_gone(changes),
                Now::Moved | Now::Missing => return self.start_over(changes).await,
            };
        }
        Err(TOO_MANY_CONFLICTS)
    }

    /// Stores `content` under a new id. It is noted as an orphan until the tombstone is stored.
    async fn store_under_new_id(&self, changes: &Changes, content: &Arc<Content>) -> Result<CommittedState> {
        let env = &*self.shared.env;
        let mut lost = Error::from(ErrorKind::Unavailable);
        for _ in 0..2 {
            let (key, record, after) = self.new_record(changes, content)?;
            self.state().orphans.push(Orphan { key, version: record.version, landed: false });
            let created = env.store().create(&env.call(), &key, &record).await;
            let mut state = self.state();
            match created {
                Ok(Outcome::Done) => {
                    state.orphans.iter_mut().filter(|orphan| orphan.key == key).for_each(|orphan| orphan.landed = true);
                    return Ok(after);
                }
                Ok(_) => state.orphans.retain(|orphan| orphan.key != key),
                Err(error) if is_definite(&error) => {
                    state.orphans.retain(|orphan| orphan.key != key);
                    return Err(error);
                }
                Err(error) => lost = error,
            }
        }
        Err(lost)
    }

    /// A login whose old session is gone starts from an empty one. Other changes are gone with the session,
    /// and so is a login whose log was guarded by a value of it (`take`, `get` then `insert`, `require_unchanged`).
    async fn start_over(&self, changes: &Changes) -> Result<Step> {
        let login = changes
            .ops
            .iter()
            .rposition(|op| op.is_login())
            .filter(|_| mutant::is(Mutant::LogsInWithAGuard) || !log::is_guarded(&changes.ops));
        let Some(login) = login else { return self.mark_gone(changes) };
        // The values of these operations are encoded in the codec of the session that is gone.
        let empty = Content::empty(self.shared.env.now(), changes.base.codec);
        let content = replay(&changes.ops[login..], &empty)?;
        self.create(changes, content).await
    }
}
