//! Setters that all builders share.

/// Makes the setters that the builders of all stores share. Call it within the builder's `impl`.
///
/// Each line makes one setter. Its text completes the documentation, and doc comments above the line add further paragraphs.
/// `namespace`, `timeout` and `queue` set fields of the builder's field `settings`, which is a [`Settings`](crate::Settings);
/// `create`, a `bool`, and `pool`, a `usize`, are fields of the builder. Ranges are checked at the end, by
/// [`Settings::check`](crate::Settings::check) and [`within`](crate::within).
///
/// | line | documentation |
/// |---|---|
/// | `namespace: "The table's name";` | *The table's name*, of the form that `Namespace` allows. Default: `sessions`. |
/// | `timeout: "how long opening may";` | Sets how long calls may take, waiting included, and *how long opening may*. 1 ms to 1 hour. Default: 5 s. |
/// | `queue: "calls may wait";` | Sets how many *calls may wait* before others wait for room within their time-out. At least 1. Default: 16,384. |
/// | `create: "tables are made where there are none";` | Sets whether *tables are made where there are none*. Default: yes. |
/// | `pool: "connections there are at most", "8";` | Sets how many *connections there are at most*, 1 to 1000. Default: *8*. |
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
///         namespace: "The folder's name";
///         /// Connecting is part of it.
///         timeout: "how long opening may";
///         queue: "calls may wait";
///         pool: "connections there are at most", "4";
///     }
/// }
///
/// let builder = Builder { settings: Settings::new(), pool: 4 }.namespace("web_sessions").timeout(seconds(2)).pool(1);
/// assert_eq!(builder.settings.check()?.as_str(), "web_sessions");
/// # Ok::<(), session_core::Error>(())
/// ```
#[macro_export]
macro_rules! setters {
    ($($(#[doc = $more:literal])* $setter:ident: $($about:literal),+;)+) => {
        $($crate::setters! { @one $setter [$($about),+] [$($more)*] })+
    };
    (@one namespace [$what:literal] [$($more:literal)*]) => {
        #[doc = concat!($what, ", of the form that [`Namespace`](session_core::Namespace) allows. Default: `sessions`.")]
        ///
        $(#[doc = $more])*
        pub fn namespace(mut self, namespace: &str) -> Self {
            namespace.clone_into(&mut self.settings.namespace);
            self
        }
    };
    (@one timeout [$opening:literal] [$($more:literal)*]) => {
        #[doc = concat!("Sets how long calls may take, waiting included, and ", $opening, ". 1 ms to 1 hour. Default: 5 s.")]
        ///
        $(#[doc = $more])*
        pub const fn timeout(mut self, timeout: ::std::time::Duration) -> Self {
            self.settings.timeout = timeout;
            self
        }
    };
    (@one queue [$calls:literal] [$($more:literal)*]) => {
        #[doc = concat!(
            "Sets how many ", $calls, " before others wait for room within their time-out. At least 1. Default: 16,384."
        )]
        ///
        $(#[doc = $more])*
        pub const fn queue(mut self, calls: usize) -> Self {
            self.settings.queue = calls;
            self
        }
    };
    (@one create [$made:literal] [$($more:literal)*]) => {
        #[doc = concat!("Sets whether ", $made, ". Default: yes.")]
        ///
        $(#[doc = $more])*
        pub const fn create(mut self, create: bool) -> Self {
            self.create = create;
            self
        }
    };
    (@one pool [$most:literal, $default:literal] [$($more:literal)*]) => {
        #[doc = concat!("Sets how many ", $most, ", 1 to 1000. Default: ", $default, ".")]
        ///
        $(#[doc = $more])*
        pub const fn pool(mut self, pool: usize) -> Self {
            self.pool = pool;
            self
        }
    };
}
