//! Describes stored sessions for lists.

use super::environment::Environment;
use super::session_info::SessionInfo;
use crate::codec::{Content, Stored};
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
    ) -> Result<Option<(SessionInfo, Content)>> {
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
}

/// Sorts a list, newest session first. Removes sessions that are in it twice.
pub(super) fn newest_first(list: &mut Vec<SessionInfo>) {
    list.sort_by(|a, b| b.created_at.cmp(&a.created_at).then(a.handle.cmp(&b.handle)));
    list.dedup_by_key(|info| info.handle);
}
