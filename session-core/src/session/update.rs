//! Changes of values that are computed from the present value.

use std::convert::Infallible;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::key::{IntoKey, PrintedKey};
use super::log::Op;
use super::{Session, reentrancy};
use crate::codec::{Codec, Value};
use crate::sync::Mutex;
use crate::{Error, Result};

/// Error of a closure, or of the session.
enum Failure<E> {
    Closure(E),
    Session(Error),
}

impl<E> From<Error> for Failure<E> {
    fn from(error: Error) -> Self {
        Self::Session(error)
    }
}

impl Session {
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
    pub fn update<T, F>(&self, key: impl IntoKey<T>, f: F) -> Result<T>
    where
        T: Default + Serialize + DeserializeOwned,
        F: Fn(&mut T) + Send + 'static,
    {
        let change = move |value: &mut T| {
            f(value);
            Ok::<(), Infallible>(())
        };
        self.change(&PrintedKey::new(key)?, change).map_err(|failure| match failure {
            Failure::Session(error) => error,
            Failure::Closure(never) => match never {},
        })
    }

    /// Changes the value under `key` by `f` as [`update`](Session::update) does, unless `f` returns an error. The value then stays as it is.
    ///
    /// The error is of the application's own type. Errors of the session are converted into it.
    ///
    /// If another request's write is stored first, `f` runs again on the newer value. An error that it returns then comes too late for this
    /// call. The commit returns [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) that names the key, and stores nothing.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// use session_core::{Error, Key};
    ///
    /// const CREDIT: Key<u64> = Key::new("credit");
    ///
    /// #[derive(Debug)]
    /// enum ShopError {
    ///     NoCredit,
    ///     Session(Error),
    /// }
    ///
    /// impl From<Error> for ShopError {
    ///     fn from(error: Error) -> Self {
    ///         Self::Session(error)
    ///     }
    /// }
    ///
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await.unwrap();
    /// let pay = |price: u64| {
    ///     session.try_update(CREDIT, move |credit| {
    ///         *credit = credit.checked_sub(price).ok_or(ShopError::NoCredit)?;
    ///         Ok(())
    ///     })
    /// };
    /// session.insert(CREDIT, &10)?;
    /// assert_eq!(pay(7)?, 3);
    /// assert!(matches!(pay(7), Err(ShopError::NoCredit)));
    /// assert_eq!(session.get(CREDIT)?, Some(3));
    /// # session.discard();
    /// # Ok::<(), ShopError>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The error of `f`, and those of [`update`](Session::update).
    pub fn try_update<T, E, F>(&self, key: impl IntoKey<T>, f: F) -> Result<T, E>
    where
        T: Default + Serialize + DeserializeOwned,
        E: From<Error>,
        F: Fn(&mut T) -> Result<(), E> + Send + 'static,
    {
        self.change(&PrintedKey::new(key)?, f).map_err(|failure| match failure {
            Failure::Session(error) => error.into(),
            Failure::Closure(error) => error,
        })
    }

    /// Returns the value under `key`. If there is none, stores the value that `f` returns, and returns it.
    ///
    /// The call is a read and a write: if another request stores another value first, the commit returns
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict). So the value that was returned here is the stored one once the commit succeeds.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// use session_core::Key;
    ///
    /// const CURRENCY: Key<String> = Key::new("currency");
    ///
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// assert_eq!(session.get_or_insert_with(CURRENCY, || "EUR".to_owned())?, "EUR");
    /// assert_eq!(session.get_or_insert_with(CURRENCY, || "USD".to_owned())?, "EUR");
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The errors of [`get`](Session::get) and [`insert`](Session::insert).
    pub fn get_or_insert_with<T>(&self, key: impl IntoKey<T>, f: impl FnOnce() -> T) -> Result<T>
    where
        T: Serialize + DeserializeOwned,
    {
        let key = &*PrintedKey::new(key)?;
        if let Some(there) = self.get(key)? {
            return Ok(there);
        }
        let value = f();
        self.insert(key, &value)?;
        Ok(value)
    }

    /// Changes the value under `key` by `f`, and logs the change so that a commit can run `f` again.
    fn change<T, E, F>(&self, key: &str, f: F) -> Result<T, Failure<E>>
    where
        T: Default + Serialize + DeserializeOwned,
        F: Fn(&mut T) -> Result<(), E> + Send + 'static,
    {
        let rules = self.shared.env.rules;
        let name: Arc<str> = key.into();
        let of = name.clone();
        let run = move |there: Option<&Value>, codec: Codec| -> Result<(T, Value), Failure<E>> {
            let mut value: T = there.map(|there| there.decode(&of)).transpose()?.unwrap_or_default();
            f(&mut value).map_err(Failure::Closure)?;
            let encoded = rules.encode(codec, &of, &value)?;
            Ok((value, encoded.with_deadline(there.and_then(|there| there.until))))
        };
        loop {
            let (before, there, codec) = {
                let state = self.writing()?;
                let there = self.live_value(&state.view, key).map(|(_, value)| value.clone());
                (state.changes, there, state.view.codec)
            };
            let ran = reentrancy::during(Arc::as_ptr(&self.shared).cast(), || run(there.as_ref(), codec));
            let mut state = self.writing()?;
            if state.changes != before {
                continue;
            }
            let (value, encoded) = match ran {
                Ok(ran) => ran,
                Err(failure) => {
                    // The request decides by the value, so this is a read of it.
                    state.record_read(key, || name.clone(), there);
                    return Err(failure);
                }
            };
            state.view.check_room(key, || self.now(), &rules)?;
            // The new value is known to this request from now on, even if the old one was not read.
            state.record_read(key, || name.clone(), Some(encoded.clone()));
            Arc::make_mut(&mut state.view).values.insert(name.clone(), encoded);
            let (session, of) = (Arc::downgrade(&self.shared), name.clone());
            let rerun = move |there: Option<&Value>, codec| {
                let ran = reentrancy::during(session.as_ptr().cast(), || run(there, codec));
                match ran {
                    Ok((_, encoded)) => Ok(encoded),
                    Err(Failure::Session(error)) => Err(error),
                    Err(Failure::Closure(_)) => Err(Error::conflict_on(&of)),
                }
            };
            state.push_applied(Op::Update { key: name, rerun: Mutex::new(Box::new(rerun)) });
            return Ok(value);
        }
    }
}
