//! What was done to a session, in a form that can be done again on a newer record.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::codec::{Codec, Content, Flash, OwnPolicy, Value};
use crate::mutant::{self, Mutant};
use crate::sync::Mutex;
use crate::{Error, Principal, Result, Timestamp};

/// A value as this request has seen it, or its absence.
pub(super) type Seen = Option<Value>;

/// Computes a value from the present one, and encodes it for a session in the codec.
pub(super) type Rerun = Box<dyn Fn(Option<&Value>, Codec) -> Result<Value> + Send>;

/// One operation of a session's log.
///
/// `seen` is what the request had read under the key before it wrote it: if something else is there when the operation
/// runs again, the two requests clash. `None` means that it had read nothing, so that overwriting is what was asked for.
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
    /// `own` is what the request has chosen before the login. Of what others chose for the session nothing stays.
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

/// Which values of an anonymous session a login keeps.
pub(crate) enum Keep {
    All,
    Only(Vec<Box<str>>),
}

impl Op {
    /// Whether it changes what is stored; a requirement alone does not.
    pub(crate) fn writes(&self) -> bool {
        !matches!(self, Self::Require { .. })
    }

    /// Whether it rests on a value that was read: it must not be done where that value is not.
    pub(super) fn is_guarded(&self) -> bool {
        match self {
            Self::Insert { seen, .. } | Self::Remove { seen, .. } => matches!(seen, Some(Some(_))),
            Self::Require { seen, .. } => seen.is_some(),
            _ => false,
        }
    }

    /// Returns the key of the value that it is about.
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

    /// Does it to `content`; an error leaves `content` unfit for use.
    pub(crate) fn apply(&self, content: &mut Content) -> Result<()> {
        match self {
            Self::Insert { key, value, seen } => {
                unchanged(content, key, seen.as_ref())?;
                content.values.insert(key.clone(), value.clone());
            }
            Self::Remove { key, seen } => {
                unchanged(content, key, seen.as_ref())?;
                content.values.remove(key);
            }
            Self::Update { key, rerun } => {
                let rerun = rerun.lock().unwrap_or_else(PoisonError::into_inner);
                let value = rerun(content.values.get(key), content.codec)?;
                content.values.insert(key.clone(), value);
            }
            Self::Clear => {
                content.values.clear();
                content.flashes.clear();
            }
            Self::Require { key, seen } => unchanged(content, key, Some(seen))?,
            Self::Flash { key, flash } => content.flashes.entry(key.clone()).or_default().push(flash.clone()),
            Self::TakeFlashes { key, ids } => take_flashes(content, key, ids),
            Self::Label(label) => content.label.clone_from(label),
            Self::Idle(idle) => content.own.idle = *idle,
            Self::Absolute(absolute) => content.own.absolute = *absolute,
            Self::Persistent(persistent) => content.own.persistent = *persistent,
            Self::Login { principal, at, keep, own } => login(content, principal, *at, keep, *own),
            Self::Reauthenticate { at } => {
                content.auth_time = Some(*at);
                content.created_at = *at;
            }
        }
        Ok(())
    }
}

fn unchanged(content: &Content, key: &Arc<str>, seen: Option<&Seen>) -> Result<()> {
    if seen.is_none_or(|seen| seen.as_ref() == content.values.get(key)) { Ok(()) } else { Err(Error::conflict_on(key)) }
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
    // Their meaning is unknown, so they must not reach another account.
    content.unknown.clear();
    content.principal = Some(principal.clone());
    content.auth_time = Some(at);
    content.created_at = at;
}

/// Whether an operation of `log` rests on a value that was read.
pub(crate) fn is_guarded(log: &[Arc<Op>]) -> bool {
    log.iter().any(|op| op.is_guarded())
}

/// Does `log` to a copy of `content`, in order.
pub(crate) fn replay(log: &[Arc<Op>], content: &Content) -> Result<Arc<Content>> {
    let mut scratch = content.clone();
    log.iter().try_for_each(|op| op.apply(&mut scratch))?;
    Ok(Arc::new(scratch))
}
