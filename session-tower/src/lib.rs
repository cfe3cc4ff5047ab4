#![doc = include_str!("../README.md")]

mod error;
mod extract;
mod headers;
mod layer;
mod nested;
mod service;
pub mod testing;

pub use error::{Error, Result};
pub use extract::{Session, Sessions};
pub use headers::OwnCaching;
pub use layer::{SessionLayer, SessionLayerBuilder};
pub use service::{ResponseFuture, SessionService};

/// Types that applications need from the underlying crates, re-exported so that their versions match.
pub use session_core::{
    Codec, ErrorKind, Handle, Manager, ManagerBuilder, Opened, Principal, SessionInfo, Timestamp, days, hours, minutes,
    seconds,
};
pub use session_crypto::KeyRing;
pub use session_http::{CommitError, CookieOptions, CookieStore, SameSite};

/// User documentation, compiled and run as tests.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../README.md")]
    struct Readme;
    #[doc = include_str!("../../docs/deploying.md")]
    struct Deploying;
    #[doc = include_str!("../../docs/coming-from-go.md")]
    struct ComingFromGo;
}
