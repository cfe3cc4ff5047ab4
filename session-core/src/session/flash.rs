//! Messages that are shown once.

use std::collections::BTreeSet;
use std::fmt::Display;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Session;
use super::key::Key;
use super::log::Op;
use crate::codec::Flash;
use crate::mutant::{self, Mutant};
use crate::{Error, Result, Timestamp, random};

impl Session {
    /// Adds a message under `key`, to be shown once.
    ///
    /// If there are more messages than the [limit](crate::Limits::max_flashes), or more than the store has room for, the oldest go.
    ///
    /// # Errors
    /// As [`insert`](Session::insert).
    pub fn flash<T: Serialize + ?Sized>(&self, key: impl Display, message: &T) -> Result<()> {
        let key = &*Key::new(key)?;
        let (mut state, value) = self.encoding(message)?;
        if state.view.flash_count() >= self.shared.env.rules.limits.max_flashes
            && let Some((key, id)) = state.view.oldest_flash()
        {
            state.push(Op::TakeFlashes { key, ids: [id].into() })?;
        }
        let newest = state.view.flashes.values().flatten().map(|flash| flash.id).max();
        let id = flash_id(self.shared.env.now(), newest);
        state.push(Op::Flash { key: key.into(), flash: Flash { id, value } })
    }

    /// Takes the messages under `key`, oldest first. They are gone only once this session has been stored.
    ///
    /// A message that is not a `T`, such as one of an earlier release, is dropped with a warning event.
    /// Two requests may show the same message, two tasks of one request do not; one that is added meanwhile stays. Never clashes.
    ///
    /// # Errors
    /// As [`insert`](Session::insert). In a session that moved or ended there are none.
    pub fn flashes<T: DeserializeOwned>(&self, key: impl Display) -> Result<Vec<T>> {
        let key = &*Key::new(key)?;
        loop {
            let messages = match self.state().view.flashes.get(key) {
                Some(messages) => messages.clone(),
                None => return Ok(Vec::new()),
            };
            // Foreign code decodes, so the lock is let go.
            let shown: Vec<Result<T>> = messages.iter().map(|flash| flash.value.decode(key)).collect();
            let mut state = self.writing()?;
            let ids_shown = ids(&messages);
            // Another task of the request may have shown them meanwhile.
            if state.view.flashes.get(key).is_none_or(|now| ids(now) != ids_shown) {
                continue;
            }
            state.push(Op::TakeFlashes { key: key.into(), ids: ids_shown })?;
            drop(state);
            let dropped =
                |error: &Error| tracing::warn!(name = %self.shared.env.name, %error, "a flash message is dropped");
            return Ok(shown.into_iter().filter_map(|message| message.inspect_err(dropped).ok()).collect());
        }
    }

    /// Drops the messages under `key` without showing them. One that is added meanwhile stays. Never clashes.
    ///
    /// # Errors
    /// As [`insert`](Session::insert).
    pub fn clear_flashes(&self, key: impl Display) -> Result<()> {
        let key = &*Key::new(key)?;
        let mut state = self.writing()?;
        match state.view.flashes.get(key).map(|messages| ids(messages)) {
            Some(ids) => state.push(Op::TakeFlashes { key: key.into(), ids }),
            None => Ok(()),
        }
    }
}

fn ids(messages: &[Flash]) -> BTreeSet<u64> {
    messages.iter().map(|flash| flash.id).collect()
}

/// An id for a message that is added at `now` to a session whose newest message has the id `newest`.
///
/// Ids are in the order of age, so that the oldest message can be told: milliseconds first, or one more than those of the newest.
/// The rest is random, because two requests that add a message to the same session must not choose one id.
fn flash_id(now: Timestamp, newest: Option<u64>) -> u64 {
    /// What is left for milliseconds lasts until 2109.
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
