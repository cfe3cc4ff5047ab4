//! Keys of values. `printed` uses `typed`.

mod printed;
mod typed;

pub(crate) use printed::PrintedKey;
pub use typed::{AnyKey, IntoKey, Key};
