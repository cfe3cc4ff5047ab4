//! Mutable state of a session.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::committed::{CommittedState, CookieLifetime, Orphan, StoredAt};
use super::compact_log::CompactLog;
use super::log::{self, Op, Seen};
use super::opened::Opened;
use super::removed::Removed;
use crate::codec::{Content, OwnPolicy};
use crate::commit::uncertain::UncertainWrite;
use crate::mutant::{self, Mutant};
use crate::{Error, ErrorKind, Result, StoreKey, Timestamp};

mod client_cookie;
mod quiet;
mod renewal;
mod uncertain;

pub(crate) use client_cookie::{ClientCookie, Successor};
pub(crate) use quiet::Quiet;

pub(crate) struct State {
    pub(crate) opened: Opened,
    pub(crate) client: Option<ClientCookie>,
    /// Set when a write or touch of the session's record has succeeded since [`Manager::close`](crate::Manager::close) began.
    pub(crate) confirmed: bool,
    pub(crate) stored: Option<StoredAt>,
    /// Content as it is stored, or blank.
    pub(crate) base: Arc<Content>,
    /// Content as this request sees it: `base` after `log`.
    pub(crate) view: Arc<Content>,
    pub(crate) log: CompactLog,
    /// Incremented when the session is reset. The results of writes from an earlier epoch do not apply to it.
    pub(crate) epoch: u64,
    /// Set when `view` lacks operations of `log` after a commit. It is replayed at once; if that fails, the next commit reports the clash.
    pub(crate) stale: bool,
    /// Value last seen under each key, by a read or by a write that followed a read. Used to detect clashes.
    pub(super) reads: BTreeMap<Arc<str>, Seen>,
    /// Number of new ids requested, by logins, reauthentications and rotations.
    pub(crate) new_ids_wanted: u64,
    /// Number of those requests that the present id satisfies. A request that came while this id was being stored needs another one.
    new_ids_given: u64,
    /// Parts of the session's own policy that this request has set. A login keeps these and no others.
    pub(super) chosen: OwnPolicy,
    /// Keys of records that the next commit ends first, because of a logout.
    pub(crate) ending: Vec<StoreKey>,
    /// Records left by creates and rotations that failed. The next commit removes them.
    pub(crate) orphans: Vec<Orphan>,
    /// Set by a logout. The client's cookie is cleared unless a new session is stored.
    pub(crate) ended: bool,
    /// Set when the session has moved, ended or been revoked. The only write that is accepted then is a login.
    pub(crate) gone: bool,
    /// Set when the logout that ended the session is settled, so that a page may start a new session.
    pub(super) may_restart: bool,
    /// Set when changes were dropped because the session is gone. Every commit of every clone fails until this is acknowledged.
    pub(crate) dropped: bool,
    /// Set when changes were dropped because the request ended without a commit. Every save of every clone fails until this is acknowledged.
    abandoned: Option<Abandoned>,
    /// Set when a login was stored, until the sessions of its principal are limited.
    pub(crate) limit_due: bool,
    /// Set when the response's head has been sent.
    pub(crate) closed: bool,
    /// What a request that no person sees leaves as it is.
    pub(crate) quiet: Quiet,
    /// Set when the stored session itself is sent to the client with that head.
    pub(crate) for_request: bool,
    pub(crate) uncertain: Option<Box<UncertainWrite>>,
    /// End of the log at the last discard. A login before it may still turn out to be stored.
    discarded_until: u64,
    /// Set when a discard has forgotten a save that may still be stored. The next commit of changes then replaces the record, even if
    /// they change nothing in it, so that the save cannot undo them.
    pub(crate) must_replace: bool,
    /// Number of changes of `view`. `update` runs its closure unlocked, and runs it again if this has changed meanwhile.
    pub(super) changes: u64,
    /// Dropped when the lock is released.
    pub(super) removed: Removed,
}

/// Changes that were dropped with their request: all before these ends.
#[derive(Clone, Copy, Debug)]
struct Abandoned {
    ops_end: u64,
    new_ids: u64,
}

impl State {
    pub(crate) fn new(opened: Opened, client: Option<ClientCookie>, blank: Content) -> Box<Self> {
        Self::of(opened, client, None, Arc::new(blank))
    }

    fn of(opened: Opened, client: Option<ClientCookie>, stored: Option<StoredAt>, content: Arc<Content>) -> Box<Self> {
        Box::new(Self {
            opened,
            client,
            confirmed: false,
            stored,
            base: content.clone(),
            view: content,
            log: CompactLog::default(),
            epoch: 0,
            stale: false,
            reads: BTreeMap::new(),
            new_ids_wanted: 0,
            new_ids_given: 0,
            chosen: OwnPolicy::default(),
            ending: Vec::new(),
            orphans: Vec::new(),
            ended: false,
            gone: matches!(opened, Opened::Moved | Opened::Ended),
            may_restart: false,
            dropped: false,
            abandoned: None,
            limit_due: false,
            closed: false,
            quiet: Quiet::default(),
            for_request: false,
            uncertain: None,
            discarded_until: 0,
            must_replace: false,
            changes: 0,
            removed: Removed::default(),
        })
    }

