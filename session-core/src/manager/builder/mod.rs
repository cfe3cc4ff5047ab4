//! Builder of a manager.

use std::sync::Arc;
use std::time::Duration;

use super::Manager;
use super::environment::Environment;
use super::excess::SessionLimit;
use super::listener::Listener;
use super::policy::{ConflictPolicy, Policy};
use super::renewal::Renewal;
use super::verifier::Verifier;
use crate::codec::{Codec, Limits, Rules};
use crate::commit::write_queue::WriteQueues;
use crate::{Clock, Error, ErrorKind, Result, Store, SystemClock, hours};

mod hooks;
mod logins;
mod renewal;

impl Manager {
    /// Creates a manager with the defaults: the name `id`, an idle time-out of 1 hour and an absolute time-out of 24 hours.
    ///
    /// ```
    /// use session_core::{Manager, NullStore};
    ///
    /// let manager = Manager::new(NullStore);
    /// assert_eq!(manager.name(), "id");
    /// ```
    pub fn new(store: impl Store) -> Self {
        Self::builder(store).build().expect("the defaults go together")
    }

    /// Starts the configuration of a manager over `store`.
    ///
    /// ```
    /// use session_core::{Manager, NullStore, hours};
    ///
    /// let manager = Manager::builder(NullStore).idle(hours(8)).build()?;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn builder(store: impl Store) -> ManagerBuilder {
        ManagerBuilder::new(Arc::new(store))
    }
}

/// Builder of a [`Manager`], made by [`Manager::builder`].
///
/// A session ends at the *idle* time-out, counted from its last use, or at the *absolute* time-out, counted from its login or creation.
/// Changed time-outs also apply to sessions that are stored already.
///
/// ```
/// use session_core::{Manager, NullStore, days, hours, minutes};
///
/// let manager = Manager::builder(NullStore)
///     .name("shop")
///     .idle(hours(1))
///     .anonymous_idle(minutes(30))
///     .absolute(hours(24))
///     .remember(days(30))
///     .build()?;
/// assert_eq!(manager.name(), "shop");
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Debug)]
pub struct ManagerBuilder {
    store: Arc<dyn Store>,
    name: String,
    idle: Option<Duration>,
    absolute: Duration,
    anonymous_idle: Option<Duration>,
    max_idle: Option<Duration>,
    max_absolute: Option<Duration>,
    remember: Option<Duration>,
    rules: Rules,
    conflicts: ConflictPolicy,
    max_replays: u32,
    verifier: Option<Verifier>,
    listener: Option<Listener>,
    session_limit: Option<SessionLimit>,
    renewal: Renewal,
    clock: Arc<dyn Clock>,
}

impl ManagerBuilder {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            name: "id".into(),
            idle: None,
            // NIST SP 800-63B-4, 2.2.3: at AAL2 one hour of inactivity and 24 hours overall.
            absolute: hours(24),
            anonymous_idle: None,
            max_idle: None,
            max_absolute: None,
            remember: None,
            rules: Rules::default(),
            conflicts: ConflictPolicy::default(),
            max_replays: 64,
            verifier: None,
            listener: None,
            session_limit: None,
            renewal: Renewal::default(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Sets the logical name of the sessions; `id` unless set. It has 1–64 bytes and no NUL.
    ///
    /// Sessions of different names are separate, even in one store, because the name is part of the key.
    ///
    /// ```
    /// use session_core::{Manager, NullStore};
    ///
    /// let cart = Manager::builder(NullStore).name("cart").build()?;
    /// assert_eq!(cart.name(), "cart");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the idle time-out: a session ends when it has not been used for this long. 1 hour unless set.
    ///
    /// It must not be longer than [`absolute`](Self::absolute), which would end the session first. If that is below 1 hour and this is not
    /// set, both are the same.
    ///
    /// ```
    /// use session_core::{Manager, NullStore, minutes};
    ///
    /// let manager = Manager::builder(NullStore).idle(minutes(15)).build()?;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub const fn idle(mut self, idle: Duration) -> Self {
        self.idle = Some(idle);
        self
    }

