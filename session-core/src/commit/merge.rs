//! Merges concurrent writes to one session into few saves.
//!
//! The first conflict opens a queue for the session. While one save of the queue is in flight, each request adds its changes to
//! the content of the next save, in its own task. So a hundred concurrent requests cost two or three saves.

use std::sync::{Arc, Weak};

use super::changes::{Changes, RebaseError};
use super::committer::{Committer, GONE, Step, TOO_MANY_CONFLICTS};
use super::joint_write::{Ended, JointWrite, LastStep, Line};
use super::recovery::{Attempted, Undecided, attempt};
use super::uncertain::{Sent, UncertainSave, UncertainWrite};
use super::write_queue::Slot;
use crate::codec::Content;
use crate::manager::environment::{Environment, Now};
use crate::mutant::{self, Mutant};
use crate::session::committed::{StoredAt, StoredRecord};
use crate::sync::SharedFuture;
use crate::{Error, ErrorKind, Record, Result, StoreKey, Version};

/// Maximum number of consecutive writes without a load between them.
///
/// A write that builds on the previous one needs no load, so it always wins against another process, which must load after each
/// conflict. Without a load now and then, a long queue here would starve the writers of another process.
const IN_A_ROW: u32 = 8;

const PANICKED: Error = Error::fixed(ErrorKind::Unavailable, "the store panicked; its panic message tells why");

/// State of the save of a joint write.
struct Sending {
    env: Arc<Environment>,
    /// Weak because the write owns the future that holds this. The task that polls the future holds the write.
    write: Weak<JointWrite>,
    over: Arc<StoredRecord>,
    content: Arc<Content>,
}

impl Undecided for Sending {
    fn next(&mut self) -> Result<Record> {
        let (record, stored) = self.env.record(&self.content, Some(&self.over.trail))?;
        let write = self.write.upgrade().ok_or(PANICKED)?;
        write.forming().sent.push(stored);
        Ok(record)
    }

    fn sent(&self) -> Vec<Version> {
        let write = self.write.upgrade();
        write.iter().flat_map(|write| write.forming().versions()).collect()
    }

    fn refused(&mut self) {
        if let Some(write) = self.write.upgrade() {
            write.forming().sent.pop();
        }
    }
}

