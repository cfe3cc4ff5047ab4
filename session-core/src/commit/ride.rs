//! Work that goes to the store along with another's: what several requests of this process write to one session at once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::task::Waker;

use super::recovery::Sent;
use super::work::{Target, Work};
use crate::content::Content;
use crate::manager::hot::{Joined, Turn};
use crate::session::ops::replay;
use crate::session::state::{Anchor, InDoubt};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, MutexGuard};
use crate::{ConflictPolicy, Error, ErrorKind, Outcome, Record, Result, Session};

/// How many are taken along at most: the one who takes them does their work while its own client waits.
const MOST: usize = 128;

/// A session's work, waiting in a queue for its own turn or for somebody who takes it along.
pub(crate) struct Rider {
    session: Session,
    work: Arc<Work>,
    anchor: Anchor,
    /// It does not go with what others do, and waits for its own turn to say why.
    alone: AtomicBool,
    answer: Mutex<Answer>,
}

#[derive(Default)]
struct Answer {
    told: Option<Told>,
    waker: Option<Waker>,
}

/// How the save went that somebody rode along with.
#[derive(Clone)]
pub(crate) enum Told {
    Answered(Box<InDoubt>, Outcome),
    /// Whoever sent it was dropped or got no answer.
    Unknown,
}

impl Rider {
    fn answer(&self) -> MutexGuard<'_, Answer> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it was told, or `waker` is woken when it is.
    pub(crate) fn told(&self, waker: &Waker) -> Option<Told> {
        let mut answer = self.answer();
        if answer.told.is_none() {
            answer.waker = Some(waker.clone());
        }
        answer.told.take()
    }

    /// What it was told, once it has been taken along and the turn is over.
    pub(crate) fn told_already(&self) -> Told {
        self.answer().told.take().unwrap_or(Told::Unknown)
    }

