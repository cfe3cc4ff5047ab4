//! Creation of a session's first record.

use std::sync::Arc;

use super::changes::{Changes, NewId};
use super::committer::{Committer, GONE, Step};
use super::recovery::is_definite;
use super::uncertain::UncertainWrite;
use crate::codec::{Content, IdAge, OldId};
use crate::mutant::{self, Mutant};
use crate::sealed_id::SealedId;
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
            let (key, record, after) = self.new_record(changes, &content, &NewId::Created)?;
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

    /// Returns a key and record for `content` under a new id, and the session's state once the record is stored.
    pub(super) fn new_record(
        &self,
        changes: &Changes,
        content: &Arc<Content>,
        why: &NewId<'_>,
    ) -> Result<(StoreKey, Record, CommittedState)> {
        let env = &*self.shared.env;
        let id = SessionId::random();
        let key = StoreKey::derive(&env.name, &id);
        let content = self.with_new_id(content, changes, why, (&id, &key));
        let (record, stored) = env.record(&content, None)?;
        Ok((key, record, changes.committed_under_new_id(StoredAt { id, key, record: stored }, why)))
    }

    /// Returns `content` with the age of its new id, which is `id` under `key`.
    fn with_new_id(
        &self,
        content: &Arc<Content>,
        changes: &Changes,
        why: &NewId<'_>,
        (id, key): (&SessionId, &StoreKey),
    ) -> Arc<Content> {
        let env = &*self.shared.env;
        let old = match why {
            NewId::Renewed(old) => Some(*old),
            _ if mutant::is(Mutant::SealsIdsOfLogins) => changes.stored.as_ref(),
            NewId::Created | NewId::Asked => None,
        };
        let before = old.map(|old| OldId { key: old.key, sealed: SealedId::seal(id, key, &old.id), seen: None });
        // By default the age counts from the start of the session, which a login or reauthentication moves.
        let counts = matches!(why, NewId::Asked) && !changes.authenticate() && env.renewal.is_on();
        let id_age = (before.is_some() || counts).then(|| Arc::new(IdAge { since: env.now(), before }));
        if content.id_age == id_age {
            return content.clone();
        }
        Arc::new(Content { id_age, ..Content::clone(content) })
    }
}
