//! Reads and writes of values.

use std::fmt::Display;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::key::Key;
use super::locked::Locked;
use super::log::Op;
use super::{Session, reentrancy};
use crate::Result;
use crate::codec::{Codec, TOO_MANY_KEYS, Value};
use crate::sync::Mutex;

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
    pub fn get<T: DeserializeOwned>(&self, key: impl Display) -> Result<Option<T>> {
        let key = &*Key::new(key)?;
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
    pub fn peek<T: DeserializeOwned>(&self, key: impl Display) -> Result<Option<T>> {
        let key = &*Key::new(key)?;
        let there = self.state().view.values.get(key).cloned();
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
    pub fn contains(&self, key: impl Display) -> bool {
        // A key that cannot be printed has never been stored.
        Key::new(key).is_ok_and(|key| self.read(&key).is_some())
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
        self.state().view.values.keys().map(|key| String::from(&**key)).collect()
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
    /// [`Codec::round_trip`] checks a type of the application in a test.
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
    pub fn insert<T: Serialize + ?Sized>(&self, key: impl Display, value: &T) -> Result<()> {
        let key = &*Key::new(key)?;
        let rules = self.shared.env.rules;
        let (mut state, value) = self.encoding(value)?;
        if state.view.values.len() >= rules.limits.max_keys && !state.view.values.contains_key(key) {
            return Err(TOO_MANY_KEYS);
        }
        let seen = state.reads.get(key).cloned();
        state.push(Op::Insert { key: key.into(), value: value.clone(), seen })?;
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
    pub fn remove(&self, key: impl Display) -> Result<bool> {
        let key = &*Key::new(key)?;
        let mut state = self.writing()?;
        let there = state.view.values.contains_key(key);
        let seen = state.reads.get(key).cloned();
        state.push(Op::Remove { key: key.into(), seen })?;
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
    pub fn take<T: DeserializeOwned>(&self, key: impl Display) -> Result<Option<T>> {
        let key = &*Key::new(key)?;
        let mut state = self.writing()?;
        let there = state.view.values.get(key).cloned();
        state.record_read(key, there.clone());
        let Some(there) = there else { return Ok(None) };
        // Decoding runs code of the application, so the lock is released. `seen` holds the value that was decoded.
        drop(state);
        let value = there.decode(key)?;
        let mut state = self.writing()?;
        state.push(Op::Remove { key: key.into(), seen: Some(Some(there)) })?;
        state.record_read(key, None);
        Ok(Some(value))
    }

    /// Changes the value under `key` by `f`, starting from `T::default()` if there is none. Returns the new value.
    ///
    /// If another request's write is stored first, `f` runs again on the newer value. So concurrent updates all count, but the value
    /// that was returned here may then be out of date.
    ///
    /// `f` should depend only on its argument. It may read the session but not write to it. It runs without any lock.
    /// A closure that holds the session itself keeps it in memory until the change is stored or [discarded](Session::discard).
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// session.update("visits", |n: &mut u64| *n += 1)?;
    /// assert_eq!(session.update("visits", |n: &mut u64| *n += 1)?, 2);
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The errors of [`get`](Session::get) and [`insert`](Session::insert).
    pub fn update<T, F>(&self, key: impl Display, f: F) -> Result<T>
    where
        T: Default + Serialize + DeserializeOwned,
        F: Fn(&mut T) + Send + 'static,
    {
        let key = &*Key::new(key)?;
        let rules = self.shared.env.rules;
        let name: Arc<str> = key.into();
        let of = name.clone();
        let run = move |there: Option<&Value>, codec: Codec| -> Result<(T, Value)> {
            let mut value: T = there.map(|there| there.decode(&of)).transpose()?.unwrap_or_default();
            f(&mut value);
            let encoded = rules.encode(codec, &value)?;
            Ok((value, encoded))
        };
        loop {
            let (before, there, codec) = {
                let state = self.writing()?;
                (state.changes, state.view.values.get(key).cloned(), state.view.codec)
            };
            let (value, encoded) = reentrancy::during(Arc::as_ptr(&self.shared).cast(), || run(there.as_ref(), codec))?;
            let mut state = self.writing()?;
            if state.changes != before {
                continue;
            }
            if there.is_none() && state.view.values.len() >= rules.limits.max_keys {
                return Err(TOO_MANY_KEYS);
            }
            // The new value is known to this request from now on, even if the old one was not read.
            state.record_read(key, Some(encoded.clone()));
            Arc::make_mut(&mut state.view).values.insert(name.clone(), encoded);
            let session = Arc::downgrade(&self.shared);
            let rerun = move |there: Option<&Value>, codec| {
                reentrancy::during(session.as_ptr().cast(), || Ok(run(there, codec)?.1))
            };
            state.push_applied(Op::Update { key: name, rerun: Mutex::new(Box::new(rerun)) });
            return Ok(value);
        }
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
        state.push(Op::Clear)
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
    pub fn require_unchanged(&self, key: impl Display) -> Result<()> {
        let key = &*Key::new(key)?;
        let mut state = self.writing()?;
        let seen = match state.reads.get(key) {
            Some(seen) => seen.clone(),
            None => state.view.values.get(key).cloned(),
        };
        state.push(Op::Require { key: key.into(), seen })
    }

    /// Encodes `value` in the session's codec, and locks the session to write it.
    ///
    /// The session is not locked while `value` is encoded, because that runs code of the application. If a logout meanwhile starts
    /// a session in another codec, the value is encoded again.
    pub(super) fn encoding<T: Serialize + ?Sized>(&self, value: &T) -> Result<(Locked<'_>, Value)> {
        loop {
            let codec = self.state().view.codec;
            let encoded = self.shared.env.rules.encode(codec, value)?;
            let state = self.writing()?;
            if state.view.codec == codec {
                return Ok((state, encoded));
            }
        }
    }

    /// Returns the value that this request sees under `key`, and notes that it has been read.
    fn read(&self, key: &str) -> Option<Value> {
        let mut state = self.state();
        let there = state.view.values.get(key).cloned();
        state.record_read(key, there.clone());
        there
    }
}
