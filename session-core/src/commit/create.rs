//! The first record of a session.

use std::sync::Arc;

use super::changes::Changes;
use super::committer::{Committer, GONE, Step};
use super::recovery::is_definite;
use super::uncertain::UncertainWrite;
use crate::codec::Content;
use crate::session::committed::{CommittedState, StoredAt};
use crate::{Error, ErrorKind, Outcome, Record, Result, SessionId, StoreKey};

impl Committer<'_> {
    /// Stores `content` under a new id.
    ///
    /// If the first answer is lost, the second attempt goes under another id:
    /// sending the first again could revive what has been revoked meanwhile.
    pub(super) async fn create(&self, changes: &Changes, content: Arc<Content>) -> Result<Step> {
        let env = &*self.shared.env;
        let mut lost = Error::from(ErrorKind::Unavailable);
        for _ in 0..2 {
            let (key, record, after) = self.new_record(changes, &content)?;
            if !self.state().note(UncertainWrite::Create { key, after: after.clone() }, changes.epoch) {
                return Err(GONE);
            }
            match env.store().create(&env.call(), &key, &record).await {
                Ok(Outcome::Done) => {
                    self.apply_commit(&after);
                    return Ok(Step::Committed);
                }
                // Another record has the id, by a chance of 2^-256 or because the store is broken.
                Ok(_) => self.state().uncertain = None,
                Err(error) if is_definite(&error) => {
                    self.state().uncertain = None;
                    return Err(error);
                }
                Err(error) => {
                    if !Box::pin(self.resolve_create(&key, after)).await.map_err(|_| error.clone())? {
                        lost = error;
                        continue;
                    }
                    return Ok(Step::Committed);
                }
            }
        }
        Err(lost)
    }

    /// A record for `content` under a new id, and the session's state once it is stored.
    pub(super) fn new_record(
        &self,
        changes: &Changes,
        content: &Arc<Content>,
    ) -> Result<(StoreKey, Record, CommittedState)> {
        let env = &*self.shared.env;
        let (record, stored) = env.record(content, None)?;
        let id = SessionId::random();
        let key = StoreKey::derive(&env.name, &id);
        Ok((key, record, changes.committed(StoredAt { id, key, record: stored })))
    }
}
