//! Creation of a session's first record.

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
    /// If the first reply is lost, the second attempt uses another id, because a retry under the first one could revive a session
    /// that has been revoked meanwhile.
    pub(super) async fn create(&self, changes: &Changes, content: Arc<Content>) -> Result<Step> {
        let env = &*self.shared.env;
        let mut lost = Error::from(ErrorKind::Unavailable);
        for _ in 0..2 {
            let (key, record, after) = self.new_record(changes, &content, true)?;
            if !self.state().note(UncertainWrite::Create { key, after: after.clone() }, changes.epoch) {
                return Err(GONE);
            }
            match env.store().create(&env.call(), &key, &record).await {
                Ok(Outcome::Done) => {
                    self.apply_commit(&after);
                    return Ok(Step::Committed);
                }
                // Another record has the id. The probability is 2^-256 unless the store is broken.
                Ok(_) => self.state().end_uncertain(),
                Err(error) if is_definite(&error) => {
                    self.state().end_uncertain();
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

    /// Returns a key and record for `content` under a new id, and the session's state once the record is stored. `created` is set for a
    /// new session.
    pub(super) fn new_record(
        &self,
        changes: &Changes,
        content: &Arc<Content>,
        created: bool,
    ) -> Result<(StoreKey, Record, CommittedState)> {
        let env = &*self.shared.env;
        let (record, stored) = env.record(content, None)?;
        let id = SessionId::random();
        let key = StoreKey::derive(&env.name, &id);
        Ok((key, record, changes.committed_under_new_id(StoredAt { id, key, record: stored }, created)))
    }
}