    /// Creates the state of a session whose record was found.
    pub(crate) fn resumed(stored: StoredAt, lifetime: CookieLifetime) -> Box<Self> {
        let client = ClientCookie {
            id: Some(stored.id.clone()),
            expires_at: Some(stored.expires_at),
            lifetime: Some(lifetime),
            ..ClientCookie::default()
        };
        let content = stored.content.clone();
        Self::of(Opened::Resumed, Some(client), Some(stored), content)
    }

    /// Whether a commit has anything to do.
    pub(crate) fn is_modified(&self) -> bool {
        self.has_changes() || self.has_leftovers()
    }

    /// Whether a commit has anything to do or to report.
    pub(crate) fn needs_commit(&self) -> bool {
        self.is_modified() || self.dropped || self.limit_due
    }

    /// Drops the operations logged for a session that is gone or abandoned. Returns whether any were dropped because it is gone.
    pub(crate) fn drop_lost_changes(&mut self) -> bool {
        if self.gone && !self.log.is_empty() {
            self.drop_changes();
            self.dropped = true;
        }
        if self.abandoned.is_some() && self.has_new_changes() {
            let _any = self.abandon();
        }
        self.dropped
    }

    /// Whether a save must report that changes were dropped with their request.
    pub(crate) const fn was_abandoned(&self) -> bool {
        self.abandoned.is_some()
    }

    /// Whether there are records to end or to remove, or an uncertain write.
    pub(crate) fn has_leftovers(&self) -> bool {
        !self.ending.is_empty() || !self.orphans.is_empty() || self.uncertain.is_some()
    }

    /// Whether the next commit stores the session under a new id.
    pub(crate) fn wants_new_id(&self) -> bool {
        self.new_ids_given < self.new_ids_wanted && self.stored.is_some()
    }

    /// Whether there are changes that no commit has stored.
    pub(crate) fn has_changes(&self) -> bool {
        self.has_new_changes() || !self.ending.is_empty()
    }

    /// Whether there are changes that no commit has stored, besides a logout.
    pub(super) fn has_new_changes(&self) -> bool {
        self.wants_new_id() || self.log.iter().any(|op| op.writes())
    }

    /// Refuses a write that could never be stored.
    pub(super) fn writable(&self) -> Result<()> {
        if self.gone {
            return Err(Error::fixed(ErrorKind::Gone, "it moved or ended; only a login starts a new one"));
        }
        if self.closed && self.stored.is_none() {
            return Err(Error::fixed(
                ErrorKind::Closed,
                "a session that is not stored yet needs a cookie; write to it earlier",
            ));
        }
        if self.closed && self.for_request {
            return Err(Error::fixed(ErrorKind::Closed, "the session is kept in its cookie; write to it earlier"));
        }
        Ok(())
    }

    /// Refuses an operation that needs a new cookie when none can be sent.
    pub(super) fn cookie_possible(&self) -> Result<()> {
        if self.closed {
            return Err(Error::fixed(ErrorKind::Closed, "a new session id needs a cookie; ask for it earlier"));
        }
        Ok(())
    }

    /// Applies `op` to the view at the instant `now`, and logs it for the commit.
    pub(super) fn push(&mut self, op: Op, now: Timestamp) -> Result<()> {
        op.apply(Arc::make_mut(&mut self.view), now)?;
        self.push_applied(op);
        Ok(())
    }

    /// Logs `op`, which has been applied to the view already.
    pub(super) fn push_applied(&mut self, op: Op) {
        self.log.push(Arc::new(op));
        self.changes += 1;
    }

    /// Notes that `value` has been read under `key`, or is known because this request wrote it.
    ///
    /// `shared` returns the key to keep.
    pub(super) fn record_read(&mut self, key: &str, shared: impl FnOnce() -> Arc<str>, value: Seen) {
        match self.reads.get_mut(key) {
            Some(seen) => *seen = value,
            None => {
                self.reads.insert(shared(), value);
            }
        }
    }

    /// Notes a write of `value` under `key`, if the key has been read before.
    pub(super) fn wrote(&mut self, key: &str, value: Seen) {
        if let Some(seen) = self.reads.get_mut(key) {
            *seen = value;
        }
    }

    /// Forgets the changes that were not stored. A logout is kept.
    pub(crate) fn discard(&mut self) {
        // An uncertain rotation must still be resolved, because it decides which of two ids is the session's. An uncertain save need not be.
        let rotates = self.uncertain.as_deref().is_some_and(UncertainWrite::is_rotation);
        if !rotates {
            self.must_replace |= self.has_uncertain_save() && !mutant::is(Mutant::ForgetsADiscardedSave);
            self.forget_uncertain();
        }
        // The commit of another clone may be storing a login, which it has not noted as uncertain yet.
        if rotates || !mutant::is(Mutant::ForgetsARunningLogin) {
            self.discarded_until = self.log.end();
        }
        self.chosen = OwnPolicy::default();
        self.dropped = false;
        self.abandoned = None;
        self.drop_changes();
    }

