//! Reads and writes of values.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Session;
use super::key::{AnyKey, IntoKey, PrintedKey};
use super::locked::Locked;
use super::log::Op;
use crate::codec::{Content, Value};
use crate::{Result, Timestamp};

impl Session {
    /// Returns the value under `key`, decoded as a `T`. `None` if there is no value.
    ///
    /// This counts as a read of the key when [conflicts](Session#conflicts) are detected. [`peek`](Session::peek) does not.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// session.insert("visits", &3)?;
    /// assert_eq!(session.get::<u32>("visits")?, Some(3));
    /// assert_eq!(session.get::<u32>("other")?, None);
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`](crate::ErrorKind::WrongType) if the value is not a `T`. It stays as it is.
    pub fn get<T: DeserializeOwned>(&self, key: impl IntoKey<T>) -> Result<Option<T>> {
        let key = &*PrintedKey::new(key)?;
        self.read(key).map(|there| there.decode(key)).transpose()
    }

    /// Returns the value under `key` like [`get`](Session::get), but does not count as a read when [conflicts](Session#conflicts) are detected.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// session.insert("theme", "dark")?;
    /// assert_eq!(session.peek::<String>("theme")?.as_deref(), Some("dark"));
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`](crate::ErrorKind::WrongType) if the value is not a `T`.
    pub fn peek<T: DeserializeOwned>(&self, key: impl IntoKey<T>) -> Result<Option<T>> {
        let key = &*PrintedKey::new(key)?;
        let there = self.live_value(&self.state().view, key).map(|(_, value)| value.clone());
        there.map(|there| there.decode(key)).transpose()
    }

    /// Whether there is a value under `key`. Counts as a read when [conflicts](Session#conflicts) are detected.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// session.insert("theme", "dark")?;
    /// assert!(session.contains("theme"));
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn contains(&self, key: impl AnyKey) -> bool {
        // A key that cannot be printed has never been stored.
        PrintedKey::new(key).is_ok_and(|key| self.read(&key).is_some())
    }

    /// Returns all keys of values, sorted. Does not count as a read of the values.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// session.insert("theme", "dark")?;
    /// session.insert("cart", &["tea"])?;
    /// assert_eq!(session.keys(), ["cart", "theme"]);
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn keys(&self) -> Vec<String> {
        self.state().view.live_values(self.now()).map(|(key, _)| String::from(&**key)).collect()
    }

    /// Stores `value` under `key`, and replaces any value there.
    ///
    /// [`get`](Session::get) returns an equal value if the type's `Deserialize` reads what its `Serialize` writes. A number that is not
    /// finite is refused, because JSON cannot represent it. Some types that serde supports do not come back the same:
    ///
    /// - `Some(None)` and `Some(())` come back as `None`.
    /// - Inside `#[serde(untagged)]`, `#[serde(flatten)]` and `#[serde(tag = "…")]`, 128-bit integers do not decode. In JSON, maps whose keys
    ///   are numbers do not decode there either.
    ///
    /// [`Codec::round_trip`](crate::Codec::round_trip) checks a type of the application in a test.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// session.insert("theme", "dark")?;
    /// session.insert("theme", "light")?;
    /// assert_eq!(session.get::<String>("theme")?.as_deref(), Some("light"));
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// - [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge): a [limit](crate::Limits) is exceeded.
    /// - [`ErrorKind::Other`](crate::ErrorKind::Other): `value` cannot be encoded in the session's [codec](crate::Codec), holds a number
    ///   that is not finite, or `key` cannot be printed. Also if the call comes from inside an [`update`](Session::update) closure of this session.
    /// - [`ErrorKind::Gone`](crate::ErrorKind::Gone): the session has moved or ended.
    /// - [`ErrorKind::Closed`](crate::ErrorKind::Closed): the change would need a cookie, and the response's head has been sent.
    pub fn insert<T: Serialize + ?Sized>(&self, key: impl IntoKey<T>, value: &T) -> Result<()> {
        self.put(&PrintedKey::new(key)?, value, None)
    }

    /// Stores `value` under `key` as [`insert`](Session::insert) does, for the time `life`. Afterwards there is no value under the key.
    ///
    /// The deadline is this instant plus `life`, to the millisecond. It stays the same when a commit replays the change later.
    /// From the deadline on no call finds the value, in any request, and the next save removes it from the store.
    /// [`insert`](Session::insert) ends the deadline with the value. [`update`](Session::update) keeps it.
    ///
    /// A login or a rotation moves no deadline. A deadline after the end of the session has no effect.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::{ManualClock, Clock, NullStore, SystemClock, Manager, minutes};
    /// # let clock = ManualClock::new(SystemClock.now());
    /// # let session = Manager::builder(NullStore).clock(clock.clone()).build()?.open(None).await?;
    /// session.insert_for("code", &4711, minutes(10))?;
    /// assert_eq!(session.get::<u32>("code")?, Some(4711));
    /// clock.advance(minutes(10));
    /// assert_eq!(session.get::<u32>("code")?, None);
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The errors of [`insert`](Session::insert).
    pub fn insert_for<T: Serialize + ?Sized>(&self, key: impl IntoKey<T>, value: &T, life: Duration) -> Result<()> {
        let until = self.now().plus(life);
        self.put(&PrintedKey::new(key)?, value, Some(until))
    }

    fn put<T: Serialize + ?Sized>(&self, key: &str, value: &T, until: Option<Timestamp>) -> Result<()> {
        let (mut state, value) = self.encoding(key, value)?;
        let value = value.with_deadline(until);
        let now = self.now();
        state.view.check_room(key, || now, &self.shared.env.rules)?;
        let seen = state.reads.get(key).cloned();
        state.push(Op::Insert { key: key.into(), value: value.clone(), seen }, now)?;
        state.wrote(key, Some(value));
        Ok(())
    }

    /// Removes the value under `key`. Returns whether there was one, which does not count as a read.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// session.insert("theme", "dark")?;
    /// assert!(session.remove("theme")?);
    /// assert!(!session.remove("theme")?);
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The errors of [`insert`](Session::insert).
    pub fn remove(&self, key: impl AnyKey) -> Result<bool> {
        let key = &*PrintedKey::new(key)?;
        let mut state = self.writing()?;
        let now = self.now();
        let there = state.view.value(key, now).is_some();
        let seen = state.reads.get(key).cloned();
        state.push(Op::Remove { key: key.into(), seen }, now)?;
        state.wrote(key, None);
        Ok(there)
    }

    /// Reads the value under `key` and removes it.
    ///
    /// If two requests take one value at the same time, only one commit succeeds.
    /// The other returns [`ErrorKind::Conflict`](crate::ErrorKind::Conflict).
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// session.insert("one-time code", &4711)?;
    /// assert_eq!(session.take::<u32>("one-time code")?, Some(4711));
    /// assert_eq!(session.take::<u32>("one-time code")?, None);
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The errors of [`get`](Session::get) and [`insert`](Session::insert). A value that is not a `T` stays.
    pub fn take<T: DeserializeOwned>(&self, key: impl IntoKey<T>) -> Result<Option<T>> {
        let key = &*PrintedKey::new(key)?;
        let mut state = self.writing()?;
        let now = self.now();
        let there = state.view.value(key, now).cloned();
        state.record_read(key, || key.into(), there.clone());
        let Some(there) = there else { return Ok(None) };
        // Decoding runs code of the application, so the lock is released. `seen` holds the value that was decoded.
        drop(state);
        let value = there.decode(key)?;
        let mut state = self.writing()?;
        state.push(Op::Remove { key: key.into(), seen: Some(Some(there)) }, now)?;
        state.record_read(key, || key.into(), None);
        Ok(Some(value))
    }

    /// Removes all values and flash messages, also those that other requests add before this is stored. Never causes a conflict.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// session.insert("theme", "dark")?;
    /// session.clear()?;
    /// assert!(session.keys().is_empty());
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The errors of [`insert`](Session::insert).
    pub fn clear(&self) -> Result<()> {
        let mut state = self.writing()?;
        state.reads.values_mut().for_each(|seen| *seen = None);
        state.push(Op::Clear, self.now())
    }

    /// Makes the commit return [`Conflict`](crate::ErrorKind::Conflict) if another request has changed the value under `key` by then.
    ///
    /// Use it when a write to one key depends on the value under another key. It has no effect unless this request also writes.
    ///
    /// ```
    /// # use session_core::{Result, Session};
    /// fn order(session: &Session) -> Result<()> {
    ///     let limit: u64 = session.get("credit")?.unwrap_or(0);
    ///     if limit >= 100 {
    ///         session.require_unchanged("credit")?; // otherwise another request could lower the credit in between
    ///         session.insert("ordered", &100)?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// The errors of [`insert`](Session::insert).
    pub fn require_unchanged(&self, key: impl AnyKey) -> Result<()> {
        let key = &*PrintedKey::new(key)?;
        let now = self.now();
        let mut state = self.writing()?;
        let seen = match state.reads.get(key) {
            Some(seen) => seen.clone(),
            None => state.view.value(key, now).cloned(),
        };
        state.push(Op::Require { key: key.into(), seen }, now)
    }

    /// Encodes `value` in the session's codec, and locks the session to write it under `key`.
    ///
    /// The session is not locked while `value` is encoded, because that runs code of the application. If a logout meanwhile starts
    /// a session in another codec, the value is encoded again.
    pub(super) fn encoding<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<(Locked<'_>, Value)> {
        loop {
            let codec = self.state().view.codec;
            let encoded = self.shared.env.rules.encode(codec, key, value)?;
            let state = self.writing()?;
            if state.view.codec == codec {
                return Ok((state, encoded));
            }
        }
    }

    /// Returns the value that this request sees under `key`, and notes that it has been read.
    fn read(&self, key: &str) -> Option<Value> {
        let mut state = self.state();
        let there = self.live_value(&state.view, key).map(|(key, value)| (key.clone(), value.clone()));
        match there {
            Some((key, value)) => {
                state.record_read(&key, || key.clone(), Some(value.clone()));
                Some(value)
            }
            None => {
                state.record_read(key, || key.into(), None);
                None
            }
        }
    }

    /// Returns the value under `key` in `content`, unless its deadline has passed. Few values have one, so the clock is mostly not read.
    pub(super) fn live_value<'c>(&self, content: &'c Content, key: &str) -> Option<(&'c Arc<str>, &'c Value)> {
        let found = content.values.get_key_value(key)?;
        (found.1.until.is_none() || found.1.is_live(self.now())).then_some(found)
    }
}
