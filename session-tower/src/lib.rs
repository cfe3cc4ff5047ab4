#![doc = include_str!("../README.md")]

mod caching;
mod config;
mod context;
mod detached;
mod drain;
mod error;
mod extract;
mod finish;
mod head;
mod keep_expiry;
mod layer;
mod require;
mod service;
mod signed_in;
pub mod testing;
mod way_back;

pub use caching::OwnCaching;
pub use error::{ErrorResponse, Result};
pub use extract::{Session, Sessions};
pub use keep_expiry::{KeepExpiry, KeepExpiryService, keep_expiry};
pub use layer::{SessionLayer, SessionLayerBuilder};
pub use require::{Require, RequireService, require};
pub use service::{ResponseFuture, SessionService};
pub use signed_in::SignedIn;
pub use way_back::Next;

/// Types that applications need from the underlying crates, re-exported so that their versions match.
pub use session_core::{
    AnyKey, Clock, Codec, Commit, ConflictPolicy, Error, ErrorKind, Event, EventKind, Excess, Filter, Handle, IntoKey,
    Key, Limits, Manager, ManagerBuilder, ManualClock, NullStore, Opened, Principal, SessionInfo, Store, SystemClock,
    Timestamp, days, hours, minutes, seconds,
};
pub use session_crypto::KeyRing;
pub use session_http::{
    CommitError, CookieOptions, CookieStore, RequestHead, SameSite, Scheme, Token, Transport, forwarded,
};

/// Stores by their URLs. Each kind of store is a feature of this crate: `sqlite`, `postgres`, `redis` and so on.
///
/// ```no_run
/// # async fn open() -> Result<(), session_tower::Error> {
/// use session_tower::{Manager, SessionLayer, store};
///
/// let sessions = SessionLayer::new(Manager::new(store::connect("sqlite://sessions.db").await?));
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "store")]
pub use session_store_any as store;

/// User documentation, compiled and run as tests.
#[cfg(doctest)]
mod pages {
    #[cfg(feature = "sqlite")]
    #[doc = include_str!("../../README.md")]
    struct Readme;
    #[cfg(all(feature = "sqlite", unix))]
    #[doc = include_str!("../../docs/first-hour.md")]
    struct FirstHour;
    #[doc = include_str!("../../docs/deploying.md")]
    struct Deploying;
    #[doc = include_str!("../../docs/questions.md")]
    struct Questions;
    #[cfg(feature = "store")]
    #[doc = include_str!("../../docs/coming-from-go.md")]
    struct ComingFromGo;
}
