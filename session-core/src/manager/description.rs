//! Describes stored sessions for lists.

use std::collections::HashSet;
use std::sync::Arc;

use super::environment::{Environment, Now};
use super::session_info::SessionInfo;
use crate::codec::{Content, Stored};
use crate::mutant::{self, Mutant};
use crate::{ErrorKind, Record, Result, StoreKey, Timestamp};

impl Environment {
    /// Describes the session in `record`, and returns its content. `None` if it has ended by the time-outs in force, is a tombstone, or
    /// does not decode, which is an event.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a record in a codec that is not built in, because a list must not leave out a live session.
    pub(super) fn describe(
        &self,
        key: StoreKey,
        record: &Record,
        now: Timestamp,
    ) -> Result<Option<(SessionInfo, Arc<Content>)>> {
        match Stored::read(record) {
            Ok((Stored::Content(content), head)) => {
                let life = self.policy.life(&content, record.expires_at, head.idle, now);
                if life.ends_at <= now {
                    return Ok(None);
                }
                Ok(Some((SessionInfo::new(key, &content, life), content)))
            }
            Ok((Stored::Tombstone(_), _)) => Ok(None),
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::error!(name = %self.name, %error, "a stored session does not decode");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Removes from a list the records of renewals that are not finished or were given up. Each session stays in it once.
    ///
    /// Such a record was renewed from a key under which the session still is, or from which another record was renewed. In that case the
    /// tombstone under that key tells which record is the session.
    pub(super) async fn remove_unfinished<T>(
        &self,
        list: &mut Vec<T>,
        info: impl Fn(&T) -> &SessionInfo + Sync,
    ) -> Result<()> {
        if mutant::is(Mutant::ListsRenewedSessionsTwice) {
            return Ok(());
        }
        let (mut befores, mut twice) = (HashSet::new(), HashSet::new());
        for before in list.iter().filter_map(|entry| info(entry).before) {
            if !befores.insert(before) {
                twice.insert(before);
            }
        }
        if befores.is_empty() {
            return Ok(());
        }
        let keys: HashSet<StoreKey> = list.iter().map(|entry| *info(entry).handle.key()).collect();
        list.retain(|entry| info(entry).before.is_none_or(|before| !keys.contains(&before)));
        for before in twice {
            if let Now::Moved(next) = self.current(&before).await? {
                list.retain(|entry| info(entry).before != Some(before) || *info(entry).handle.key() == next);
            }
        }
        Ok(())
    }
}

/// Sorts a list, newest session first. Removes sessions that are in it twice.
pub(super) fn newest_first(list: &mut Vec<SessionInfo>) {
    list.sort_by(|a, b| b.created_at.cmp(&a.created_at).then(a.handle.cmp(&b.handle)));
    list.dedup_by_key(|info| info.handle);
}
