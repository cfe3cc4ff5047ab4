//! A session handle, and the state that its clones share.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use session_core::{Manager, Session, StoreKey};

use super::ledger::{Change, PRINCIPALS};
use super::monitor::locked;

/// Events of a handle that all its actors must know.
#[derive(Debug, Default)]
pub(super) struct HandleEvents {
    /// Begin and end of each `discard` and `reload`.
    pub(super) dropped: Vec<(u64, u64)>,
    /// Begin and end of each `login` and `logout`.
    pub(super) identity: Vec<(u64, u64)>,
    /// For each commit that ended in `Gone`, the time of its last store call.
    pub(super) gone: Vec<u64>,
    pub(super) shown: Vec<u64>,
}

/// A session handle with its clones.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) index: usize,
    pub(super) session: Session,
    pub(super) manager: Manager,
    /// Key of the cookie that opened it.
    pub(super) client: Option<StoreKey>,
    pub(super) opened_at: u64,
    pub(super) past: Mutex<HandleEvents>,
    /// Set once an operation depends on a value that was read, so that a conflict is allowed.
    pub(super) guarded: AtomicBool,
    /// Set while the last commit had no answer or was dropped.
    pub(super) in_doubt: AtomicBool,
    /// Set once any commit had no answer or was dropped.
    pub(super) doubted: AtomicBool,
    /// Set if there are several actors. All but the first have no answer to the client.
    pub(super) clones: bool,
}

/// A change that the next commit confirms.
#[derive(Debug)]
pub(super) struct PendingChange {
    pub(super) what: PendingKind,
    pub(super) began: u64,
    pub(super) ended: u64,
}

#[derive(Debug)]
pub(super) enum PendingKind {
    Change(Change),
    /// Signs the principal in, and replaces the key.
    Login(usize, Option<StoreKey>),
    /// Replaces the key.
    Rotation(Option<StoreKey>),
    /// Ends the keys.
    Logout(Vec<StoreKey>),
}

impl Handle {
    pub(super) fn new(
        index: usize,
        session: Session,
        manager: Manager,
        client: Option<StoreKey>,
        opened_at: u64,
        clones: bool,
    ) -> Self {
        Self {
            index,
            session,
            manager,
            client,
            opened_at,
            past: Mutex::default(),
            guarded: AtomicBool::new(false),
            in_doubt: AtomicBool::new(false),
            doubted: AtomicBool::new(false),
            clones,
        }
    }

    pub(super) fn key(&self) -> Option<StoreKey> {
        self.session.handle().map(|handle| *handle.key())
    }

    pub(super) fn owner(&self) -> Option<usize> {
        self.session.principal().map(|who| usize::from(who.as_str() == PRINCIPALS[1]))
    }

    /// Returns whether the change of `pending` is still to be stored at `now`, or was stored before.
    pub(super) fn stands(&self, pending: &PendingChange, now: u64) -> bool {
        let past = locked(&self.past);
        let during = |(from, to): &(u64, u64)| *to >= pending.began && *from <= now;
        let another = |(from, to): &(u64, u64)| during(&(*from, *to)) && *from != pending.began;
        // A commit that ended in `Gone` also drops the changes it held. Changes made after its last call were not
        // among them.
        let held = |last_call: &u64| *last_call >= pending.began;
        match pending.what {
            PendingKind::Logout(_) => !past.dropped.iter().any(during),
            _ => !past.dropped.iter().any(during) && !past.identity.iter().any(another) && !past.gone.iter().any(held),
        }
    }
}
