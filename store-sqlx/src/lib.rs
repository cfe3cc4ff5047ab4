#![doc = include_str!("../README.md")]

mod failure;
mod links;
pub mod rows;
mod server;
mod sql;
mod store;
mod url;

pub use failure::Failure;
pub use links::{Link, Links, SetUp, Source};
pub use server::{Answered, Connection, Dialect};
/// Calls of a store, and their outcomes from the records found.
pub use session_store_kit::operations;
pub use sql::Sql;
pub use store::{Bounds, MAX_DATA_LEN, SqlStore};
pub use url::{Told, UrlForm};
