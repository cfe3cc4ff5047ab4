//! The MessagePack envelope: a map of the fields that the [JSON envelope](super::json) has, each only when needed.
//!
//! Its length is always written in 16 bits, so that its first byte names the format.
//!
//! Values keep the codec that they were written in, for nobody but the application knows what a value means, and a type may look
//! otherwise in the other codec. Those in JSON stand here as text: values in the map `w` beside `v`, a flash as `[id, text, true]`
//! instead of `[id, value]`, fields that this release does not know in the map `u`. A release that knows them must look there too.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use rmp::encode::{write_array_len, write_bool, write_map_len, write_str, write_uint};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::value::{Codec, MAX_DEPTH, Value};
use super::{Content, Flash, OwnPolicy, WirePolicy};
use crate::{Error, ErrorKind, Record, Result, Timestamp};

mod reader;
mod same;

pub(super) use same::is_same;

use reader::{Bad, Reader};

const CORRUPT: Error = Error::fixed(ErrorKind::Corrupt, "a stored session's envelope does not decode");
const UNWRITTEN: Error = Error::fixed(ErrorKind::Other, "the envelope could not be encoded");

// ---- values ----

pub(super) fn encode_value<T: Serialize + ?Sized>(value: &T) -> Result<Bytes> {
    // The serializer's own words may quote the value, so they are not kept.
    encode_small(value).map(Bytes::from).map_err(|_| UNENCODED)
}

const UNENCODED: Error = Error::fixed(ErrorKind::Other, "a value could not be encoded as MessagePack");

/// Structs as maps: positions alone would make a different value of one whose fields have changed places.
fn encode_small<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    let mut raw = Vec::with_capacity(64);
    value.serialize(&mut rmp_serde::Serializer::new(&mut raw).with_struct_map())?;
    Ok(raw)
}

/// Why a value did not decode.
pub(super) struct Undecoded(rmp_serde::decode::Error);

impl Undecoded {
    /// Whether the bytes are in order, and only of another type.
    pub(super) const fn is_data(&self) -> bool {
        use rmp_serde::decode::Error as E;
        matches!(self.0, E::TypeMismatch(_) | E::OutOfRange | E::LengthMismatch(_) | E::Syntax(_))
    }
}

/// Decodes what [`Reader::skip`] has passed: the parser does not count the levels of enums, and believes lengths.
pub(super) fn decode_value<T: DeserializeOwned>(raw: &[u8]) -> Result<T, Undecoded> {
    let mut parser = rmp_serde::Deserializer::from_read_ref(raw);
    parser.set_max_depth(MAX_DEPTH + 1);
    T::deserialize(&mut parser).map_err(Undecoded)
}

/// How deeply `raw` nests; an error if it is not one whole value, which a `Serialize` that lies about lengths can make.
pub(super) fn depth(raw: &[u8]) -> Result<usize> {
    let mut reader = Reader(raw);
    match reader.skip() {
        Ok(depth) if reader.0.is_empty() => Ok(depth),
        Ok(_) | Err(Bad::Form) => Err(UNENCODED),
        Err(Bad::Depth) => Ok(usize::MAX),
    }
}

// ---- writing ----

pub(super) fn encode(content: &Content) -> Result<Bytes> {
    let values: usize = content.values.iter().map(|(key, value)| key.len() + value.raw.len() + 8).sum();
    let mut out = Writer(Vec::with_capacity(values + 64));
    out.envelope(content).ok_or(UNWRITTEN)?;
    Ok(out.0.into())
}

/// A part of a map with values that are all of one codec.
type Part<'c> = Vec<(&'c Arc<str>, &'c Value)>;

fn split(values: &BTreeMap<Arc<str>, Value>) -> (Part<'_>, Part<'_>) {
    values.iter().partition(|(_, value)| value.codec == Codec::MessagePack)
}

/// Everything it writes goes into memory and cannot fail; a length over 32 bits is `None`.
struct Writer(Vec<u8>);

impl Writer {
    fn envelope(&mut self, content: &Content) -> Option<()> {
        let (native, texts) = split(&content.values);
        let (unknown, unknown_texts) = split(&content.unknown);
        let own = content.own != OwnPolicy::default();
        let optional = [
            !native.is_empty(),
            !texts.is_empty(),
            !content.flashes.is_empty(),
            own,
            content.auth_time.is_some(),
            content.label.is_some(),
            !unknown_texts.is_empty(),
        ];
        let fields = optional.iter().filter(|there| **there).count() + unknown.len();
        self.0.push(super::MESSAGEPACK);
        self.0.extend_from_slice(&u16::try_from(fields).ok()?.to_be_bytes());
        self.part("v", &native)?;
        self.part("w", &texts)?;
        if !content.flashes.is_empty() {
            self.str("f")?;
            self.flashes(&content.flashes)?;
        }
        if own {
            self.str("p")?;
            self.0.extend(encode_small(&WirePolicy::from(content.own)).ok()?);
        }
        if let Some(at) = content.auth_time {
            self.str("a")?;
            self.0.extend(encode_small(&at.as_millis()).ok()?);
        }
        if let Some(label) = &content.label {
            self.str("l")?;
            self.str(label)?;
        }
        self.part("u", &unknown_texts)?;
        unknown.into_iter().try_for_each(|(key, value)| {
            self.str(key)?;
            self.value(value)
        })
    }

