//! What a session knows between two calls.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::content::Content;
use crate::session::ops::{self, Op, Seen};
use crate::{Error, ErrorKind, Opened, Record, Result, SessionId, StoreKey, Timestamp, Version};

/// The live record that a session stands on.
#[derive(Clone, Debug)]
pub(crate) struct Anchor {
    pub(crate) id: SessionId,
    pub(crate) key: StoreKey,
    pub(crate) version: Version,
    pub(crate) expires_at: Timestamp,
}

/// What the client sent when the session was opened.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// Its id, if it was one.
    pub(crate) id: Option<SessionId>,
    /// The expiry that the client's cookie was made for, as far as the record tells.
    pub(crate) expires_at: Option<Timestamp>,
    /// Whether that cookie was to outlive the browser.
    pub(crate) persistent: bool,
}

/// A write that was sent and whose answer is not known: the request that made it was dropped, or the reply was lost.
#[derive(Clone)]
pub(crate) struct InDoubt {
    /// Where it was sent.
    pub(crate) key: StoreKey,
    /// The version it was to replace; `None` for a create.
    pub(crate) expected: Option<Version>,
    pub(crate) record: Record,
    pub(crate) after: After,
    /// The record holds the work of several requests, and another one of them sends it and may still wait for the answer.
    pub(crate) joint: bool,
    /// Attempts before this one that are undecided as well. All of them expect the same version, so at most one is ever stored.
    pub(crate) earlier: Vec<(Version, After)>,
}

impl InDoubt {
    /// Whether it is the last step of a rotation: a tombstone in the old record's place.
    pub(crate) fn is_rotation(&self) -> bool {
        self.expected.is_some() && self.key != self.after.anchor.key
    }
}

/// A record under an id that no client has.
#[derive(Clone, Debug)]
pub(crate) struct Orphan {
    pub(crate) key: StoreKey,
    pub(crate) version: Version,
    /// It is known to be stored; otherwise its create may still be on its way.
    pub(crate) landed: bool,
}

/// What becomes of the session when a write is done.
#[derive(Clone)]
pub(crate) struct After {
    pub(crate) anchor: Anchor,
    pub(crate) content: Arc<Content>,
    /// The write holds the operations before this one, counted as [`State::stored_ops`] counts.
    pub(crate) ops_end: u64,
    /// [`State::epoch`] when it was sent.
    pub(crate) epoch: u64,
    /// [`State::new_ids_wanted`] when it was sent.
    pub(crate) new_ids: u64,
}

pub(crate) struct State {
    pub(crate) opened: Opened,
    pub(crate) client: Option<Held>,
    pub(crate) anchor: Option<Anchor>,
    /// As stored.
    pub(crate) base: Arc<Content>,
    /// As this request sees it: `base` after `log`.
    pub(crate) view: Arc<Content>,
    pub(crate) log: Vec<Arc<Op>>,
    /// How many operations came before those of `log`.
    pub(crate) stored_ops: u64,
    /// Counts the times that the session began from nothing: a write sent before that says nothing about it.
    pub(crate) epoch: u64,
    /// `view` could not be brought up to date after a commit; the next one does it or names the clash.
    pub(crate) stale: bool,
    /// What has been read under each key, or is known since it was written after having been read.
    pub(super) reads: BTreeMap<Arc<str>, Seen>,
    /// How often a new id was asked for, by a login or a rotation.
    pub(crate) new_ids_wanted: u64,
    /// How many of those a stored id has answered. What was asked for while it was stored has to get another one.
    new_ids_given: u64,
    /// Records that the next commit ends before all else, by logout.
    pub(crate) ending: Vec<StoreKey>,
    /// Left by creates and rotations that failed; the next commit removes them.
    pub(crate) orphans: Vec<Orphan>,
    /// Ended by logout: without anything new the client's cookie is cleared.
    pub(crate) ended: bool,
    /// Moved, ended or revoked: nothing can be written but a login.
    pub(crate) gone: bool,
    /// The response's head has left.
    pub(crate) closed: bool,
    /// What is stored goes to the client with that head.
    pub(crate) for_request: bool,
    pub(crate) in_doubt: Option<InDoubt>,
    /// Counts changes of `view`, so that `update` can run its closure unlocked and see whether it must run again.
    pub(super) changes: u64,
}

