//! The first record of a session.

use std::sync::Arc;

use super::recovery::Sent;
use super::work::Work;
use crate::content::Content;
use crate::session::state::{After, Anchor, InDoubt};
use crate::{Error, ErrorKind, Outcome, Record, Result, Session, SessionId, StoreKey};

impl Session {
    /// Stores `content` under a new id. Like every step of a commit, it returns `false` if the commit must start again.
    pub(super) async fn create(&self, work: &Work, content: Arc<Content>) -> Result<bool> {
        let mut lost = Error::from(ErrorKind::Unavailable);
        // Should the first answer be lost, the second try goes under a fresh id: sending the first again could revive
        // what somebody has revoked meanwhile.
        for _ in 0..2 {
            let (key, record, after) = self.newborn(work, &content)?;
            let doubt = InDoubt { key, expected: None, record, after, joint: false, earlier: Vec::new() };
            match self.send(&doubt).await? {
                Sent::Answered(Outcome::Done) => {
                    self.settled(doubt.after, true);
                    return Ok(true);
                }
                Sent::Answered(_) | Sent::Earlier(_) | Sent::Open => {}
                Sent::Lost(error) => lost = error,
            }
        }
        Err(lost)
    }

    /// A record for `content` under a new id, and what follows once it is stored.
    pub(super) fn newborn(&self, work: &Work, content: &Arc<Content>) -> Result<(StoreKey, Record, After)> {
        let manager = &*self.shared.manager;
        let record = manager.record(content)?;
        let id = SessionId::random();
        let key = StoreKey::derive(&manager.name, &id);
        let anchor = Anchor { id, key, version: record.version, expires_at: record.expires_at };
        Ok((key, record, work.after(anchor, content.clone())))
    }
}
