//! Messages that are shown once.

use std::collections::BTreeSet;
use std::fmt::Display;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Session;
use super::key::Key;
use super::log::Op;
use crate::codec::Flash;
use crate::{Error, ErrorKind, Result, random};

impl Session {
    /// Adds a message under `key`, to be shown once.
    ///
    /// # Errors
    /// As [`insert`](Session::insert).
    pub fn flash<T: Serialize + ?Sized>(&self, key: impl Display, message: &T) -> Result<()> {
        let key = &*Key::new(key)?;
        let rules = self.shared.env.rules;
        let (mut state, value) = self.encoding(message)?;
        if state.view.flash_count() >= rules.limits.max_flashes {
            return Err(Error::fixed(ErrorKind::TooLarge, "too many flash messages"));
        }
        state.push(Op::Flash { key: key.into(), flash: Flash { id: random::bits(), value } })
    }

    /// Takes the messages under `key`, oldest first. They are gone only once this session has been stored.
    ///
    /// Two requests may show the same message, two tasks of one request do not; one that is added meanwhile stays. Never clashes.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] if one of them is not a `T`: then all stay. In a session that moved or ended there are none.
    pub fn flashes<T: DeserializeOwned>(&self, key: impl Display) -> Result<Vec<T>> {
        let key = &*Key::new(key)?;
        loop {
            let messages = match self.state().view.flashes.get(key) {
                Some(messages) => messages.clone(),
                None => return Ok(Vec::new()),
            };
            // Foreign code decodes, so the lock is let go.
            let shown = messages.iter().map(|flash| flash.value.decode()).collect::<Result<Vec<T>>>()?;
            let mut state = self.writing()?;
            let ids = |messages: &[Flash]| messages.iter().map(|flash| flash.id).collect::<BTreeSet<u64>>();
            let ids_shown = ids(&messages);
            // Another task of the request may have shown them meanwhile.
            if state.view.flashes.get(key).is_none_or(|now| ids(now) != ids_shown) {
                continue;
            }
            state.push(Op::TakeFlashes { key: key.into(), ids: ids_shown })?;
            return Ok(shown);
        }
    }
}
