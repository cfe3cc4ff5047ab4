//! Random concurrent histories, and whether some order of the operations explains what was seen.
//!
//! Tasks work in rounds on few keys. Each operation is recorded with the order of its call and of its answer.
//! Between rounds nothing is in flight, so each round of a key is a short window for [the checker](Windows).
//! An operation whose outcome is unknown may take effect at any later time of its key, or never.

mod model;
mod play;
mod search;

pub use model::{Action, Answer, Event, State};
pub use play::{Plan, run};
pub use search::{Anomaly, Windows};
