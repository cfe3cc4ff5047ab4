//! Flash messages: messages that are shown once.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Session;
use super::key::{AnyKey, IntoKey, PrintedKey};
use super::log::Op;
use crate::codec::Flash;
use crate::mutant::{self, Mutant};
use crate::{Error, Result, Timestamp, random};

impl Session {
    /// Adds a flash message under `key`, to be shown once.
    ///
    /// The oldest messages are dropped if there are more than the [limit](crate::Limits::max_flashes), or more than the session has room for.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// session.flash("notice", "saved")?;
    /// assert_eq!(session.flashes::<String>("notice")?, ["saved"]);
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The errors of [`insert`](Session::insert).
    pub fn flash<T: Serialize + ?Sized>(&self, key: impl IntoKey<T>, message: &T) -> Result<()> {
        let key = &*PrintedKey::new(key)?;
        let (mut state, value) = self.encoding(key, message)?;
        let now = self.now();
        if state.view.flash_count() >= self.shared.env.rules.limits.max_flashes
            && let Some((key, id)) = state.view.oldest_flash()
        {
            state.push(Op::TakeFlashes { key, ids: [id].into() }, now)?;
        }
        let newest = state.view.flashes.values().flatten().map(|flash| flash.id).max();
        let id = flash_id(now, newest);
        state.push(Op::Flash { key: key.into(), flash: Flash { id, value } }, now)
    }

    /// Takes the flash messages under `key`, oldest first. They are removed from the store when the session is committed.
    ///
    /// A request that no person sees takes none; see [`keep_expiry`](Session::keep_expiry).
    /// A message that is not a `T`, such as one of an earlier release, is dropped with a warning event.
    /// Two concurrent requests may get the same message, but two tasks of one request do not.
    /// A message that is added meanwhile stays. Never causes a conflict.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// session.flash("notice", "saved")?;
    /// session.flash("notice", "mail sent")?;
    /// assert_eq!(session.flashes::<String>("notice")?, ["saved", "mail sent"]);
    /// assert!(session.flashes::<String>("notice")?.is_empty());
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The errors of [`insert`](Session::insert). A session that has moved or ended has no messages.
    pub fn flashes<T: DeserializeOwned>(&self, key: impl IntoKey<T>) -> Result<Vec<T>> {
        let key = &*PrintedKey::new(key)?;
        let quiet = self.state().quiet;
        if quiet.hides_flashes {
            return Ok(Vec::new());
        }
        loop {
            let messages = match self.state().view.flashes.get(key) {
                Some(messages) => messages.clone(),
                None => return Ok(Vec::new()),
            };
            // Decoding runs code of the application, so the lock is released.
            let shown: Vec<Result<T>> = messages.iter().map(|flash| flash.value.decode(key)).collect();
            if quiet.keeps_expiry {
                return Ok(shown.into_iter().flatten().collect());
            }
            let mut state = self.writing()?;
            let ids_shown = ids(&messages);
            // Another task of the request may have shown them meanwhile.
            if state.view.flashes.get(key).is_none_or(|now| ids(now) != ids_shown) {
                continue;
            }
            state.push(Op::TakeFlashes { key: key.into(), ids: ids_shown }, self.now())?;
            drop(state);
            let dropped =
                |error: &Error| tracing::warn!(name = %self.shared.env.name, %error, "a flash message is dropped");
            return Ok(shown.into_iter().filter_map(|message| message.inspect_err(dropped).ok()).collect());
        }
    }

    /// Drops the flash messages under `key` without showing them. A message that is added meanwhile stays. Never causes a conflict.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// session.flash("notice", "saved")?;
    /// session.clear_flashes("notice")?;
    /// assert!(session.flashes::<String>("notice")?.is_empty());
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The errors of [`insert`](Session::insert).
    pub fn clear_flashes(&self, key: impl AnyKey) -> Result<()> {
        let key = &*PrintedKey::new(key)?;
        let mut state = self.writing()?;
        match state.view.flashes.get(key).map(|messages| ids(messages)) {
            Some(ids) => state.push(Op::TakeFlashes { key: key.into(), ids }, self.now()),
            None => Ok(()),
        }
    }
}

fn ids(messages: &[Flash]) -> BTreeSet<u64> {
    messages.iter().map(|flash| flash.id).collect()
}

/// Creates an id for a message that is added at `now`. The session's newest message has the id `newest`.
///
/// Ids increase, so that the oldest message has the lowest id. The high bits are milliseconds, or one more than those of `newest`.
/// The low bits are random, because two requests that add a message to one session must choose different ids.
fn flash_id(now: Timestamp, newest: Option<u64>) -> u64 {
    /// Number of random bits. The other 42 hold milliseconds until the year 2109.
    const RANDOM_BITS: u32 = 22;
    let millis = u64::try_from(now.as_millis()).unwrap_or(0);
    let later = newest.map_or(0, |newest| (newest >> RANDOM_BITS) + 1);
    let random = if mutant::is(Mutant::RepeatsFlashIds) { 0 } else { random::bits() };
    millis.max(later) << RANDOM_BITS | random >> (u64::BITS - RANDOM_BITS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_of_flashes_are_in_their_order_and_differ_between_requests() {
        let now = Timestamp::from_millis(1_800_000_000_000).unwrap();
        let mut newest = flash_id(now, None);
        for _ in 0..1_000 {
            let ids: BTreeSet<u64> = (0..10).map(|_| flash_id(now, Some(newest))).collect();
            assert!(ids.len() >= 9 && ids.iter().all(|id| *id > newest), "{ids:?} after {newest}");
            newest = *ids.last().unwrap();
        }
    }
}
