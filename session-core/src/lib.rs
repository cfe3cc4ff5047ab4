#![doc = include_str!("../README.md")]

mod codec;
mod commit;
mod decoding;
mod error;
mod head;
mod id;
mod manager;
#[cfg(feature = "mutants")]
#[doc(hidden)]
pub mod mutant;
#[cfg(not(feature = "mutants"))]
mod mutant;
mod namespace;
mod random;
mod record;
mod sealed_id;
mod session;
mod store;
mod sync;
mod time;

pub use codec::{Codec, Limits};
pub use commit::{ClientValue, Commit, CookieUpdate};
pub use error::{Error, ErrorKind, Result};
pub use id::{Handle, SessionId, StoreKey};
pub use manager::{ConflictPolicy, Event, EventKind, Excess, Filter, Manager, ManagerBuilder, SessionInfo};
pub use namespace::Namespace;
pub use record::{Live, Principal, Record, Version};
pub use session::{AnyKey, IntoKey, Key, Opened, Session};
pub use store::{Call, Capabilities, Cursor, NullStore, Outcome, Page, Purged, Store};
#[cfg(all(feature = "observe", not(shuttle)))]
#[doc(hidden)]
pub use sync::observed as observe;
pub use time::{Clock, ManualClock, SystemClock, Timestamp, days, hours, minutes, seconds};

/// Items of other crates that every store needs, re-exported so that versions agree.
pub use {async_trait::async_trait, bytes::Bytes};
