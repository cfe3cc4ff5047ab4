//! Writes whose answer was lost: what became of them is asked, never guessed.

use super::GONE;
use crate::content::Stored;
use crate::session::state::{After, InDoubt, Orphan};
use crate::{Error, ErrorKind, Outcome, Result, Session};

/// How a write went.
pub(super) enum Sent {
    Answered(Outcome),
    /// An earlier attempt of the same work is stored.
    Earlier(After),
    /// Not stored so far, but it may still arrive. The work may be sent again over the same version.
    Open,
    /// A create whose answer was lost and which is not there: another may be tried, under a fresh id.
    Lost(Error),
}

const UNKNOWN: Error =
    Error::fixed(ErrorKind::Unavailable, "an answer was lost, and it cannot be told whether the write was done");

/// Whether `error` says that nothing was changed.
pub(super) fn is_definite(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::TooLarge | ErrorKind::Unsupported | ErrorKind::Config | ErrorKind::Corrupt)
}

impl Session {
    /// Sends a write, and after a lost answer finds out what became of it.
    ///
    /// The doubt is noted before the write is sent, so that dropping this future loses nothing either.
    pub(super) async fn send(&self, doubt: &InDoubt) -> Result<Sent> {
        let noted = {
            let mut state = self.state();
            if !state.note(doubt.clone()) {
                return Err(GONE);
            }
            state.in_doubt.as_ref().is_some_and(|doubt| !doubt.earlier.is_empty())
        };
        match self.write(doubt).await {
            // One of the earlier attempts may be what it conflicts with.
            Ok(Outcome::Conflict) if noted => Box::pin(self.find_out(doubt, UNKNOWN)).await,
            Ok(outcome) => {
                self.certain(doubt);
                Ok(Sent::Answered(outcome))
            }
            Err(error) if is_definite(&error) => {
                self.certain(doubt);
                Err(error)
            }
            // Boxed, here and where else it is seldom: the future of every commit would be larger for it, past what an allocator has at hand.
            Err(error) => match Box::pin(self.find_out(doubt, error.clone())).await? {
                Sent::Open => Err(error),
                sent => Ok(sent),
            },
        }
    }

    async fn write(&self, doubt: &InDoubt) -> Result<Outcome> {
        let manager = &*self.shared.manager;
        match doubt.expected {
            None => manager.store().create(&manager.call(), &doubt.key, &doubt.record).await,
            Some(expected) => manager.store().save(&manager.call(), &doubt.key, expected, &doubt.record).await,
        }
    }

    /// The doubt is over, unless another one has come up since.
    pub(super) fn certain(&self, doubt: &InDoubt) {
        let mut state = self.state();
        if state.in_doubt.as_ref().is_some_and(|current| current.record.version == doubt.record.version) {
            state.in_doubt = None;
        }
    }

    /// Loads once: our version is stored, then it is done; the version before, then the identical write is sent once more.
    /// Anything else stays in doubt, for another's write may rest on ours, and doing ours again could count it twice.
    pub(super) async fn find_out(&self, doubt: &InDoubt, error: Error) -> Result<Sent> {
        let manager = &*self.shared.manager;
        let noted = self.state().in_doubt.clone().filter(|noted| noted.record.version == doubt.record.version);
        let earlier = noted.map(|noted| noted.earlier).unwrap_or_default();
        let Ok(there) = manager.store().load(&manager.call(), &doubt.key).await else { return Err(error) };
        let over = there.as_ref().is_some_and(|record| matches!(Stored::read(record), Ok(Stored::Tombstone(_))));
        let version = there.map(|record| record.version);
        let sent = match (version, doubt.expected) {
            (Some(version), _) if version == doubt.record.version => Sent::Answered(Outcome::Done),
            (Some(version), _) if earlier.iter().any(|(sent, _)| *sent == version) => {
                let after = earlier.into_iter().find(|(sent, _)| *sent == version).map(|(_, after)| after);
                after.map_or(Sent::Answered(Outcome::Conflict), Sent::Earlier)
            }
            // Under a fresh id nothing else can be there.
            (_, None) => Sent::Lost(error),
            // Nothing comes back to life under a key, so however it went, the session is gone.
            (None, Some(_)) => Sent::Answered(Outcome::Missing),
            // A joint write is sent by one of its members only. If another member sent it again and a third request built on it,
            // the sender would be told `Conflict` and repeat work that was stored.
            (Some(version), Some(expected)) if version == expected && (doubt.joint || !earlier.is_empty()) => {
                return Ok(Sent::Open);
            }
            (Some(version), Some(expected)) if version == expected => match self.write(doubt).await {
                // Refused now, the same record was refused before.
                Err(refused) if is_definite(&refused) => {
                    self.certain(doubt);
                    return Err(refused);
                }
                Ok(Outcome::Conflict) | Err(_) => return Err(error),
                Ok(outcome) => Sent::Answered(outcome),
            },
            // Nothing replaces a tombstone, so ours was never stored; and the version that it expects is gone.
            (Some(_), Some(_)) if doubt.is_rotation() && (over || earlier.is_empty()) => {
                Sent::Answered(Outcome::Conflict)
            }
            // The session ended or moved, and with it what was to be written.
            (Some(_), Some(_)) if over => Sent::Answered(Outcome::Missing),
            (Some(_), Some(_)) => return Err(UNKNOWN),
        };
        self.certain(doubt);
        if let Sent::Lost(_) = sent {
            let orphan = Orphan { key: doubt.key, version: doubt.record.version, landed: false };
            self.state().orphans.push(orphan);
        }
        Ok(sent)
    }

    /// Before a commit does anything: what became of the last write?
    pub(crate) async fn settle_doubt(&self) -> Result<()> {
        let Some(doubt) = self.state().in_doubt.clone() else { return Ok(()) };
        let lost = Error::fixed(ErrorKind::Unavailable, "an earlier write is still without an answer");
        let after = match Box::pin(self.find_out(&doubt, lost)).await? {
            Sent::Answered(Outcome::Done) => doubt.after,
            Sent::Earlier(after) => after,
            Sent::Answered(_) | Sent::Open | Sent::Lost(_) => return Ok(()),
        };
        let rotated = doubt.expected.is_none() || doubt.key != after.anchor.key;
        self.state().orphans.retain(|orphan| orphan.key != after.anchor.key);
        self.settled(after, rotated);
        Ok(())
    }
}