impl State {
    pub(crate) fn new(opened: Opened, client: Option<Held>, now: Timestamp) -> Self {
        Self::of(opened, client, None, Content::empty(now))
    }

    fn of(opened: Opened, client: Option<Held>, anchor: Option<Anchor>, content: Content) -> Self {
        let content = Arc::new(content);
        Self {
            opened,
            client,
            anchor,
            base: content.clone(),
            view: content,
            log: Vec::new(),
            stored_ops: 0,
            epoch: 0,
            stale: false,
            reads: BTreeMap::new(),
            new_ids_wanted: 0,
            new_ids_given: 0,
            ending: Vec::new(),
            orphans: Vec::new(),
            ended: false,
            gone: matches!(opened, Opened::Moved | Opened::Ended),
            closed: false,
            for_request: false,
            in_doubt: None,
            changes: 0,
        }
    }

    pub(crate) fn resumed(anchor: Anchor, content: Content) -> Self {
        let client = Held {
            id: Some(anchor.id.clone()),
            expires_at: Some(anchor.expires_at),
            persistent: content.own.persistent,
        };
        Self::of(Opened::Resumed, Some(client), Some(anchor), content)
    }

    /// Whether there is anything for a commit to do.
    pub(crate) fn is_modified(&self) -> bool {
        self.has_changes() || !self.orphans.is_empty() || self.in_doubt.is_some()
    }

    /// Whether the next commit stores the session under a new id.
    pub(crate) fn wants_new_id(&self) -> bool {
        self.new_ids_given < self.new_ids_wanted && self.anchor.is_some()
    }

    /// Whether something was written that no commit has stored.
    pub(crate) fn has_changes(&self) -> bool {
        self.wants_new_id() || !self.ending.is_empty() || self.log.iter().any(|op| op.writes())
    }

    /// Refuses a write that could never be stored.
    pub(super) fn writable(&self) -> Result<()> {
        if self.gone {
            return Err(Error::fixed(ErrorKind::Gone, "it moved or ended; only a login begins a new one"));
        }
        if self.closed && self.anchor.is_none() {
            return Err(Error::fixed(ErrorKind::Closed, "a session that is not stored yet needs a cookie"));
        }
        if self.closed && self.for_request {
            return Err(Error::fixed(ErrorKind::Closed, "the session is in the cookie, which has been sent"));
        }
        Ok(())
    }

    /// Refuses what needs a new cookie when none can be sent.
    pub(super) fn cookie_possible(&self) -> Result<()> {
        if self.closed {
            return Err(Error::fixed(ErrorKind::Closed, "a new session id needs a cookie"));
        }
        Ok(())
    }

    /// Does `op` to the view and keeps it for the commit.
    pub(super) fn push(&mut self, op: Op) -> Result<()> {
        op.apply(Arc::make_mut(&mut self.view))?;
        self.push_applied(op);
        Ok(())
    }

    /// Keeps `op`, which `view` shows already.
    pub(super) fn push_applied(&mut self, op: Op) {
        self.log.push(Arc::new(op));
        self.changes += 1;
    }

    /// Notes that `value` has been read, or is known, under `key`.
    pub(super) fn saw(&mut self, key: &str, value: Seen) {
        match self.reads.get_mut(key) {
            Some(seen) => *seen = value,
            None => {
                self.reads.insert(key.into(), value);
            }
        }
    }

    /// After a write under `key`: what was read there before is now known to be this.
    pub(super) fn wrote(&mut self, key: &str, value: Seen) {
        if let Some(seen) = self.reads.get_mut(key) {
            *seen = value;
        }
    }

    /// Forgets the changes that were not stored. A logout is not taken back.
    pub(crate) fn discard(&mut self) {
        // What became of a rotation must be known: one of the two ids is the session's. Whether a save was stored is of no interest any more.
        if !self.in_doubt.as_ref().is_some_and(InDoubt::is_rotation) {
            self.forget_doubt();
        }
        self.drop_changes();
    }

