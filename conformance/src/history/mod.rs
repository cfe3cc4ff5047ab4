//! A checker for random concurrent histories: it searches an order of the operations that explains all answers.
//!
//! Tasks work in rounds on a few keys. Each operation is recorded with the places of its call and its answer.
//! Nothing is in flight between two rounds, so each round of a key is a short window for [the checker](Windows).
//! An operation of unknown outcome may take effect at any later time, or never.

mod model;
mod play;
mod search;

pub use model::{Action, Answer, Event, State};
pub use play::{Plan, run};
pub use search::{Anomaly, Windows};
