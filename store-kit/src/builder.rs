//! Setters that all builders share.

/// Makes the setters that the builders of all stores share. Call it within the builder's `impl`.
///
/// Each line makes the setter of that name. Doc comments above the line add paragraphs to its documentation.
/// `namespace`, `timeout`, `queue` and `wait` set fields of the builder's field `settings`, which is a [`Settings`](crate::Settings).
/// `create`, a `bool`, and `pool`, a `usize`, are fields of the builder. Ranges are checked at the end, by
/// [`Settings::check`](crate::Settings::check) and [`within`](crate::within).
///
/// ```
/// use session_core::seconds;
/// use session_store_kit::{Settings, setters};
///
/// /// Options for opening a store.
/// struct Builder {
///     settings: Settings,
///     pool: usize,
/// }
///
/// impl Builder {
///     setters! {
///         /// It is the folder's name.
///         namespace;
///         timeout;
///         queue;
///         /// Default: 4.
///         pool;
///     }
/// }
///
/// let builder = Builder { settings: Settings::new(), pool: 4 }.namespace("web_sessions").timeout(seconds(2)).pool(1);
/// assert_eq!(builder.settings.check()?.as_str(), "web_sessions");
/// # Ok::<(), session_core::Error>(())
/// ```
#[macro_export]
macro_rules! setters {
    ($($(#[doc = $more:literal])* $setter:ident;)+) => {
        $($crate::setters! { @one $setter [$($more)*] })+
    };
    (@one namespace [$($more:literal)*]) => {
        /// Sets the namespace, of the form that [`Namespace`](session_core::Namespace) allows. Default: `sessions`.
        ///
        $(#[doc = $more])*
        pub fn namespace(mut self, namespace: &str) -> Self {
            namespace.clone_into(&mut self.settings.namespace);
            self
        }
    };
    (@one timeout [$($more:literal)*]) => {
        /// Sets how long a call may take, waiting included. 1 ms to 1 hour. Default: 5 s.
        ///
        $(#[doc = $more])*
        pub const fn timeout(mut self, timeout: ::std::time::Duration) -> Self {
            self.settings.timeout = timeout;
            self
        }
    };
    (@one queue [$($more:literal)*]) => {
        /// Sets how many calls may wait. Further calls wait for room, within their time-out. At least 1. Default: 16,384.
        ///
        $(#[doc = $more])*
        pub const fn queue(mut self, calls: usize) -> Self {
            self.settings.queue = calls;
            self
        }
    };
    (@one wait [$($more:literal)*]) => {
        /// Sets how long opening the store is retried while its server is not reachable or still starting. At most 1 hour.
        /// Default: zero, one attempt.
        ///
        $(#[doc = $more])*
        pub const fn wait(mut self, wait: ::std::time::Duration) -> Self {
            self.settings.wait = wait;
            self
        }
    };
    (@one create [$($more:literal)*]) => {
        /// Sets whether opening the store creates what is missing. Default: yes.
        ///
        $(#[doc = $more])*
        pub const fn create(mut self, create: bool) -> Self {
            self.create = create;
            self
        }
    };
    (@one pool [$($more:literal)*]) => {
        /// Sets the maximum number of connections, 1 to 1000.
        ///
        $(#[doc = $more])*
        pub const fn pool(mut self, pool: usize) -> Self {
            self.pool = pool;
            self
        }
    };
}
