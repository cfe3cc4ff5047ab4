#![doc = include_str!("../README.md")]

mod committed;
mod exchange;
mod line;
mod options;
mod parse;
mod set;

pub use committed::{Caching, CommitError, Committed, status};
pub use exchange::Exchange;
pub use line::SetCookie;
pub use options::{CookieOptions, SameSite};
pub use set::{SessionSet, SessionSetBuilder};
