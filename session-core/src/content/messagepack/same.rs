//! Whether a value in JSON and one in MessagePack are the same.
//!
//! Two requests of managers with different codecs may write one value at once, and the same value is no conflict.
//! Where it cannot be told, they count as different: a conflict too many is tried again, one too few loses a write.

use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::reader::{Head, Reader};

/// Whether `json` says what `packed` says.
pub(in super::super) fn is_same(json: &[u8], packed: &[u8]) -> bool {
    let mut reader = Reader(packed);
    let mut json = serde_json::Deserializer::from_slice(json);
    Beside(&mut reader).deserialize(&mut json).is_ok() && json.end().is_ok() && reader.0.is_empty()
}

/// Reads JSON with MessagePack beside it; an error where they differ.
struct Beside<'r, 'p>(&'r mut Reader<'p>);

impl<'p> Beside<'_, 'p> {
    fn head<E: serde::de::Error>(&mut self) -> Result<Head<'p>, E> {
        self.0.head().map_err(|_| differ())
    }

    fn is<E: serde::de::Error>(mut self, wanted: Head<'_>) -> Result<(), E> {
        if self.head::<E>()? == wanted { Ok(()) } else { Err(differ()) }
    }
}

fn differ<E: serde::de::Error>() -> E {
    E::custom("the values differ")
}

impl<'de> DeserializeSeed<'de> for Beside<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Beside<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the same value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.is(Head::Nil)
    }

    fn visit_bool<E: serde::de::Error>(self, there: bool) -> Result<(), E> {
        self.is(Head::Bool(there))
    }

    fn visit_i64<E: serde::de::Error>(self, there: i64) -> Result<(), E> {
        self.is(Head::Int(there.into()))
    }

    fn visit_u64<E: serde::de::Error>(self, there: u64) -> Result<(), E> {
        self.is(Head::Int(there.into()))
    }

    fn visit_f64<E: serde::de::Error>(mut self, there: f64) -> Result<(), E> {
        let same = match self.head()? {
            Head::F64(here) => here.to_bits() == there.to_bits(),
            // JSON has the shortest text that only this `f32` has.
            #[expect(clippy::cast_possible_truncation, reason = "a float that came from an `f32`")]
            Head::F32(here) => here.to_bits() == (there as f32).to_bits(),
            _ => false,
        };
        if same { Ok(()) } else { Err(differ()) }
    }

    fn visit_str<E: serde::de::Error>(self, there: &str) -> Result<(), E> {
        self.is(Head::Str(there.as_bytes()))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        match self.head()? {
            Head::Array(len) => {
                for _ in 0..len {
                    seq.next_element_seed(Beside(self.0))?.ok_or_else(differ)?;
                }
            }
            // JSON has no other form for bytes.
            Head::Bin(bytes) => {
                for byte in bytes {
                    if seq.next_element::<u8>()? != Some(*byte) {
                        return Err(differ());
                    }
                }
            }
            _ => return Err(differ()),
        }
        match seq.next_element::<serde::de::IgnoredAny>()? {
            None => Ok(()),
            Some(_) => Err(differ()),
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let Head::Map(len) = self.head()? else { return Err(differ()) };
        for _ in 0..len {
            map.next_key_seed(KeyBeside(self.0))?.ok_or_else(differ)?;
            map.next_value_seed(Beside(self.0))?;
        }
        match map.next_key::<serde::de::IgnoredAny>()? {
            None => Ok(()),
            Some(_) => Err(differ()),
        }
    }
}

/// A map's key, which JSON has as text whatever it was.
struct KeyBeside<'r, 'p>(&'r mut Reader<'p>);

impl<'de> DeserializeSeed<'de> for KeyBeside<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let there = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let same = match self.0.head().map_err(|_| D::Error::custom("the values differ"))? {
            Head::Str(text) => text == there.as_bytes(),
            Head::Int(n) => n.to_string() == there,
            Head::Bool(b) => b.to_string() == there,
            _ => false,
        };
        if same { Ok(()) } else { Err(differ()) }
    }
}