    /// Sets the absolute time-out: a session ends this long after its creation or last login, even if it is used. 24 hours unless set.
    ///
    /// ```
    /// use session_core::{Manager, NullStore, hours};
    ///
    /// let manager = Manager::builder(NullStore).absolute(hours(12)).build()?;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub const fn absolute(mut self, absolute: Duration) -> Self {
        self.absolute = absolute;
        self
    }

    /// Sets the idle time-out of sessions without a principal; as [`idle`](Self::idle) unless set. It may be longer than that,
    /// but not longer than [`absolute`](Self::absolute).
    ///
    /// ```
    /// use session_core::{Manager, NullStore, days, hours};
    ///
    /// // Carts of guests stay longer than a signed-in session.
    /// let manager = Manager::builder(NullStore).idle(hours(1)).anonymous_idle(days(7)).absolute(days(7)).build()?;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub const fn anonymous_idle(mut self, idle: Duration) -> Self {
        self.anonymous_idle = Some(idle);
        self
    }

    /// Sets the longest idle time-out that a session may [set for itself](crate::Session::set_idle); as [`idle`](Self::idle) unless set.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::{Manager, NullStore, days};
    /// let manager = Manager::builder(NullStore).max_idle(days(14)).max_absolute(days(90)).build()?;
    /// let session = manager.open(None).await?;
    /// session.set_idle(Some(days(14)))?; // "remember me"
    /// assert!(session.set_idle(Some(days(15))).is_err());
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub const fn max_idle(mut self, idle: Duration) -> Self {
        self.max_idle = Some(idle);
        self
    }

    /// Sets the longest absolute time-out that a session may [set for itself](crate::Session::set_absolute); as
    /// [`absolute`](Self::absolute) unless set.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::{Manager, NullStore, days};
    /// let manager = Manager::builder(NullStore).max_absolute(days(90)).build()?;
    /// let session = manager.open(None).await?;
    /// session.set_absolute(Some(days(90)))?;
    /// assert!(session.set_absolute(Some(days(91))).is_err());
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub const fn max_absolute(mut self, absolute: Duration) -> Self {
        self.max_absolute = Some(absolute);
        self
    }

    /// Sets the limits of a session's size. A store with a smaller [`max_data_len`](crate::Capabilities::max_data_len) lowers that limit.
    ///
    /// ```
    /// use session_core::{Limits, Manager, NullStore};
    ///
    /// let manager = Manager::builder(NullStore).limits(Limits::new().max_keys(50)).build()?;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.rules.limits = limits;
        self
    }

    /// Sets the codec of new sessions; [`Codec::Json`] unless set.
    ///
    /// A session keeps its codec for its life, through saves, logins and rotations. The manager reads and writes sessions of every codec,
    /// also of those not set here. So the codec may change at any time, and may differ between processes.
    ///
    /// A program without the feature `messagepack` cannot read sessions in MessagePack: opening one is
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported), not a blank session. To change over, build the feature into every process,
    /// then set the codec. To go back, set the codec, and drop the feature when no session in MessagePack is left.
    ///
    /// ```
    /// use session_core::{Codec, Manager, NullStore};
    ///
    /// let manager = Manager::builder(NullStore).codec(Codec::Json).build()?;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub const fn codec(mut self, codec: Codec) -> Self {
        self.rules.codec = codec;
        self
    }

    /// Sets the policy for a commit when another request has saved the session meanwhile; [`ConflictPolicy::Replay`] unless set.
    ///
    /// ```
    /// use session_core::{ConflictPolicy, Manager, NullStore};
    ///
    /// let manager = Manager::builder(NullStore).conflicts(ConflictPolicy::Reject).build()?;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub const fn conflicts(mut self, policy: ConflictPolicy) -> Self {
        self.conflicts = policy;
        self
    }

    /// Sets how many times a commit is retried after conflicts; 64 unless set.
    ///
    /// ```
    /// use session_core::{Manager, NullStore};
    ///
    /// let manager = Manager::builder(NullStore).max_replays(8).build()?;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub const fn max_replays(mut self, replays: u32) -> Self {
        self.max_replays = replays;
        self
    }

    /// Sets the clock that decides what has expired; the system's clock unless set.
    ///
    /// ```
    /// use session_core::{Clock, Manager, ManualClock, NullStore, Timestamp, minutes};
    ///
    /// let clock = ManualClock::new(Timestamp::from_millis(1_800_000_000_000)?);
    /// let manager = Manager::builder(NullStore).clock(clock.clone()).build()?;
    /// clock.advance(minutes(5));
    /// assert_eq!(manager.now(), clock.now());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Creates the manager.
    ///
    /// ```
    /// use session_core::{ErrorKind, Manager, NullStore, days, minutes};
    ///
    /// assert!(Manager::builder(NullStore).idle(minutes(30)).build().is_ok());
    /// let error = Manager::builder(NullStore).idle(days(2)).max_idle(days(1)).build().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Config);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if a time-out is below a millisecond, if [`idle`](Self::idle) or [`anonymous_idle`](Self::anonymous_idle) is
    /// above [`absolute`](Self::absolute), if one of the three is above the maximum set for it, if [`remember`](Self::remember) is below `idle`, if [`max_idle`](Self::max_idle) is above the
    /// longest absolute time-out, if the name is empty,
    /// longer than 64 bytes or has a NUL, if [`max_sessions`](Self::max_sessions) is 0 or the store does not list by principal, or if
    /// [`renew_id_every`](Self::renew_id_every) is outside its range, or [`revoke_reused`](Self::revoke_reused) is set without it. The message names the settings and their values.
    pub fn build(self) -> Result<Manager> {
        if self.name.is_empty() || self.name.len() > 64 || self.name.contains('\0') {
            return Err(Error::fixed(ErrorKind::Config, "the manager's `name` must have 1 to 64 bytes and no NUL"));
        }
        let idle = self.idle.unwrap_or(hours(1).min(self.absolute));
        let policy = Policy {
            idle,
            absolute: self.absolute,
            anonymous_idle: self.anonymous_idle,
            max_idle: self.max_idle.unwrap_or(idle),
            max_absolute: self.max_absolute.unwrap_or(self.absolute),
            remember_idle: self.remember,
            remember_absolute: self.remember,
        };
        policy.check(self.max_idle)?;
        self.renewal.check(policy.longest())?;
        let can = self.store.capabilities();
        if let Some(limit) = self.session_limit {
            limit.check(can.by_principal)?;
        }
        let mut rules = self.rules;
        if let Some(most) = can.max_data_len
            && most < rules.limits.max_data_len
        {
            (rules.limits.max_data_len, rules.limited_by_store) = (most, true);
        }
        Ok(Manager {
            env: Arc::new(Environment {
                discards: can.discards,
                is_shared: can.shared,
                shares_decoding: can.shares_decoding,
                for_request: false,
                renews_cookies: false,
                store: self.store,
                name: self.name.into(),
                policy,
                rules,
                conflicts: self.conflicts,
                max_replays: self.max_replays,
                verifier: self.verifier,
                listener: self.listener,
                session_limit: self.session_limit,
                login_times: Arc::default(),
                renewal: self.renewal,
                queues: Arc::new(WriteQueues::new(can.shared)),
                clock: self.clock,
            }),
        })
    }
}
