#![doc = include_str!("../README.md")]

pub mod calls;
mod failure;
mod links;
pub mod rows;
mod server;
mod sql;
mod store;

pub use failure::{Failure, TIMED_OUT};
pub use links::{Link, Links, SetUp, Source};
pub use server::{Answered, Connection, Dialect};
pub use sql::Sql;
pub use store::{Bounds, MAX_DATA_LEN, SqlStore};
