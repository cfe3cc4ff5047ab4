//! Operations on a session, in a form that can be replayed on a newer record.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::codec::{Codec, Content, Flash, OwnPolicy, Value};
use crate::mutant::{self, Mutant};
use crate::sync::Mutex;
use crate::{Error, Principal, Result, Timestamp};

/// Value that this request has seen under a key. `None` if it saw that there was no value.
pub(super) type Seen = Option<Value>;

/// Function that computes a value from the present one, and encodes it in the codec of the session. The new value keeps the deadline.
pub(super) type Rerun = Box<dyn Fn(Option<&Value>, Codec) -> Result<Value> + Send>;

/// One operation of a session's log.
///
/// `seen` is the value that the request had read under the key before it wrote. If a replay finds another value, the two requests clash.
/// `None` means that the request had not read the key, so that it overwrites any value.
pub(crate) enum Op {
    Insert {
        key: Arc<str>,
        value: Value,
        seen: Option<Seen>,
    },
    Remove {
        key: Arc<str>,
        seen: Option<Seen>,
    },
    Update {
        key: Arc<str>,
        rerun: Mutex<Rerun>,
    },
    Clear,
    Require {
        key: Arc<str>,
        seen: Seen,
    },
    Flash {
        key: Arc<str>,
        flash: Flash,
    },
    TakeFlashes {
        key: Arc<str>,
        ids: BTreeSet<u64>,
    },
    Label(Option<Arc<str>>),
    Idle(Option<Duration>),
    Absolute(Option<Duration>),
    Persistent(bool),
    Remember(bool),
    /// `own` is the policy that this request has set before the login. Settings of earlier requests are dropped.
    Login {
        principal: Principal,
        at: Timestamp,
        keep: Keep,
        own: OwnPolicy,
    },
    Reauthenticate {
        at: Timestamp,
    },
}

/// Values that a login keeps, of those that belong to no other principal.
pub(crate) enum Keep {
    All,
    Only(Vec<Box<str>>),
}

impl Op {
    /// Whether the operation changes the content. A requirement does not.
    pub(crate) fn writes(&self) -> bool {
        !matches!(self, Self::Require { .. })
    }

    /// Whether the operation depends on a value that was read. It must not be applied to content without that value.
    pub(super) fn is_guarded(&self) -> bool {
        match self {
            Self::Insert { seen, .. } | Self::Remove { seen, .. } => matches!(seen, Some(Some(_))),
            Self::Require { seen, .. } => seen.is_some(),
            _ => false,
        }
    }

    /// Returns the key, if the operation is on one value.
    pub(super) fn value_key(&self) -> Option<&Arc<str>> {
        match self {
            Self::Insert { key, .. }
            | Self::Remove { key, .. }
            | Self::Update { key, .. }
            | Self::Require { key, .. } => Some(key),
            _ => None,
        }
    }

    pub(crate) fn is_login(&self) -> bool {
        matches!(self, Self::Login { .. })
    }

    /// Applies the operation to `content`, in which values whose deadline is not after `now` count as absent.
    ///
    /// After an error `content` must not be used.
    pub(crate) fn apply(&self, content: &mut Content, now: Timestamp) -> Result<()> {
        match self {
            Self::Insert { key, value, seen } => {
                unchanged(content, key, seen.as_ref(), now)?;
                content.values.insert(key.clone(), value.clone());
            }
            Self::Remove { key, seen } => {
                unchanged(content, key, seen.as_ref(), now)?;
                content.values.remove(key);
            }
            Self::Update { key, rerun } => {
                let rerun = rerun.lock().unwrap_or_else(PoisonError::into_inner);
                let value = rerun(content.value(key, now), content.codec)?;
                content.values.insert(key.clone(), value);
            }
            Self::Clear => {
                content.values.clear();
                content.flashes.clear();
            }
            Self::Require { key, seen } => unchanged(content, key, Some(seen), now)?,
            Self::Flash { key, flash } => content.flashes.entry(key.clone()).or_default().push(flash.clone()),
            Self::TakeFlashes { key, ids } => take_flashes(content, key, ids),
            Self::Label(label) => content.label.clone_from(label),
            Self::Idle(idle) => content.own.idle = *idle,
            Self::Absolute(absolute) => content.own.absolute = *absolute,
            Self::Persistent(persistent) => content.own.persistent = *persistent,
            Self::Remember(remember) => content.own.remember = *remember,
            Self::Login { principal, at, keep, own } => login(content, principal, *at, keep, *own),
            Self::Reauthenticate { at } => {
                content.auth_time = Some(*at);
                content.created_at = *at;
            }
        }
        Ok(())
    }
}

/// Checks that `content` has the value that was seen under `key`.
///
/// A value that was read before its deadline may be written after it, unless it has been removed. So only one request takes it.
fn unchanged(content: &Content, key: &Arc<str>, seen: Option<&Seen>, now: Timestamp) -> Result<()> {
    let passes = match seen {
        None => true,
        Some(None) => content.value(key, now).is_none(),
        Some(Some(seen)) => {
            let there = content.values.get(key);
            let forgiven = mutant::is(Mutant::ForgivesADeadline) && !seen.is_live(now);
            there == Some(seen) || forgiven
        }
    };
    if passes { Ok(()) } else { Err(Error::conflict_on(key)) }
}

fn take_flashes(content: &mut Content, key: &Arc<str>, ids: &BTreeSet<u64>) {
    if let Some(messages) = content.flashes.get_mut(key) {
        messages.retain(|flash| !ids.contains(&flash.id));
        if messages.is_empty() {
            content.flashes.remove(key);
        }
    }
}

fn login(content: &mut Content, principal: &Principal, at: Timestamp, keep: &Keep, own: OwnPolicy) {
    if content.principal.as_ref().is_some_and(|before| before != principal) {
        content.values.clear();
        content.flashes.clear();
        content.label = None;
    }
    if !mutant::is(Mutant::KeepsAGuestsChoice) {
        content.own = own;
    }
    if let Keep::Only(keys) = keep {
        content.values.retain(|key, _| keys.iter().any(|kept| **kept == **key));
        content.flashes.clear();
    }
    // Fields of unknown meaning must not reach another account.
    content.unknown.clear();
    content.principal = Some(principal.clone());
    content.auth_time = Some(at);
    content.created_at = at;
}

/// Whether an operation of `log` depends on a value that was read.
pub(crate) fn is_guarded(log: &[Arc<Op>]) -> bool {
    log.iter().any(|op| op.is_guarded())
}

/// Index of the last login in `log`, if it may start a session without what precedes it. A guarded log may not.
pub(crate) fn starting_login(log: &[Arc<Op>]) -> Option<usize> {
    log.iter().rposition(|op| op.is_login()).filter(|_| mutant::is(Mutant::LogsInWithAGuard) || !is_guarded(log))
}

/// Applies the operations of `log` to a copy of `content`, in order, at the instant `now`.
pub(crate) fn replay(log: &[Arc<Op>], content: &Content, now: Timestamp) -> Result<Arc<Content>> {
    let mut scratch = content.clone();
    log.iter().try_for_each(|op| op.apply(&mut scratch, now))?;
    Ok(Arc::new(scratch))
}
