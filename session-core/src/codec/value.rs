//! Encoded value of a session.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::finite;
use super::limits::{Codec, Limits, MAX_DEPTH};
#[cfg(feature = "messagepack")]
use super::messagepack::value as messagepack;
use crate::{Error, ErrorKind, Result, Timestamp};

/// Encoded value of a session, in the session's codec. Equal values have the same deadline.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Value {
    pub(super) codec: Codec,
    pub(super) raw: Bytes,
    /// Deadline from which on the value counts as absent. `None` if it has none.
    pub(crate) until: Option<Timestamp>,
}

impl Value {
    /// Creates a value that has no deadline.
    pub(super) const fn new(codec: Codec, raw: Bytes) -> Self {
        Self { codec, raw, until: None }
    }

    /// Returns the value with another deadline, or without one.
    pub(crate) fn with_deadline(self, until: Option<Timestamp>) -> Self {
        Self { until, ..self }
    }

    /// Whether the value's deadline, if it has one, is after `now`.
    pub(crate) fn is_live(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until > now)
    }

    /// Whether both have the same encoding in one codec, whatever their deadlines.
    pub(crate) fn has_bytes_of(&self, other: &Self) -> bool {
        self.codec == other.codec && self.raw == other.raw
    }

    /// Decodes the value, which is stored under `key`, as a `T`.
    pub(crate) fn decode<T: DeserializeOwned>(&self, key: &str) -> Result<T> {
        match self.codec {
            Codec::Json => serde_json::from_slice(&self.raw).map_err(|error| match error.is_data() {
                true => Error::wrong_type::<T>(key, &error),
                false => Error::corrupt_value(key),
            }),
            #[cfg(feature = "messagepack")]
            Codec::MessagePack => messagepack::decode(&self.raw).map_err(|error| match error.is_data() {
                true => Error::wrong_type::<T>(key, &error.0),
                false => Error::corrupt_value(key),
            }),
        }
    }
}

impl Codec {
    /// Codecs that this build supports.
    pub const ALL: &'static [Self] = &[
        Self::Json,
        #[cfg(feature = "messagepack")]
        Self::MessagePack,
    ];

    /// Encodes `value` as [`insert`](crate::Session::insert) does, and decodes it as [`get`](crate::Session::get) does.
    ///
    /// It is for an application's tests, which should check that the types it stores come back equal.
    /// Some types that serde supports do not, as [`insert`](crate::Session::insert) explains.
    ///
    /// ```
    /// use session_core::Codec;
    ///
    /// #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
    /// struct Cart {
    ///     items: Vec<u64>,
    ///     voucher: Option<String>,
    /// }
    ///
    /// let cart = Cart { items: vec![7], voucher: None };
    /// for codec in Codec::ALL {
    ///     assert_eq!(codec.round_trip(&cart)?, cart);
    /// }
    ///
    /// assert_eq!(Codec::Json.round_trip(&Some(None::<u8>))?, None); // `Some(None)` comes back as `None`
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Other`] if `value` cannot be encoded or holds a number that is not finite, [`ErrorKind::TooLarge`] if it is
    /// nested deeper than 127 levels, [`ErrorKind::WrongType`] or [`ErrorKind::Corrupt`] if the encoded value does not decode.
    pub fn round_trip<T: Serialize + DeserializeOwned>(self, value: &T) -> Result<T> {
        let limits = Limits::new().max_data_len(usize::MAX).max_depth(MAX_DEPTH);
        let rules = Rules { limits, codec: self, ..Rules::default() };
        rules.encode(self, "round trip", value)?.decode("round trip")
    }
}

/// Limits of a manager's sessions, and the codec of its new sessions.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) limits: Limits,
    /// Codec of new sessions. An existing session keeps its own, which its content names.
    pub(crate) codec: Codec,
    /// Set if the limit of the data's length is the store's.
    pub(crate) limited_by_store: bool,
}

impl Rules {
    /// Encodes a value for a session in `codec` and checks the limits of a single value. Errors name its `key`.
    pub(crate) fn encode<T: Serialize + ?Sized>(&self, codec: Codec, key: &str, value: &T) -> Result<Value> {
        self.encode_value(codec, value).map_err(|error| error.on_key(key))
    }

    fn encode_value<T: Serialize + ?Sized>(&self, codec: Codec, value: &T) -> Result<Value> {
        // Errors leave out the serializer's message, because it may quote the value.
        let raw = match codec {
            Codec::Json => serde_json::to_vec(value).map_err(|_| {
                Error::fixed(
                    ErrorKind::Other,
                    "a value could not be encoded as JSON; check its `Serialize`, and the keys of its maps",
                )
            })?,
            #[cfg(feature = "messagepack")]
            Codec::MessagePack => messagepack::encode(value)?,
        };
        if raw.len() > self.limits.max_data_len {
            return Err(self.too_long("a value", raw.len()));
        }
        let (depth, may_be_infinite) = match codec {
            // JSON stores `None` and a number that is not finite as `null`, so only the value itself tells which it is.
            Codec::Json => (json_depth(&raw), raw.windows(4).any(|bytes| bytes == b"null")),
            #[cfg(feature = "messagepack")]
            Codec::MessagePack => (messagepack::depth(&raw)?, messagepack::may_hold_floats(&raw)),
        };
        if may_be_infinite && finite::has_other_numbers(value) {
            return Err(Error::fixed(ErrorKind::Other, "a value holds a number that is not finite"));
        }
        if depth > self.limits.max_depth.min(MAX_DEPTH) {
            let (most, mend) = match self.limits.max_depth {
                most @ ..=MAX_DEPTH => (most, "flatten it, or raise `Limits::max_depth`"),
                _ => (MAX_DEPTH, "flatten it, because deeper values cannot be read"),
            };
            let message = format!("a value is nested deeper than {most} levels; {mend}");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        Ok(Value::new(codec, raw.into()))
    }
}

impl Rules {
    /// Creates the error for `what` with an encoded length of `len` bytes, which is over the limit.
    pub(super) fn too_long(&self, what: &str, len: usize) -> Error {
        let most = self.limits.max_data_len;
        let mend = match self.limited_by_store {
            true => "the store's limit for a session; store less, or use another store",
            false => "`Limits::max_data_len`; store less, or raise that limit",
        };
        Error::new(ErrorKind::TooLarge, format!("{what} has {len} bytes, which is over the {most} bytes of {mend}"))
    }

    /// Creates the error for more values than the limit.
    pub(super) fn too_many_keys(&self) -> Error {
        let most = self.limits.max_keys;
        let message = format!(
            "the session has more than {most} values, its `Limits::max_keys`; remove some, or raise that limit"
        );
        Error::new(ErrorKind::TooLarge, message)
    }
}

/// Nesting of arrays and objects in `raw`, which is valid JSON.
pub(super) fn json_depth(raw: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for &byte in raw {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
