//! A handle of a session, and what its clones must know of each other.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use session_core::{Manager, Session, StoreKey};

use super::ledger::{Change, PRINCIPALS};
use super::stage::locked;

/// What happened to a handle that its actors must know of each other.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// `discard` and `reload`: from when to when.
    pub(super) dropped: Vec<(u64, u64)>,
    /// `login` and `logout`: from when to when.
    pub(super) identity: Vec<(u64, u64)>,
    /// Commits that ended in `Gone`: when the last store call of each began.
    pub(super) gone: Vec<u64>,
    pub(super) shown: Vec<u64>,
}

/// One handle, with its clones.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) index: usize,
    pub(super) session: Session,
    pub(super) manager: Manager,
    /// The key of the cookie that opened it.
    pub(super) client: Option<StoreKey>,
    pub(super) opened_at: u64,
    pub(super) past: Mutex<Past>,
    /// It has read what it wrote then.
    pub(super) guarded: AtomicBool,
    /// The last commit had no answer, or was dropped.
    pub(super) in_doubt: AtomicBool,
    /// Any commit was.
    pub(super) doubted: AtomicBool,
    /// The actors after the first have nothing to tell the client.
    pub(super) clones: bool,
}

/// Something that the next commit confirms.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) what: What,
    pub(super) began: u64,
    pub(super) ended: u64,
}

#[derive(Debug)]
pub(super) enum What {
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

    /// Whether what was done between `began` and `ended` is still to be stored at `now`, or was by then.
    pub(super) fn stands(&self, pending: &Pending, now: u64) -> bool {
        let past = locked(&self.past);
        let during = |(from, to): &(u64, u64)| *to >= pending.began && *from <= now;
        let another = |(from, to): &(u64, u64)| during(&(*from, *to)) && *from != pending.began;
        // What a commit that ended in `Gone` held is gone with it. It did not hold what came after its last call.
        let held = |last_call: &u64| *last_call >= pending.began;
        match pending.what {
            What::Logout(_) => !past.dropped.iter().any(during),
            _ => !past.dropped.iter().any(during) && !past.identity.iter().any(another) && !past.gone.iter().any(held),
        }
    }
}
