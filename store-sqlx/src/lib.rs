#![doc = include_str!("../README.md")]

mod address;
mod builder;
mod connecting;
mod dialect;
mod execute;
mod failure;
mod locks;
mod places;
mod pool;
mod pooler;
mod role;
pub mod rows;
mod statement;
mod steps;
mod store;
mod unconnected;
mod url;

pub use address::{bare_address, host_with_port};
pub use builder::{SqlBackend, SqlBehindPooler, SqlStoreBuilder};
pub use dialect::{Answered, Connection, Dialect, Written};
pub use failure::Failure;
pub use locks::{Locks, ServerLimits};
pub use places::Purpose;
pub use pool::{Options, Pool, Pooled, SetUp, Source};
pub use pooler::Pooler;
pub use role::TakesNoWrites;
/// Calls of a store, their outcomes from the records found, and the comparison of clocks.
pub use session_store_kit::{ClockCheck, operations, outcome};
pub use statement::Sql;
pub use steps::Steps;
pub use store::{Bounds, SqlStore};
pub use url::{ParsedUrl, UrlForm, UrlOption};