    fn str(&mut self, text: &str) -> Option<()> {
        u32::try_from(text.len()).ok()?;
        write_str(&mut self.0, text).ok()
    }

    /// In its own codec; JSON as text.
    fn value(&mut self, value: &Value) -> Option<()> {
        match value.codec {
            Codec::MessagePack => {
                self.0.extend_from_slice(&value.raw);
                Some(())
            }
            Codec::Json => self.str(std::str::from_utf8(&value.raw).ok()?),
        }
    }

    fn part(&mut self, field: &str, part: &Part<'_>) -> Option<()> {
        if part.is_empty() {
            return Some(());
        }
        self.str(field)?;
        write_map_len(&mut self.0, u32::try_from(part.len()).ok()?).ok()?;
        part.iter().try_for_each(|(key, value)| {
            self.str(key)?;
            self.value(value)
        })
    }

    fn flashes(&mut self, flashes: &BTreeMap<Arc<str>, Vec<Flash>>) -> Option<()> {
        write_map_len(&mut self.0, u32::try_from(flashes.len()).ok()?).ok()?;
        flashes.iter().try_for_each(|(key, messages)| {
            self.str(key)?;
            write_array_len(&mut self.0, u32::try_from(messages.len()).ok()?).ok()?;
            messages.iter().try_for_each(|Flash { id, value }| {
                let text = value.codec == Codec::Json;
                write_array_len(&mut self.0, if text { 3 } else { 2 }).ok()?;
                write_uint(&mut self.0, *id).ok()?;
                self.value(value)?;
                if text { write_bool(&mut self.0, true).ok() } else { Some(()) }
            })
        })
    }
}

// ---- reading ----

pub(super) fn decode(record: &Record) -> Result<Content> {
    let mut content = Content { principal: record.principal.clone(), ..Content::empty(record.created_at) };
    let mut reader = Reader(&record.data);
    let read = Envelope { data: &record.data, content: &mut content }.read(&mut reader);
    match read {
        Ok(()) if reader.0.is_empty() => Ok(content),
        _ => Err(CORRUPT),
    }
}

/// Reads the envelope into `content` as it goes along: this is done for every request, so it makes nothing in between.
struct Envelope<'d> {
    data: &'d Bytes,
    content: &'d mut Content,
}

impl<'d> Envelope<'d> {
    fn read(&mut self, reader: &mut Reader<'d>) -> Result<(), Bad> {
        reader.map(|reader, field| {
            match field {
                "v" => reader.map(|reader, key| {
                    let value = self.native(reader)?;
                    self.content.values.insert(key.into(), value);
                    Ok(())
                })?,
                "w" => reader.map(|reader, key| {
                    let value = self.text(reader)?;
                    self.content.values.insert(key.into(), value);
                    Ok(())
                })?,
                "f" => reader.map(|reader, key| {
                    let messages = self.flashes(reader)?;
                    self.content.flashes.insert(key.into(), messages);
                    Ok(())
                })?,
                "p" => self.content.own = small::<WirePolicy>(reader)?.into(),
                "a" => {
                    let at = Timestamp::from_millis(small(reader)?).map_err(|_| Bad::Form)?;
                    self.content.auth_time = Some(at);
                }
                "l" => self.content.label = Some(reader.str()?.into()),
                "u" => reader.map(|reader, key| {
                    let value = self.text(reader)?;
                    self.content.unknown.insert(key.into(), value);
                    Ok(())
                })?,
                _ => {
                    let value = self.native(reader)?;
                    self.content.unknown.insert(field.into(), value);
                }
            }
            Ok(())
        })
    }

    fn native(&self, reader: &mut Reader<'d>) -> Result<Value, Bad> {
        Ok(Value { codec: Codec::MessagePack, raw: self.data.slice_ref(reader.value()?) })
    }

    /// A value in JSON. It may go into a JSON envelope next, and what is not JSON would spoil that.
    fn text(&self, reader: &mut Reader<'d>) -> Result<Value, Bad> {
        let json: &RawValue = serde_json::from_str(reader.str()?).map_err(|_| Bad::Form)?;
        Ok(Value::json(self.data.slice_ref(json.get().as_bytes())))
    }

    fn flashes(&self, reader: &mut Reader<'d>) -> Result<Vec<Flash>, Bad> {
        (0..reader.array()?)
            .map(|_| {
                let parts = reader.array()?;
                let id = small(reader)?;
                let value = match parts {
                    2 => self.native(reader)?,
                    3 => {
                        let value = self.text(reader)?;
                        reader.skip()?;
                        value
                    }
                    _ => return Err(Bad::Form),
                };
                Ok(Flash { id, value })
            })
            .collect()
    }
}

/// A part of the envelope that is the crate's own.
fn small<'d, T: Deserialize<'d>>(reader: &mut Reader<'d>) -> Result<T, Bad> {
    rmp_serde::from_slice(reader.value()?).map_err(|_| Bad::Form)
}

#[cfg(test)]
mod tests;
