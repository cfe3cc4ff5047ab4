//! Parts that all sessions of a manager share: the store, the policy, the clock and the write queues.

use std::sync::Arc;

use super::excess::SessionLimit;
use super::listener::Listener;
use super::login_times::LoginTimes;
use super::policy::{ConflictPolicy, Life, Policy};
use super::renewal::Renewal;
use super::verifier::Verifier;
use crate::codec::{Content, Decoded, Rules, Stored};
use crate::commit::joint_write::Line;
use crate::commit::write_queue::WriteQueues;
use crate::head::{Head, Trail};
use crate::session::committed::{CookieLifetime, StoredRecord};
use crate::session::log::Op;
use crate::{Call, Clock, Error, ErrorKind, Record, Result, Store, StoreKey, Timestamp, Version};

/// The parts of a manager that its sessions use.
#[derive(Clone)]
pub(crate) struct Environment {
    pub(super) store: Arc<dyn Store>,
    pub(crate) name: Arc<str>,
    pub(crate) policy: Policy,
    pub(crate) rules: Rules,
    pub(crate) conflicts: ConflictPolicy,
    pub(crate) max_replays: u32,
    pub(crate) verifier: Option<Verifier>,
    pub(super) listener: Option<Listener>,
    pub(crate) session_limit: Option<SessionLimit>,
    pub(super) login_times: Arc<LoginTimes>,
    pub(crate) renewal: Renewal,
    /// Set if the store keeps nothing, on purpose.
    pub(crate) discards: bool,
    /// Set if other processes may write to the store. Versions must then differ between forked processes.
    pub(crate) is_shared: bool,
    /// Set if the store keeps decoded records.
    pub(crate) shares_decoding: bool,
    /// Set if the store lives for one request, and its content is sent to the client with the response's head.
    pub(crate) for_request: bool,
    /// Set if cookies end with the idle time-out, so that they are sent again whenever the expiry moves.
    pub(crate) renews_cookies: bool,
    pub(crate) queues: Arc<WriteQueues<Line>>,
    pub(super) clock: Arc<dyn Clock>,
}

/// Present state of a key in the store.
pub(crate) enum Now {
    Live(Arc<StoredRecord>),
    /// The session has moved to another id, whose key this is.
    Moved(StoreKey),
    /// A logout has ended the session.
    Ended,
    Missing,
}

impl Environment {
    /// Returns the inner store. A call through `Arc<dyn Store>` would box the future twice.
    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns the time of a login that is made now.
    pub(crate) fn login_time(&self) -> Timestamp {
        match self.session_limit {
            Some(_) => self.login_times.next(self.now()),
            None => self.now(),
        }
    }

    /// Creates the content of a session that begins now, in the manager's codec.
    pub(crate) fn blank(&self) -> Content {
        Content::empty(self.now(), self.rules.codec)
    }

    /// Returns the lifetime of the cookie of a session with this content.
    pub(crate) fn cookie_lifetime(&self, content: &Content) -> CookieLifetime {
        CookieLifetime { persistent: self.policy.is_persistent(content), ends_at: self.policy.outlived_at(content) }
    }

    /// Returns the last use and the end of a stored session.
    pub(crate) fn life(&self, stored: &StoredRecord, now: Timestamp) -> Life {
        self.policy.life(&stored.content, stored.expires_at, stored.idle, now)
    }

    /// Whether the idle time-out of a stored session has changed since it was stored. A touch would then give a wrong last use.
    pub(crate) fn idle_has_changed(&self, stored: &StoredRecord) -> bool {
        stored.idle.is_some_and(|idle| idle != self.policy.idle(&stored.content))
    }

    pub(crate) fn call(&self) -> Call {
        Call::new(self.now())
    }

    /// Creates the record that stores `content` from now on, encoded and decoded. `over` is the trail of the record that it replaces.
    pub(crate) fn record(&self, content: &Arc<Content>, over: Option<&Trail>) -> Result<(Record, Arc<StoredRecord>)> {
        let now = self.now();
        if self.policy.outlived_at(content) <= now {
            return Err(Error::fixed(ErrorKind::Gone, "its absolute time-out has passed; open a new session"));
        }
        let version = if self.is_shared { Version::random() } else { Version::of_this_process() };
        // A session in a cookie has one writer, so it needs no trail, and its size counts.
        let over = over.filter(|_| !self.for_request);
        let (mut content, mut dropped) = (content.clone(), 0_u32);
        Content::remove_expired(&mut content, now);
        // Lists of a principal have the sessions of all names. A cookie is in no list, and its size counts.
        if content.principal.is_some() && !self.for_request && content.name.as_ref() != Some(&self.name) {
            Arc::make_mut(&mut content).name = Some(self.name.clone());
        }
        let mut record = loop {
            let record = content.to_record(version, now, self.policy.idle(&content), over, &self.rules);
            let is_too_large = record.as_ref().is_err_and(|error| error.kind() == ErrorKind::TooLarge);
            // Flash messages matter least, so the oldest are dropped first.
            let Some((key, id)) = content.oldest_flash().filter(|_| is_too_large) else { break record? };
            Op::TakeFlashes { key, ids: [id].into() }.apply(Arc::make_mut(&mut content), now)?;
            dropped += 1;
        };
        if dropped > 0 {
            tracing::warn!(name = %self.name, dropped, "flash messages are dropped, because there is no room");
        }
        let (head, _) = Head::read(&record)?;
        if self.shares_decoding {
            // For the next request that reads it.
            record.share_decoding();
            Decoded::fill(&record, &content, &head);
        }
        let stored = StoredRecord::new(&record, head, content);
        Ok((record, stored))
    }

    /// Loads what is stored under `key`.
    pub(crate) async fn current(&self, key: &StoreKey) -> Result<Now> {
        let Some(record) = self.store().load(&self.call(), key).await? else { return Ok(Now::Missing) };
        let (stored, head) = Stored::read(&record)?;
        Ok(match stored {
            Stored::Content(content) => Now::Live(StoredRecord::new(&record, head, content)),
            Stored::Tombstone(Some(next)) => Now::Moved(next),
            Stored::Tombstone(None) => Now::Ended,
        })
    }
}