impl Committer<'_> {
    /// Saves `changes` together with those of other requests in the queue. `known` is the record that `changes` were made on, or
    /// `None` if a conflict has shown that it was replaced.
    pub(super) async fn save_merged(
        &self,
        changes: &Arc<Changes>,
        stored: &StoredAt,
        slot: &Slot<Line>,
        mut known: Option<Arc<StoredRecord>>,
    ) -> Result<Step> {
        let mut alone = false;
        for _ in 0..=self.shared.env.max_replays {
            let join = self.join(changes, stored, slot, alone, known.take());
            let Some(write) = join.await? else { return self.follow_or_lose(changes, stored).await };
            let ended = self.end_joint(&write, changes, stored).await;
            // The next writer needs only the stored record, so the write itself can be dropped.
            let next = match &ended {
                Ended::Stored(record) => Some(LastStep::Loaded(record.clone())),
                _ => None,
            };
            let write = LastStep::Write(write);
            replace_step(slot, &write, next);
            match ended {
                Ended::Stored(_) => return Ok(Step::Committed),
                Ended::NotStored => {}
                Ended::Gone => return self.mark_gone(changes),
                Ended::Refused(error) if alone || mutant::is(Mutant::RefusesTogether) => return Err(error),
                Ended::Refused(_) => alone = true,
                Ended::Unknown(error) => return Err(error),
            }
        }
        Err(TOO_MANY_CONFLICTS)
    }

    /// Drives a joint write to its end and applies the result to this session.
    pub(super) async fn end_joint(&self, write: &Arc<JointWrite>, changes: &Changes, stored: &StoredAt) -> Ended {
        let ended = write.end().await;
        let after = |record| changes.committed(stored.with(record));
        match &ended {
            Ended::Stored(record) => self.apply_commit(&after(record.clone())),
            Ended::NotStored | Ended::Gone | Ended::Refused(_) => self.state().forget_joint(write),
            Ended::Unknown(_) => {
                let (over, sent) = {
                    let forming = write.forming();
                    (forming.over.clone(), forming.sent.clone())
                };
                let mut sent =
                    sent.into_iter().map(|sent| Arc::new(Sent { version: sent.version, after: after(sent) }));
                if let (Some(over), Some(last)) = (over, sent.next_back()) {
                    let save = UncertainSave { key: stored.key, over, last, earlier: sent.collect() };
                    self.state().note(UncertainWrite::Save(save), changes.epoch);
                }
            }
        }
        ended
    }

    /// Adds `changes` to the next save of the queue and returns it. `None` if the session is gone.
    async fn join(
        &self,
        changes: &Arc<Changes>,
        stored: &StoredAt,
        slot: &Slot<Line>,
        alone: bool,
        known: Option<Arc<StoredRecord>>,
    ) -> Result<Option<Arc<JointWrite>>> {
        let env = &self.shared.env;
        // A queue without a last step has not written since this record was loaded.
        if let Some(known) = known {
            slot.shared().last.get_or_insert(LastStep::Loaded(known));
        }
        loop {
            let Some(last) = slot.shared().last.clone() else {
                let load = Arc::new(SharedFuture::new(load(env.clone(), stored.key, None)));
                slot.shared().last.get_or_insert(LastStep::Load(load));
                continue;
            };
            let (content, members, loaded) = match &last {
                LastStep::Load(load) => {
                    let loaded = load.output().await.unwrap_or(Err(PANICKED));
                    let current = loaded.as_ref().ok().cloned().flatten();
                    replace_step(slot, &last, current.map(LastStep::Loaded));
                    match loaded? {
                        Some(_) => continue,
                        None => return Ok(None),
                    }
                }
                LastStep::Loaded(current) => (current.content.clone(), 0, current.version == stored.version),
                LastStep::Write(write) => {
                    let forming = write.forming();
                    let loaded = forming.sent.iter().any(|sent| sent.version == stored.version);
                    (forming.content.clone(), forming.members, loaded)
                }
            };
            // On the record that the changes were made on, their result is known without a replay.
            let rebased = if loaded { Ok(changes.content.clone()) } else { changes.rebase(&content, env) };
            match rebased {
                Ok(content) => {
                    if let Some(write) = self.add(changes, stored, slot, &last, members, content, alone)? {
                        return Ok(Some(write));
                    }
                }
                // The queue may be behind or ahead of the stored record. So only a load may decide against these changes.
                Err(RebaseError::Error(error)) if mutant::is(Mutant::BelievesTheQueue) => return Err(error),
                Err(_) => {
                    if let LastStep::Write(write) = &last {
                        write.end().await;
                    }
                    let Now::Live(current) = env.current(&stored.key).await? else { return Ok(None) };
                    match changes.rebase(&current.content, env) {
                        Ok(_) => replace_step(slot, &last, Some(LastStep::Loaded(current))),
                        Err(RebaseError::Identity) => return Ok(None),
                        Err(RebaseError::Error(error)) => return Err(error),
                    }
                }
            }
        }
    }

    /// Puts `content` into the save after `last`. Returns `None` if the queue has changed since `content` was computed.
    #[expect(clippy::too_many_arguments, reason = "all of one step in the queue")]
    fn add(
        &self,
        changes: &Arc<Changes>,
        stored: &StoredAt,
        slot: &Slot<Line>,
        last: &LastStep,
        members: u64,
        content: Arc<Content>,
        alone: bool,
    ) -> Result<Option<Arc<JointWrite>>> {
        let mut line = slot.shared();
        if !line.last.as_ref().is_some_and(|now| now.is(last)) {
            return Ok(None);
        }
        let note = |write: &Arc<JointWrite>| {
            let (write, changes, stored) = (write.clone(), changes.clone(), stored.clone());
            let epoch = changes.epoch;
            if mutant::is(Mutant::JoinsWithoutANote) {
                return Ok(());
            }
            if self.state().note(UncertainWrite::Joint { write, changes, stored }, epoch) { Ok(()) } else { Err(GONE) }
        };
        if let LastStep::Write(write) = last {
            let mut forming = write.forming();
            if forming.members != members {
                return Ok(None);
            }
            if forming.open && !alone {
                note(write)?;
                forming.content = content;
                forming.members += 1;
                return Ok(Some(write.clone()));
            }
        }
        let before = last.clone();
        if line.in_a_row >= IN_A_ROW {
            line.in_a_row = 0;
            let load = load(self.shared.env.clone(), stored.key, Some(before));
            line.last = Some(LastStep::Load(Arc::new(SharedFuture::new(load))));
            return Ok(None);
        }
        line.in_a_row += 1;
        let (env, key) = (self.shared.env.clone(), stored.key);
        let write = JointWrite::new(content, !alone, |write| send(env, key, before, write));
        note(&write)?;
        line.last = Some(LastStep::Write(write.clone()));
        Ok(Some(write))
    }
}

