//! Criteria for sessions in a store.

use std::fmt::{self, Display};
use std::time::Duration;

use serde::Serialize;

use super::session_info::SessionInfo;
use crate::codec::{Codec, Content, Limits, Rules, Value};
use crate::session::key::PrintedKey;
use crate::{Error, IntoKey, Principal, Result, Timestamp};

/// Criteria for the sessions that [`Manager::list`](crate::Manager::list) and [`Manager::revoke_where`](crate::Manager::revoke_where) find.
///
/// A session matches if it meets every criterion. [`Filter::all`] has none, so it matches all sessions.
///
/// ```
/// # use session_core::{Filter, Manager, Result, days};
/// async fn end_unused(manager: &Manager) -> Result<u64> {
///     let unused = Filter::all().label("Kiosk").idle(days(7));
///     println!("{} sessions would end", manager.revoke_where(unused.clone().dry_run()).await?);
///     manager.revoke_where(unused).await
/// }
/// # let manager = Manager::new(session_core::NullStore);
/// # assert!(pollster::block_on(end_unused(&manager)).is_err(), "this store has no lists");
/// ```
#[derive(Clone)]
#[must_use = "a filter is passed to `Manager::list` or `Manager::revoke_where`"]
pub struct Filter {
    principal: Option<Principal>,
    label: Option<Box<str>>,
    idle: Option<Duration>,
    /// Keys with the encodings of the value that is sought under them, one for each codec that can encode it.
    values: Vec<(Box<str>, Vec<Value>)>,
    pub(super) dry_run: bool,
    /// First error of a criterion.
    error: Option<Error>,
}

impl Filter {
    /// Creates a filter that matches all sessions, of every logical name in the store's namespace.
    ///
    /// ```
    /// # use session_core::{Filter, Manager, NullStore};
    /// # pollster::block_on(async {
    /// # let manager = Manager::new(NullStore);
    /// let count = manager.revoke_where(Filter::all().dry_run()).await;
    /// # assert!(count.is_err());
    /// # });
    /// ```
    pub const fn all() -> Self {
        Self { principal: None, label: None, idle: None, values: Vec::new(), dry_run: false, error: None }
    }

    /// Matches sessions of `principal`, which is what [`login`](crate::Session::login) takes.
    ///
    /// ```
    /// let of_ann = session_core::Filter::all().principal("ann");
    /// # drop(of_ann);
    /// ```
    pub fn principal(mut self, principal: impl Display) -> Self {
        match Principal::new(principal) {
            Ok(principal) => self.principal = Some(principal),
            Err(error) => self.error = self.error.or(Some(error)),
        }
        self
    }

    /// Matches sessions whose [label](crate::Session::set_label) is `label`.
    ///
    /// ```
    /// let kiosks = session_core::Filter::all().label("Kiosk");
    /// # drop(kiosks);
    /// ```
    pub fn label(mut self, label: impl Into<Box<str>>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Matches sessions that have not been used for `idle` or longer. The last use is as exact as [`SessionInfo::last_used`].
    ///
    /// ```
    /// let unused = session_core::Filter::all().idle(session_core::days(7));
    /// # drop(unused);
    /// ```
    pub const fn idle(mut self, idle: Duration) -> Self {
        self.idle = Some(idle);
        self
    }

    /// Matches sessions that have `value` under `key`. Several calls require several values.
    ///
    /// Encoded values are compared. A type whose encoding varies, such as a `HashMap` with several entries, may not be found.
    ///
    /// ```
    /// use session_core::{Filter, Key};
    ///
    /// const SID: Key<String> = Key::new("oidc sid"); // session at the identity provider, stored at the login
    ///
    /// let of_provider = Filter::all().principal("ann").value(SID, &"08a5019c".to_owned());
    /// # drop(of_provider);
    /// ```
    pub fn value<T: Serialize + ?Sized>(mut self, key: impl IntoKey<T>, value: &T) -> Self {
        let criterion = PrintedKey::new(key).and_then(|key| Ok((Box::from(&*key), encodings(&key, value)?)));
        match criterion {
            Ok(criterion) => self.values.push(criterion),
            Err(error) => self.error = self.error.or(Some(error)),
        }
        self
    }

    /// Makes [`revoke_where`](crate::Manager::revoke_where) count the sessions and end none.
    ///
    /// ```
    /// # use session_core::{Filter, Manager, NullStore};
    /// # pollster::block_on(async {
    /// # let manager = Manager::new(NullStore);
    /// let count = manager.revoke_where(Filter::all().principal("ann").dry_run()).await;
    /// # assert!(count.is_err());
    /// # });
    /// ```
    pub const fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    /// Returns the filter, or the first error of its criteria.
    pub(super) fn checked(mut self) -> Result<Self> {
        match self.error.take() {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }

    pub(super) const fn sought_principal(&self) -> Option<&Principal> {
        self.principal.as_ref()
    }

    /// Whether the principal is the only criterion, or there is none.
    pub(super) fn needs_no_content(&self) -> bool {
        self.label.is_none() && self.idle.is_none() && self.values.is_empty()
    }

    /// Whether the session matches at `now`.
    pub(super) fn matches(&self, info: &SessionInfo, content: &Content, now: Timestamp) -> bool {
        self.principal.as_ref().is_none_or(|principal| info.principal.as_ref() == Some(principal))
            && self.label.as_deref().is_none_or(|label| info.label.as_deref() == Some(label))
            && self.idle.is_none_or(|idle| now.since(info.last_used) >= idle)
            && self.values.iter().all(|(key, sought)| {
                content.value(key, now).is_some_and(|there| sought.iter().any(|sought| there.has_bytes_of(sought)))
            })
    }
}

impl fmt::Debug for Filter {
    /// Shows no values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter")
            .field("principal", &self.principal)
            .field("label", &self.label)
            .field("idle", &self.idle)
            .field("values", &self.values.iter().map(|(key, _)| key).collect::<Vec<_>>())
            .field("dry_run", &self.dry_run)
            .finish()
    }
}

/// Encodes `value` in every codec that can.
fn encodings<T: Serialize + ?Sized>(key: &str, value: &T) -> Result<Vec<Value>> {
    let rules = Rules { limits: Limits::new().max_data_len(usize::MAX).max_depth(usize::MAX), ..Rules::default() };
    let mut encoded = Vec::new();
    let mut failed = None;
    for codec in Codec::ALL {
        match rules.encode(*codec, key, value) {
            Ok(value) => encoded.push(value),
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) if encoded.is_empty() => Err(error),
        _ => Ok(encoded),
    }
}
