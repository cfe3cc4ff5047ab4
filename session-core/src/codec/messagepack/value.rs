//! Values in MessagePack.

use rmp::Marker;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::limits::MAX_DEPTH;
use super::reader::{Bad, Reader};
use crate::{Error, ErrorKind, Result};

const UNENCODED: Error =
    Error::fixed(ErrorKind::Other, "a value could not be encoded as MessagePack; check its `Serialize`");

/// Encodes a value. Errors leave out the serializer's message, because it may quote the value.
pub(in super::super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    let mut raw = Vec::with_capacity(64);
    // Structs become maps. As arrays they would decode wrongly once the order of their fields changes. Types with two forms take the
    // readable one, because serde expects it when it decodes a part of an untagged, tagged or flattened value.
    let mut serializer = rmp_serde::Serializer::new(&mut raw).with_struct_map().with_human_readable();
    value.serialize(&mut serializer).map_err(|_| UNENCODED)?;
    Ok(raw)
}

/// Reason why a value did not decode.
pub(in super::super) struct Undecoded(pub(in super::super) rmp_serde::decode::Error);

impl Undecoded {
    /// Whether the bytes are intact and the value only has another type.
    pub(in super::super) const fn is_data(&self) -> bool {
        use rmp_serde::decode::Error as E;
        matches!(self.0, E::TypeMismatch(_) | E::OutOfRange | E::LengthMismatch(_) | E::Syntax(_))
    }
}

/// Decodes a value that [`Reader::skip`] has validated, because `rmp_serde` neither limits the nesting of enums nor checks lengths.
pub(in super::super) fn decode<T: DeserializeOwned>(raw: &[u8]) -> Result<T, Undecoded> {
    let mut parser = rmp_serde::Deserializer::from_read_ref(raw).with_human_readable();
    parser.set_max_depth(MAX_DEPTH + 1);
    T::deserialize(&mut parser).map_err(Undecoded)
}

/// Whether `raw` holds a byte that can begin a floating-point number.
pub(in super::super) fn may_hold_floats(raw: &[u8]) -> bool {
    raw.iter().any(|byte| matches!(Marker::from_u8(*byte), Marker::F32 | Marker::F64))
}

/// Returns the nesting of `raw`. It is an error if `raw` is not exactly one value, as a `Serialize` that announces a wrong length writes.
pub(in super::super) fn depth(raw: &[u8]) -> Result<usize> {
    let mut reader = Reader(raw);
    match reader.skip() {
        Ok(depth) if reader.0.is_empty() => Ok(depth),
        Ok(_) | Err(Bad::Form) => Err(UNENCODED),
        Err(Bad::Depth) => Ok(usize::MAX),
    }
}
