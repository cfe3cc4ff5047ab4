//! A checker for random concurrent histories: it searches an order of the operations that explains all answers.
//!
//! Tasks work in rounds on a few keys. Each operation is recorded with the places of its call and its answer.
//! Nothing is in flight between two rounds, so each round of a key is a short window for [the checker](Checker).
//! An operation of unknown outcome may take effect at any later time, or never.

mod checker;
mod contract;
mod workload;

pub use checker::{Anomaly, Checker};
pub use contract::{Event, KeyOperation, KeyState, Response};
pub use workload::{Plan, run};