/// Replaces `step` by `next` in the queue if it is still the last step.
///
/// The step that is no longer needed is dropped after the queue is unlocked, because it may hold the application's closures.
fn replace_step(slot: &Slot<Line>, step: &LastStep, next: Option<LastStep>) {
    let replaced = slot.shared().replace(step, next);
    drop(replaced);
}

/// Sends a joint write after the step `before` has ended. Until then, more members may join.
async fn send(env: Arc<Environment>, key: StoreKey, before: LastStep, write: Weak<JointWrite>) -> Ended {
    let over = match before {
        LastStep::Loaded(current) => current,
        LastStep::Write(before) => match before.end().await {
            Ended::Stored(current) => current,
            _ if mutant::is(Mutant::SendsAfterAFailure) => match before.forming().over.clone() {
                Some(over) => over,
                None => return Ended::NotStored,
            },
            // This write builds on changes that are not stored, so it is not sent.
            _ => return Ended::NotStored,
        },
        LastStep::Load(_) => return Ended::NotStored,
    };
    let Some(content) = write.upgrade().map(|write| write.forming().close(&over)) else { return Ended::NotStored };
    let expected = over.version;
    let mut sending = Sending { env: env.clone(), write, over, content };
    match attempt(&env, &key, expected, &mut sending).await {
        Ok(Attempted::Stored(version)) => {
            let stored = sending.write.upgrade().and_then(|write| write.forming().sent_as(version));
            stored.map_or(Ended::NotStored, Ended::Stored)
        }
        Ok(Attempted::NotStored) => Ended::NotStored,
        Ok(Attempted::Gone) => Ended::Gone,
        Ok(Attempted::Unknown(error)) => Ended::Unknown(error),
        // An earlier record is still undecided, and the refusal of the last one does not decide it.
        Err(error) if !sending.sent().is_empty() => Ended::Unknown(error),
        Err(error) => Ended::Refused(error),
    }
}

/// Loads the record of a session after the step `before` has ended. `None` if the session is gone.
async fn load(env: Arc<Environment>, key: StoreKey, before: Option<LastStep>) -> Result<Option<Arc<StoredRecord>>> {
    if let Some(LastStep::Write(write)) = before {
        write.end().await;
        // A second load gives another process that has just lost a race the time to save.
        env.current(&key).await?;
    }
    match env.current(&key).await? {
        Now::Live(current) => Ok(Some(current)),
        Now::Moved(_) | Now::Ended | Now::Missing => Ok(None),
    }
}
