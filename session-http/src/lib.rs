#![doc = include_str!("../README.md")]

mod line;
mod options;
mod parse;

pub use line::SetCookie;
pub use options::{CookieOptions, SameSite};
