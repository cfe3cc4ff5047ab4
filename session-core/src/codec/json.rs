//! JSON envelope: `{"v":{values},"f":{flashes},"p":{own policy},"a":auth time,"l":label,"n":name,
//! "i":age of the id,"x":{deadlines}}`.
//! A field is left out if it is empty.
//!
//! Values are copied as bytes. They are parsed only when they are read, so no number is rounded.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::{DeserializeSeed, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::content::{Content, Flash, OwnPolicy, WirePolicy};
use super::id_age::{IdAge, WireIdAge};
use super::limits::Codec;
use super::value::Value;
use crate::{Error, ErrorKind, Record, Result, Timestamp};

// ---- writing ----

pub(super) fn encode(content: &Content, out: &mut Vec<u8>) -> Result<()> {
    write(out, content).map_err(|_| Error::fixed(ErrorKind::Other, "the session's envelope could not be encoded"))
}

fn write(out: &mut Vec<u8>, content: &Content) -> serde_json::Result<()> {
    out.push(b'{');
    if !content.values.is_empty() {
        key(out, "v")?;
        object(out, &content.values, |out, value| {
            out.extend_from_slice(&value.raw);
            Ok(())
        })?;
    }
    if !content.flashes.is_empty() {
        key(out, "f")?;
        object(out, &content.flashes, |out, messages| flashes(out, messages))?;
    }
    if content.own != OwnPolicy::default() {
        field(out, "p", &WirePolicy::from(content.own))?;
    }
    if let Some(at) = content.auth_time {
        field(out, "a", &at.as_millis())?;
    }
    if let Some(label) = &content.label {
        field(out, "l", &**label)?;
    }
    if let Some(name) = &content.name {
        field(out, "n", &**name)?;
    }
    if let Some(age) = &content.id_age {
        field(out, "i", &WireIdAge::from(&**age))?;
    }
    let deadlines = content.deadlines();
    if !deadlines.is_empty() {
        key(out, "x")?;
        object(out, &deadlines, |out, until| serde_json::to_writer(out, &until.as_millis()))?;
    }
    for (name, value) in &content.unknown {
        key(out, name)?;
        out.extend_from_slice(&value.raw);
    }
    out.push(b'}');
    Ok(())
}

fn key(out: &mut Vec<u8>, key: &str) -> serde_json::Result<()> {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    serde_json::to_writer(&mut *out, key)?;
    out.push(b':');
    Ok(())
}

fn field<T: Serialize + ?Sized>(out: &mut Vec<u8>, name: &str, value: &T) -> serde_json::Result<()> {
    key(out, name)?;
    serde_json::to_writer(out, value)
}

fn object<T>(
    out: &mut Vec<u8>,
    fields: &BTreeMap<Arc<str>, T>,
    write: impl Fn(&mut Vec<u8>, &T) -> serde_json::Result<()>,
) -> serde_json::Result<()> {
    out.push(b'{');
    for (name, value) in fields {
        key(out, name)?;
        write(out, value)?;
    }
    out.push(b'}');
    Ok(())
}

fn flashes(out: &mut Vec<u8>, messages: &[Flash]) -> serde_json::Result<()> {
    out.push(b'[');
    for (n, Flash { id, value }) in messages.iter().enumerate() {
        out.extend_from_slice(if n == 0 { b"[" } else { b",[" });
        serde_json::to_writer(&mut *out, id)?;
        out.push(b',');
        out.extend_from_slice(&value.raw);
        out.push(b']');
    }
    out.push(b']');
    Ok(())
}

// ---- reading ----

/// Decodes `envelope`, which is a part of the record's data.
pub(super) fn decode(record: &Record, envelope: &[u8]) -> Result<Content> {
    let blank = Content::empty(record.created_at, Codec::Json);
    let mut content = Content { principal: record.principal.clone(), ..blank };
    let mut json = serde_json::Deserializer::from_slice(envelope);
    let read = json.deserialize_map(Envelope { data: &record.data, content: &mut content });
    let read = read.and_then(|()| json.end());
    read.map_err(|_| Error::fixed(ErrorKind::Corrupt, "a stored session's envelope does not decode"))?;
    Ok(content)
}

/// Visitor that reads the envelope directly into `content`. An intermediate form would slow down every request with a session.
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
        // `raw` was parsed out of `data`, so its bytes need no copy.
        let shared = |raw: &RawValue| Value::new(Codec::Json, data.slice_ref(raw.get().as_bytes()));
        let flashes = |raw: &'de RawValue| {
            let messages: Vec<(u64, &RawValue)> = serde_json::from_str(raw.get())?;
            Ok(messages.into_iter().map(|(id, raw)| Flash { id, value: shared(raw) }).collect())
        };
        let mut deadlines = BTreeMap::new();
        while let Some(Name(name)) = map.next_key()? {
            match &*name {
                "v" => content.values = map.next_value_seed(Fields(|raw: &'de RawValue| Ok(shared(raw))))?,
                "f" => content.flashes = map.next_value_seed(Fields(flashes))?,
                "p" => content.own = map.next_value::<WirePolicy>()?.into(),
                "a" => content.auth_time = Some(instant(map.next_value()?)?),
                "i" => content.id_age = Some(Arc::new(id_age(&map.next_value()?)?)),
                "x" => {
                    deadlines =
                        map.next_value_seed(Fields(|raw: &RawValue| instant(serde_json::from_str(raw.get())?)))?;
                }
                "l" => content.label = Some((&*map.next_value::<Name<'de>>()?.0).into()),
                "n" => content.name = Some((&*map.next_value::<Name<'de>>()?.0).into()),
                _ => {
                    content.unknown.insert((&*name).into(), shared(map.next_value()?));
                }
            }
        }
        content.set_deadlines(deadlines);
        Ok(())
    }
}

fn instant<E: serde::de::Error>(millis: i64) -> Result<Timestamp, E> {
    Timestamp::from_millis(millis).map_err(E::custom)
}

fn id_age<E: serde::de::Error>(age: &WireIdAge) -> Result<IdAge, E> {
    age.read().ok_or_else(|| E::custom("the age of the id is malformed"))
}

/// Text that is copied only if it has escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Seed that reads an object. The function converts the text of each field.
struct Fields<F>(F);

impl<'de, T, F: FnMut(&'de RawValue) -> serde_json::Result<T>> DeserializeSeed<'de> for Fields<F> {
    type Value = BTreeMap<Arc<str>, T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T, F: FnMut(&'de RawValue) -> serde_json::Result<T>> Visitor<'de> for Fields<F> {
    type Value = BTreeMap<Arc<str>, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = BTreeMap::new();
        while let Some((Name(name), raw)) = map.next_entry()? {
            fields.insert((&*name).into(), (self.0)(raw).map_err(serde::de::Error::custom)?);
        }
        Ok(fields)
    }
}
