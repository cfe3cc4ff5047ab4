#![doc = include_str!("../README.md")]

mod caching;
mod commit_report;
mod configured;
mod cookie_header;
mod cookie_store;
mod cookie_value;
mod exchange;
mod options;
mod request_facts;
mod request_head;
mod scheme;
mod session_set;
mod set_cookie;
mod transport;

pub use caching::Caching;
pub use commit_report::{CommitError, CommitReport, status};
pub use cookie_store::CookieStore;
pub use exchange::Exchange;
pub use options::{CookieOptions, SameSite};
pub use request_head::RequestHead;
pub use scheme::{Scheme, forwarded};
pub use session_set::{SessionSet, SessionSetBuilder};
pub use set_cookie::SetCookie;
pub use transport::{Token, Transport};
