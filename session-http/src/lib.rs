#![doc = include_str!("../README.md")]

mod committed;
mod cookie_store;
mod exchange;
mod jar;
mod layout;
mod line;
mod named;
mod options;
mod parse;
mod set;
mod value;

pub use committed::{Caching, CommitError, Committed, status};
pub use cookie_store::CookieStore;
pub use exchange::Exchange;
pub use line::SetCookie;
pub use options::{CookieOptions, SameSite};
pub use set::{SessionSet, SessionSetBuilder};