    fn tell(&self, told: Told) {
        let waker = {
            let mut answer = self.answer();
            answer.told = Some(told);
            answer.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Its work done after what `content` holds already, or `None` if it cannot be.
    fn onto(&self, content: &Content) -> Option<Arc<Content>> {
        if content.identity() != self.work.base.identity() {
            return None;
        }
        // Its closures may panic on a value that they have not seen; that is its own request's affair.
        catch_unwind(AssertUnwindSafe(|| replay(&self.work.ops, content))).ok()?.ok()
    }

    fn doubt(&self, target: &Target, record: &Record) -> InDoubt {
        let anchor = Anchor { version: record.version, expires_at: record.expires_at, ..self.anchor.clone() };
        let after = self.work.after(anchor, target.content.clone());
        let (key, expected) = (self.anchor.key, Some(target.over));
        InDoubt { key, expected, record: record.clone(), after, joint: true, earlier: Vec::new() }
    }
}

/// Those who are taken along by one save. All are told in the end, however it ends.
#[derive(Default)]
pub(super) struct Aboard(Vec<(Arc<Rider>, InDoubt)>);

impl Aboard {
    /// The store refused what they are together: nothing was stored, and each goes alone.
    pub(super) fn refuse(self) {
        self.0.iter().for_each(|(rider, _)| rider.alone.store(true, Ordering::Relaxed));
        self.tell(Outcome::Conflict);
    }

    pub(super) fn tell(mut self, outcome: Outcome) {
        for (rider, doubt) in self.0.drain(..) {
            rider.tell(Told::Answered(Box::new(doubt), outcome));
        }
    }
}

impl Drop for Aboard {
    fn drop(&mut self) {
        for (rider, _) in self.0.drain(..) {
            rider.tell(Told::Unknown);
        }
    }
}

/// How the save went that a session's work was part of.
enum Rode {
    Stored,
    NotStored,
    /// Not known yet.
    Open,
}

/// What came of waiting in the queue.
pub(super) enum Queued {
    /// There is none.
    Nobody,
    Turn(Turn),
    /// Somebody else has stored the work along with their own.
    Stored,
    /// The save that it was part of is in doubt: the commit begins again.
    Again,
}

impl Session {
    /// Waits in the session's queue, which is opened if need be and `open` says so.
    pub(super) async fn queue(&self, work: &Arc<Work>, anchor: &Anchor, open: bool) -> Result<Queued> {
        let manager = &*self.shared.manager;
        for round in 0..=manager.max_replays {
            let joined = if open || round > 0 {
                manager.hot.join(&anchor.key, self.rider(work, anchor)).await
            } else {
                match manager.hot.join_if_hot(&anchor.key, || self.rider(work, anchor)).await {
                    Some(joined) => joined,
                    None => return Ok(Queued::Nobody),
                }
            };
            match joined {
                Joined::Turn(turn) => return Ok(Queued::Turn(turn)),
                Joined::Rode(told) => match self.rode(told, work).await? {
                    Rode::Stored => return Ok(Queued::Stored),
                    Rode::NotStored => {}
                    Rode::Open => return Ok(Queued::Again),
                },
            }
        }
        Err(super::TOO_MANY_CONFLICTS)
    }

    fn rider(&self, work: &Arc<Work>, anchor: &Anchor) -> Option<Rider> {
        // Only what can be done again on another's record can be done after another's work.
        (self.shared.manager.conflicts == ConflictPolicy::Replay).then(|| Rider {
            session: self.clone(),
            work: work.clone(),
            anchor: anchor.clone(),
            alone: AtomicBool::new(false),
            answer: Mutex::default(),
        })
    }

    /// Takes in how the save went that this session's work was part of. After a conflict it is not stored.
    async fn rode(&self, told: Told, work: &Work) -> Result<Rode> {
        let (doubt, sent) = match told {
            Told::Answered(doubt, outcome) => {
                self.certain(&doubt);
                (*doubt, Sent::Answered(outcome))
            }
            Told::Unknown => {
                let lost = Error::fixed(ErrorKind::Unavailable, "a write that this one was part of has no answer");
                // The request that sent it does not wait for its answer any more, so this one may send it again.
                let doubt = self.state().in_doubt.as_mut().map(|doubt| {
                    doubt.joint = false;
                    doubt.clone()
                });
                let Some(doubt) = doubt else { return Err(lost) };
                let sent = Box::pin(self.find_out(&doubt, lost)).await?;
                (doubt, sent)
            }
        };
        match sent {
            Sent::Answered(Outcome::Done) => {
                self.settled(doubt.after, false);
                Ok(Rode::Stored)
            }
            Sent::Earlier(after) => {
                self.settled(after, false);
                Ok(Rode::Open)
            }
            Sent::Answered(Outcome::Missing) => self.lose(work).map(|_| Rode::Stored),
            Sent::Answered(_) => Ok(Rode::NotStored),
            Sent::Open => Ok(Rode::Open),
            Sent::Lost(error) => Err(error),
        }
    }

    /// Does the work of those who wait behind `turn` after what `target` holds, and answers the record to send in its place.
    ///
    /// `None` if nobody comes along. Who clashes with what the others do is left to its own turn.
    pub(super) fn take_along(&self, turn: &Turn, target: &mut Target) -> Option<(Record, Aboard)> {
        let manager = &self.shared.manager;
        loop {
            let mut riders = turn.waiting();
            riders.retain(|rider| {
                Arc::ptr_eq(&rider.session.shared.manager, manager) && !rider.alone.load(Ordering::Relaxed)
            });
            riders.truncate(MOST);
            let mut content = target.content.clone();
            riders.retain(|rider| match rider.onto(&content) {
                Some(next) => {
                    content = next;
                    true
                }
                None => {
                    rider.alone.store(true, Ordering::Relaxed);
                    false
                }
            });
            if riders.is_empty() {
                return None;
            }
            let Ok(record) = manager.record(&content) else {
                // Together they exceed a limit: each finds out for itself whether it does.
                riders.iter().for_each(|rider| rider.alone.store(true, Ordering::Relaxed));
                return None;
            };
            let joint = Target { over: target.over, content };
            let mut aboard = Aboard::default();
            let taken = turn.take_along(&riders, |rider| {
                let doubt = rider.doubt(&joint, &record);
                // If its session ended meanwhile, so does what is stored here.
                let _ended = rider.session.state().note(doubt.clone());
                aboard.0.push((rider.clone(), doubt));
            });
            if taken {
                *target = joint;
                return Some((record, aboard));
            }
        }
    }
}