    /// Forgets the changes that were not stored, because their request ended without a commit. Saves of clones report this.
    ///
    /// Returns whether there were any.
    pub(crate) fn abandon(&mut self) -> bool {
        let any = self.has_new_changes();
        let now = Abandoned { ops_end: self.log.end(), new_ids: self.new_ids_wanted };
        let lost = if self.dropped || self.has_new_changes() { Some(now) } else { self.abandoned };
        self.discard();
        self.abandoned = lost.filter(|_| !mutant::is(Mutant::AbandonsSilently));
        self.closed = true;
        any
    }

    /// Resets the session to `blank`, which is not stored.
    pub(crate) fn reset(&mut self, blank: Content) {
        self.stored = None;
        self.base = Arc::new(blank);
        self.forget_uncertain();
        self.must_replace = false;
        self.epoch += 1;
        self.dropped = false;
        self.abandoned = None;
        self.drop_changes();
    }

    /// Marks the session as gone, and drops the operations before `ops_end`. Does nothing if the session was reset since `epoch`.
    ///
    /// A login that was logged since starts a new session. Other operations are kept for the next commit, which refuses them.
    pub(crate) fn mark_gone(&mut self, epoch: u64, ops_end: u64, now: Timestamp) {
        if self.epoch != epoch {
            return;
        }
        let mut since = std::mem::take(&mut self.log);
        let kept_from = if mutant::is(Mutant::LosesALaterLogin) { since.end() } else { ops_end };
        self.removed.take_ops(since.remove_before(kept_from));
        // The operations that were logged since hold values in the codec of the session that is gone.
        self.reset(Content::empty(now, self.base.codec));
        let login = log::starting_login(&since);
        self.gone = login.is_none();
        self.dropped = login.is_none() && !mutant::is(Mutant::SaysGoneOnce);
        if let Some(login) = login {
            self.removed.take_ops(since.remove_first(login));
            self.stale = true;
        }
        self.log = since;
    }

    /// Replaces the view. This counts as a change, so that an `update` that has read the old view runs its closure again.
    pub(crate) fn set_view(&mut self, view: Arc<Content>) {
        self.view = view;
        if !mutant::is(Mutant::ReplacesTheViewUncounted) {
            self.changes += 1;
        }
    }

    fn drop_changes(&mut self) {
        self.drop_operations();
        self.reads.clear();
        self.new_ids_given = self.new_ids_wanted;
        self.stale = false;
        self.set_view(self.base.clone());
    }

    fn remove_before(&mut self, index: u64) {
        self.removed.take_ops(self.log.remove_before(index));
    }

    /// Empties the log without changing the view.
    pub(crate) fn drop_operations(&mut self) {
        self.remove_before(self.log.end());
    }

    /// Drops all operations and keeps the view, for a store that keeps nothing.
    pub(crate) fn discard_to_view(&mut self) {
        self.base = self.view.clone();
        self.discard();
    }

    pub(crate) const fn changes(&self) -> u64 {
        self.changes
    }

    /// Returns the index of the next operation.
    pub(crate) fn ops_end(&self) -> u64 {
        self.log.end()
    }

    /// A login that was discarded is stored after all. What was logged since was meant for the session of before, so only a later login
    /// and what follows it is kept. Dropped changes are reported.
    fn drop_before_login(&mut self) {
        self.reads.clear();
        match log::starting_login(&self.log) {
            Some(login) => self.removed.take_ops(self.log.remove_first(login)),
            None if self.log.is_empty() => {}
            None => {
                self.drop_operations();
                self.dropped = true;
            }
        }
    }

    /// Applies a write that is stored. Operations logged since it was sent stay in the log. `stale` is set if the view must be replayed.
    pub(crate) fn apply_commit(&mut self, after: &CommittedState) {
        if self.epoch != after.epoch {
            // A logout came while the write was in flight, so the record that it stored must end as well.
            if !self.ending.contains(&after.stored.key) {
                self.ending.push(after.stored.key);
            }
            return;
        }
        let is_of_another_login = after.ops_end <= self.discarded_until
            && after.stored.content.identity() != self.base.identity()
            && !mutant::is(Mutant::KeepsChangesOfAnotherLogin);
        if self.abandoned.is_some_and(|lost| lost.ops_end <= after.ops_end && lost.new_ids <= after.new_ids) {
            // The write held all that was dropped.
            self.abandoned = None;
        }
        self.remove_before(after.ops_end);
        if is_of_another_login {
            self.drop_before_login();
        }
        self.end_uncertain();
        self.confirmed = true;
        let has_new_id = self.stored.as_ref().is_none_or(|before| before.key != after.stored.key);
        self.must_replace &=
            self.stored.as_ref().is_some_and(|before| before.record.version == after.stored.record.version);
        if has_new_id {
            self.new_ids_given = self.new_ids_given.max(after.new_ids);
            self.orphans.retain(|orphan| orphan.key != after.stored.key);
        }
        self.stored = Some(after.stored.clone());
        self.base = after.stored.content.clone();
        self.stale = !self.log.is_empty();
        if !self.stale {
            self.set_view(self.base.clone());
        }
    }
}
