//! One value of a session, encoded.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

#[cfg(feature = "messagepack")]
use super::messagepack;
use super::{Limits, json};
use crate::{Error, ErrorKind, Result};

/// The deepest nesting of arrays and maps that is ever read: what `serde_json` reads too.
///
/// Deeper ones would take the stack of whoever decodes them.
pub(super) const MAX_DEPTH: usize = 127;

/// How a manager writes what its sessions hold; see [`ManagerBuilder::codec`](crate::ManagerBuilder::codec).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// JSON, which people and every other program can read. Bytes become arrays of numbers.
    #[default]
    Json,
    /// MessagePack, where bytes are bytes, keys of maps need not be strings, and most values are smaller. By the feature `messagepack`.
    ///
    /// A `Vec<u8>` is an array to serde, of one or two bytes for each of its own; what says that it is bytes
    /// (`serde_bytes`, `bytes::Bytes`) is stored as they are. Structs keep their fields' names, so that fields may come and go.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// use session_core::{Codec, Manager, NullStore};
    ///
    /// let manager = Manager::builder(NullStore).codec(Codec::MessagePack).build()?;
    /// let session = manager.open(None).await?;
    /// session.insert("thumbnail", serde_bytes::Bytes::new(&[0xff; 2_000]))?; // 2,003 bytes; as JSON it would be 8,001
    /// assert_eq!(session.get::<serde_bytes::ByteBuf>("thumbnail")?.unwrap().len(), 2_000);
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    #[cfg(feature = "messagepack")]
    MessagePack,
}

/// An encoded value. It stays in the codec that it was written in until another value takes its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Value {
    pub(super) codec: Codec,
    pub(super) raw: Bytes,
}

impl Value {
    pub(super) const fn json(raw: Bytes) -> Self {
        Self { codec: Codec::Json, raw }
    }

    pub(crate) const fn codec(&self) -> Codec {
        self.codec
    }

    fn encode<T: Serialize + ?Sized>(value: &T, codec: Codec) -> Result<Self> {
        let raw = match codec {
            Codec::Json => json::encode_value(value)?,
            #[cfg(feature = "messagepack")]
            Codec::MessagePack => messagepack::encode_value(value)?,
        };
        Ok(Self { codec, raw })
    }

    /// The value as a `T`. The parser's own words may quote it, so they are not kept.
    pub(crate) fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        let of_another_type = match self.codec {
            Codec::Json => match serde_json::from_slice(&self.raw) {
                Ok(value) => return Ok(value),
                Err(error) => error.is_data(),
            },
            #[cfg(feature = "messagepack")]
            Codec::MessagePack => match messagepack::decode_value(&self.raw) {
                Ok(value) => return Ok(value),
                Err(error) => error.is_data(),
            },
        };
        let what = if of_another_type { "a value is not a" } else { "a value does not decode as a" };
        Err(Error::new(ErrorKind::Corrupt, format!("{what} {}", std::any::type_name::<T>())))
    }

    /// Whether the two are one value, in whichever codec each of them is.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self.codec, other.codec) {
            #[cfg(feature = "messagepack")]
            (Codec::Json, Codec::MessagePack) => messagepack::is_same(&self.raw, &other.raw),
            #[cfg(feature = "messagepack")]
            (Codec::MessagePack, Codec::Json) => messagepack::is_same(&other.raw, &self.raw),
            _ => self == other,
        }
    }

    /// How deeply it nests, and that it is one whole value.
    fn depth(&self) -> Result<usize> {
        match self.codec {
            Codec::Json => Ok(json::depth(&self.raw)),
            #[cfg(feature = "messagepack")]
            Codec::MessagePack => messagepack::depth(&self.raw),
        }
    }
}

/// What a manager asks of the values it writes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) limits: Limits,
    pub(crate) codec: Codec,
}

impl Rules {
    /// Encodes one value and checks what can be said of it alone.
    pub(crate) fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Value> {
        let encoded = Value::encode(value, self.codec)?;
        if encoded.raw.len() > self.limits.max_data_len {
            return Err(Error::fixed(ErrorKind::TooLarge, "a value alone exceeds the session's size"));
        }
        if encoded.depth()? > self.limits.max_depth.min(MAX_DEPTH) {
            return Err(Error::fixed(ErrorKind::TooLarge, "a value is nested too deeply"));
        }
        Ok(encoded)
    }

    /// The same, to be put over `there`: if that is this value in another codec, it stays as it is.
    ///
    /// So a request that writes what is there already changes nothing for others who have read it. Types that look
    /// otherwise to people than to programs (an address, a UUID) show only here that they are the same.
    pub(crate) fn encode_over<T: Serialize + ?Sized>(&self, value: &T, there: Option<&Value>) -> Result<Value> {
        let encoded = self.encode(value)?;
        match there {
            Some(there) if there.codec != self.codec => match Value::encode(value, there.codec) {
                Ok(same) if same == *there => Ok(same),
                _ => Ok(encoded),
            },
            _ => Ok(encoded),
        }
    }
}
