//! The JSON envelope: `{"v":{values},"f":{flashes},"p":{own policy},"a":auth time,"l":label}`, each field only when needed.
//!
//! Values pass through as the bytes they came as, so no integer or float is rounded and nothing is parsed before it is asked for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::{DeserializeSeed, MapAccess, Visitor};
use serde::{Deserializer, Serialize};
use serde_json::value::RawValue;

use super::{Content, Flash, OwnPolicy, Value, WirePolicy};
use crate::{Error, ErrorKind, Record, Result, Timestamp};

const CORRUPT: Error = Error::fixed(ErrorKind::Corrupt, "a stored session's envelope does not decode");

pub(super) fn encode_value<T: Serialize + ?Sized>(value: &T) -> Result<Bytes> {
    // The serializer's own words may quote the value, so they are not kept.
    match serde_json::to_vec(value) {
        Ok(raw) => Ok(raw.into()),
        Err(_) => Err(Error::fixed(ErrorKind::Other, "a value could not be encoded as JSON")),
    }
}

/// How deeply arrays and objects nest in `raw`, which is valid JSON.
pub(super) fn depth(raw: &[u8]) -> usize {
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

pub(super) fn encode(content: &Content) -> Result<Bytes> {
    let values: usize = content.values.iter().map(|(key, value)| key.len() + value.raw.len() + 8).sum();
    let mut out = Writer(Vec::with_capacity(values + 64));
    out.object(|out| {
        if !content.values.is_empty() {
            out.key("v")?;
            out.raw_map(&content.values)?;
        }
        if !content.flashes.is_empty() {
            out.key("f")?;
            out.flashes(&content.flashes)?;
        }
        if content.own != OwnPolicy::default() {
            out.key("p")?;
            out.json(&WirePolicy::from(content.own))?;
        }
        if let Some(at) = content.auth_time {
            out.key("a")?;
            out.json(&at.as_millis())?;
        }
        if let Some(label) = &content.label {
            out.key("l")?;
            out.json(&**label)?;
        }
        content.unknown.iter().try_for_each(|(key, value)| {
            out.key(key)?;
            out.0.extend_from_slice(&value.raw);
            Ok(())
        })
    })?;
    Ok(out.0.into())
}

/// Puts together JSON of which most is at hand as text already.
struct Writer(Vec<u8>);

impl Writer {
    fn object(&mut self, fill: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.0.push(b'{');
        fill(self)?;
        self.0.push(b'}');
        Ok(())
    }

    fn json<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        serde_json::to_writer(&mut self.0, value)
            .map_err(|_| Error::fixed(ErrorKind::Other, "the envelope could not be encoded"))
    }

    fn key(&mut self, key: &str) -> Result<()> {
        if self.0.last() != Some(&b'{') {
            self.0.push(b',');
        }
        self.json(key)?;
        self.0.push(b':');
        Ok(())
    }

    fn raw_map(&mut self, map: &BTreeMap<Arc<str>, Value>) -> Result<()> {
        self.object(|out| {
            map.iter().try_for_each(|(key, value)| {
                out.key(key)?;
                out.0.extend_from_slice(&value.raw);
                Ok(())
            })
        })
    }

    fn flashes(&mut self, flashes: &BTreeMap<Arc<str>, Vec<Flash>>) -> Result<()> {
        self.object(|out| {
            flashes.iter().try_for_each(|(key, messages)| {
                out.key(key)?;
                for (n, Flash { id, value }) in messages.iter().enumerate() {
                    out.0.extend_from_slice(if n == 0 { b"[[" } else { b",[" });
                    out.json(id)?;
                    out.0.push(b',');
                    out.0.extend_from_slice(&value.raw);
                    out.0.push(b']');
                }
                out.0.extend_from_slice(if messages.is_empty() { b"[]" } else { b"]" });
                Ok(())
            })
        })
    }
}

pub(super) fn decode(record: &Record) -> Result<Content> {
    let mut content = Content { principal: record.principal.clone(), ..Content::empty(record.created_at) };
    let mut json = serde_json::Deserializer::from_slice(&record.data);
    let read = json.deserialize_map(Envelope { data: &record.data, content: &mut content });
    read.and_then(|()| json.end()).map_err(|_| CORRUPT)?;
    Ok(content)
}

/// The same bytes without a copy: `raw` was parsed out of `data`.
fn shared(data: &Bytes, raw: &RawValue) -> Value {
    Value::json(data.slice_ref(raw.get().as_bytes()))
}

/// Reads the envelope into `content` as it goes along: this is done for every request, so it makes nothing in between.
struct Envelope<'c> {
    data: &'c Bytes,
    content: &'c mut Content,
}

impl<'de> Visitor<'de> for Envelope<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an envelope")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { data, content } = self;
        while let Some(key) = map.next_key_seed(FieldName)? {
            match &*key {
                "v" => content.values = map.next_value_seed(Fields(|raw: &RawValue| Some(shared(data, raw))))?,
                "f" => content.flashes = map.next_value_seed(Fields(|raw: &RawValue| flashes(data, raw)))?,
                "p" => content.own = map.next_value::<WirePolicy>()?.into(),
                "a" => {
                    let at = Timestamp::from_millis(map.next_value()?);
                    content.auth_time = Some(at.map_err(serde::de::Error::custom)?);
                }
                "l" => content.label = Some(map.next_value_seed(SharedStr)?),
                _ => {
                    let raw: &RawValue = map.next_value()?;
                    content.unknown.insert((*key).into(), shared(data, raw));
                }
            }
        }
        Ok(())
    }
}

fn flashes(data: &Bytes, raw: &RawValue) -> Option<Vec<Flash>> {
    let messages: Vec<(u64, &RawValue)> = serde_json::from_str(raw.get()).ok()?;
    Some(messages.into_iter().map(|(id, raw)| Flash { id, value: shared(data, raw) }).collect())
}

/// Reads an object, each field's text by a function that answers `None` if it makes no sense.
struct Fields<F>(F);

impl<'de, T, F: FnMut(&'de RawValue) -> Option<T>> DeserializeSeed<'de> for Fields<F> {
    type Value = BTreeMap<Arc<str>, T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T, F: FnMut(&'de RawValue) -> Option<T>> Visitor<'de> for Fields<F> {
    type Value = BTreeMap<Arc<str>, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = BTreeMap::new();
        while let Some(key) = map.next_key_seed(SharedStr)? {
            let value = (self.0)(map.next_value()?);
            fields.insert(key, value.ok_or_else(|| serde::de::Error::custom("a field makes no sense"))?);
        }
        Ok(fields)
    }
}

/// Reads a field's name, without a copy unless it has escapes.
struct FieldName;

impl<'de> DeserializeSeed<'de> for FieldName {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for FieldName {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// Reads a string straight into an `Arc<str>`, which serde does only with a feature for all of the program.
struct SharedStr;

impl<'de> DeserializeSeed<'de> for SharedStr {
    type Value = Arc<str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Arc<str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for SharedStr {
    type Value = Arc<str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<Arc<str>, E> {
        Ok(text.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn depth_is_what_a_parser_would_count(levels in 0_usize..100) {
            let nested = format!("{}\"[{{\\\"\"{}", "[".repeat(levels), "]".repeat(levels));
            prop_assert_eq!(depth(nested.as_bytes()), levels);
        }
    }
}