    /// Forgets the write in doubt. A create may still turn up, and no client would have its id.
    fn forget_doubt(&mut self) {
        if let Some(doubt) = self.in_doubt.take()
            && doubt.expected.is_none()
        {
            self.orphans.push(Orphan { key: doubt.key, version: doubt.record.version, landed: false });
        }
    }

    /// Notes a write before it is sent. `false` if the session began from nothing since its work was taken: then it must not be sent.
    pub(crate) fn note(&mut self, mut doubt: InDoubt) -> bool {
        if self.epoch != doubt.after.epoch {
            return false;
        }
        if let Some(before) = self.in_doubt.take()
            && before.expected.is_some()
            && (before.key, before.expected) == (doubt.key, doubt.expected)
        {
            doubt.earlier = before.earlier;
            if before.record.version != doubt.record.version {
                doubt.earlier.push((before.record.version, before.after));
            }
        }
        self.in_doubt = Some(doubt);
        true
    }

    /// Starts from nothing, as a session that nobody has stored.
    pub(crate) fn forget(&mut self, now: Timestamp) {
        self.anchor = None;
        self.base = Arc::new(Content::empty(now));
        self.forget_doubt();
        self.epoch += 1;
        self.drop_changes();
    }

    /// The record is gone, and with it the operations before `ops_end` that work of `epoch` held.
    ///
    /// A login that was logged since begins a session from nothing. What else was logged since is kept for a commit that refuses it.
    pub(crate) fn lose(&mut self, epoch: u64, ops_end: u64, now: Timestamp) {
        if self.epoch != epoch {
            return;
        }
        let held = self.held(ops_end);
        let mut since = self.log.split_off(held);
        self.forget(now);
        let login = since.iter().rposition(|op| op.is_login()).filter(|_| !ops::is_guarded(&since));
        self.gone = login.is_none();
        if let Some(login) = login {
            since.drain(..login);
            self.stored_ops += login as u64;
            self.stale = true;
        }
        self.log = since;
    }

    /// How many operations of the log are before `ops_end`.
    fn held(&self, ops_end: u64) -> usize {
        let held = ops_end.saturating_sub(self.stored_ops).min(self.log.len() as u64);
        usize::try_from(held).unwrap_or(usize::MAX)
    }

    /// Puts a new view in place. Counted, so that an `update` that has read the one before runs its closure again.
    pub(crate) fn set_view(&mut self, view: Arc<Content>) {
        self.view = view;
        self.changes += 1;
    }

    fn drop_changes(&mut self) {
        self.stored_ops += self.log.len() as u64;
        self.log.clear();
        self.reads.clear();
        self.new_ids_given = self.new_ids_wanted;
        self.stale = false;
        self.set_view(self.base.clone());
    }

    /// For a store that keeps nothing: the view stays, and nothing is left to do.
    pub(crate) fn discard_to_view(&mut self) {
        self.base = self.view.clone();
        self.discard();
    }

    pub(crate) const fn changes(&self) -> u64 {
        self.changes
    }

    /// The index of the operation that comes next.
    pub(crate) fn ops_end(&self) -> u64 {
        self.stored_ops + self.log.len() as u64
    }

    /// Takes in that a write is done. Operations logged since it was sent stay in the log, and `view` must be brought up to date.
    pub(crate) fn settled(&mut self, after: After, rotated: bool) {
        if self.epoch != after.epoch {
            // A logout came while it was under way: what it stored ends as well.
            if !self.ending.contains(&after.anchor.key) {
                self.ending.push(after.anchor.key);
            }
            return;
        }
        let done = self.held(after.ops_end);
        self.log.drain(..done);
        self.stored_ops += done as u64;
        self.in_doubt = None;
        self.anchor = Some(after.anchor);
        self.base = after.content;
        if rotated {
            self.new_ids_given = self.new_ids_given.max(after.new_ids);
        }
        self.stale = !self.log.is_empty();
        if !self.stale {
            self.set_view(self.base.clone());
        }
    }
}
