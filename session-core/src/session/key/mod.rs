//! Keys of values. `printed` uses `typed`.

mod printed;
mod typed;

pub(super) use printed::PrintedKey;
pub use typed::{AnyKey, IntoKey, Key};
