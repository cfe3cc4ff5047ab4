//! Content of records: values, codecs, limits, envelopes and tombstones.
//!
//! Each file uses only files that come later in this order: `envelope`, then `json` and `messagepack`, `content`, `id_age`, `value`, `finite`, `limits`.

mod content;
mod envelope;
mod finite;
mod id_age;
mod json;
mod limits;
#[cfg(feature = "messagepack")]
mod messagepack;
mod value;

pub(crate) use content::{Content, Flash, OwnPolicy};
pub(crate) use envelope::{Decoded, Stored, tombstone};
pub(crate) use id_age::{IdAge, OldId};
pub use limits::{Codec, Limits};
pub(crate) use value::{Rules, Value};

#[cfg(test)]
mod decoding_tests;
#[cfg(test)]
mod tests;
