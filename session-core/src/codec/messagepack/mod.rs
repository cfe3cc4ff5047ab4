//! MessagePack envelope: a map with the fields of the [JSON envelope](super::json). A field is left out if it is empty.
//!
//! The length of the map always takes 16 bits, so that the first byte names the format.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use rmp::encode::{write_array_len, write_map_len, write_str, write_uint};
use serde::Deserialize;

use super::content::{Content, Flash, OwnPolicy, WirePolicy};
use super::id_age::WireIdAge;
use super::limits::{Codec, MESSAGEPACK};
use super::value::Value;
use crate::{Error, ErrorKind, Record, Result, Timestamp};

mod reader;
pub(super) mod value;

use reader::{Bad, Reader};

// ---- writing ----

pub(super) fn encode(content: &Content, out: &mut Vec<u8>) -> Result<()> {
    Writer(out).envelope(content).ok_or(Error::fixed(ErrorKind::Other, "the session's envelope could not be encoded"))
}

/// Writer into memory, which cannot fail. `None` means that a length exceeds 32 bits.
struct Writer<'o>(&'o mut Vec<u8>);

impl Writer<'_> {
    fn envelope(&mut self, content: &Content) -> Option<()> {
        let own = content.own != OwnPolicy::default();
        let deadlines = content.deadlines();
        let optional = [
            !content.values.is_empty(),
            !content.flashes.is_empty(),
            own,
            content.auth_time.is_some(),
            content.label.is_some(),
            content.name.is_some(),
            content.id_age.is_some(),
            !deadlines.is_empty(),
        ];
        let fields = optional.iter().filter(|there| **there).count() + content.unknown.len();
        self.0.push(MESSAGEPACK);
        self.0.extend_from_slice(&u16::try_from(fields).ok()?.to_be_bytes());
        if !content.values.is_empty() {
            self.str("v")?;
            self.map(&content.values, |out, value| out.raw(value))?;
        }
        if !content.flashes.is_empty() {
            self.str("f")?;
            self.map(&content.flashes, |out, messages| out.flashes(messages))?;
        }
        if own {
            self.str("p")?;
            self.0.extend(value::encode(&WirePolicy::from(content.own)).ok()?);
        }
        if let Some(at) = content.auth_time {
            self.str("a")?;
            self.0.extend(value::encode(&at.as_millis()).ok()?);
        }
        if let Some(label) = &content.label {
            self.str("l")?;
            self.str(label)?;
        }
        if let Some(name) = &content.name {
            self.str("n")?;
            self.str(name)?;
        }
        if let Some(age) = &content.id_age {
            self.str("i")?;
            self.0.extend(value::encode(&WireIdAge::from(&**age)).ok()?);
        }
        if !deadlines.is_empty() {
            self.str("x")?;
            self.map(&deadlines, |out, until| {
                out.0.extend(value::encode(&until.as_millis()).ok()?);
                Some(())
            })?;
        }
        for (name, value) in &content.unknown {
            self.str(name)?;
            self.raw(value)?;
        }
        Some(())
    }

    fn str(&mut self, text: &str) -> Option<()> {
        u32::try_from(text.len()).ok()?;
        write_str(self.0, text).ok()
    }

    fn raw(&mut self, value: &Value) -> Option<()> {
        self.0.extend_from_slice(&value.raw);
        Some(())
    }

    fn map<T>(&mut self, fields: &BTreeMap<Arc<str>, T>, write: impl Fn(&mut Self, &T) -> Option<()>) -> Option<()> {
        write_map_len(self.0, u32::try_from(fields.len()).ok()?).ok()?;
        fields.iter().try_for_each(|(key, value)| {
            self.str(key)?;
            write(self, value)
        })
    }

    fn flashes(&mut self, messages: &[Flash]) -> Option<()> {
        write_array_len(self.0, u32::try_from(messages.len()).ok()?).ok()?;
        messages.iter().try_for_each(|Flash { id, value }| {
            write_array_len(self.0, 2).ok()?;
            write_uint(self.0, *id).ok()?;
            self.raw(value)
        })
    }
}

// ---- reading ----

/// Decodes `envelope`, which is a part of the record's data.
pub(super) fn decode(record: &Record, envelope: &[u8]) -> Result<Content> {
    let blank = Content::empty(record.created_at, Codec::MessagePack);
    let mut content = Content { principal: record.principal.clone(), ..blank };
    let mut reader = Reader(envelope);
    match read(&mut reader, &record.data, &mut content) {
        Ok(()) if reader.0.is_empty() => Ok(content),
        _ => Err(Error::fixed(ErrorKind::Corrupt, "a stored session's envelope does not decode")),
    }
}

/// Reads the envelope directly into `content`. An intermediate form would slow down every request with a session.
fn read(reader: &mut Reader<'_>, data: &Bytes, content: &mut Content) -> Result<(), Bad> {
    // The bytes were read out of `data`, so they need no copy.
    let shared = |raw: &[u8]| Value::new(Codec::MessagePack, data.slice_ref(raw));
    let mut deadlines = BTreeMap::new();
    reader.map(|reader, field| {
        match field {
            "v" => reader.map(|reader, key| {
                content.values.insert(key.into(), shared(reader.value()?));
                Ok(())
            })?,
            "f" => reader.map(|reader, key| {
                let messages = (0..reader.array()?).map(|_| match reader.array()? {
                    2 => Ok(Flash { id: small(reader)?, value: shared(reader.value()?) }),
                    _ => Err(Bad::Form),
                });
                content.flashes.insert(key.into(), messages.collect::<Result<_, _>>()?);
                Ok(())
            })?,
            "p" => content.own = small::<WirePolicy>(reader)?.into(),
            "a" => content.auth_time = Some(instant(reader)?),
            "i" => content.id_age = Some(Arc::new(small::<WireIdAge>(reader)?.read().ok_or(Bad::Form)?)),
            "x" => reader.map(|reader, key| {
                deadlines.insert(key.into(), instant(reader)?);
                Ok(())
            })?,
            "l" => content.label = Some(reader.str()?.into()),
            "n" => content.name = Some(reader.str()?.into()),
            _ => {
                content.unknown.insert(field.into(), shared(reader.value()?));
            }
        }
        Ok(())
    })?;
    content.set_deadlines(deadlines);
    Ok(())
}

fn instant(reader: &mut Reader<'_>) -> Result<Timestamp, Bad> {
    Timestamp::from_millis(small(reader)?).map_err(|_| Bad::Form)
}

/// Reads a part of the envelope that is neither a value nor a text.
fn small<'d, T: Deserialize<'d>>(reader: &mut Reader<'d>) -> Result<T, Bad> {
    rmp_serde::from_slice(reader.value()?).map_err(|_| Bad::Form)
}

#[cfg(test)]
mod tests;
