//! Generated types and their values.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::ser::{SerializeMap as _, SerializeSeq as _, SerializeStruct as _, SerializeTuple as _};
use serde::{Serialize, Serializer};

pub(crate) const FIELDS: [&str; 4] = ["a", "b", "c", "d"];
pub(crate) const VARIANTS: [&str; 4] = ["Unit", "Newtype", "Tuple", "Struct"];

/// Type of a generated value. It is serialised as a derived implementation would do it.
#[derive(Clone, Debug)]
pub(crate) enum Type {
    Bool,
    Signed,
    Unsigned,
    /// A `u128`, which serde cannot buffer inside a tagged, untagged or flattened value.
    Wide,
    Float,
    Single,
    Char,
    Text,
    Bytes,
    Unit,
    Address,
    Option(Box<Type>),
    Newtype(Box<Type>),
    Sequence(Box<Type>),
    Tuple(Vec<Type>),
    /// Map with strings as keys.
    Map(Box<Type>),
    /// Map with numbers as keys, which JSON writes as strings.
    NumberedMap(Box<Type>),
    Struct(Vec<Type>),
    /// Enum with a unit, a newtype, a tuple and a struct variant.
    Enum(Box<Type>),
}

impl Type {
    /// Whether a value of the type may be encoded as nothing. Then `Some` of that value comes back as `None`.
    pub(crate) fn has_nothing(&self) -> bool {
        match self {
            Self::Unit | Self::Option(_) => true,
            Self::Newtype(inner) => inner.has_nothing(),
            _ => false,
        }
    }

    /// Whether serde cannot read the type inside a tagged, untagged or flattened value.
    pub(crate) fn is_lost_in_a_buffer(&self) -> bool {
        match self {
            Self::Wide | Self::NumberedMap(_) => true,
            Self::Option(inner)
            | Self::Newtype(inner)
            | Self::Sequence(inner)
            | Self::Map(inner)
            | Self::Enum(inner) => inner.is_lost_in_a_buffer(),
            Self::Tuple(parts) | Self::Struct(parts) => parts.iter().any(Self::is_lost_in_a_buffer),
            _ => false,
        }
    }
}

/// A value of a [`Type`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Wide(u128),
    Float(f64),
    Single(f32),
    Char(char),
    Text(String),
    Bytes(Vec<u8>),
    Unit,
    Address(IpAddr),
    Option(Option<Box<Value>>),
    Newtype(Box<Value>),
    Sequence(Vec<Value>),
    Tuple(Vec<Value>),
    Map(BTreeMap<String, Value>),
    NumberedMap(BTreeMap<i32, Value>),
    Struct(Vec<Value>),
    Enum(usize, Vec<Value>),
}

impl Value {
    pub(crate) fn is_finite(&self) -> bool {
        match self {
            Self::Float(number) => number.is_finite(),
            Self::Single(number) => number.is_finite(),
            Self::Option(inner) => inner.as_ref().is_none_or(|inner| inner.is_finite()),
            Self::Newtype(inner) => inner.is_finite(),
            Self::Sequence(parts) | Self::Tuple(parts) | Self::Struct(parts) | Self::Enum(_, parts) => {
                parts.iter().all(Self::is_finite)
            }
            Self::Map(map) => map.values().all(Self::is_finite),
            Self::NumberedMap(map) => map.values().all(Self::is_finite),
            _ => true,
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = |mut out: S::SerializeStruct, parts: &[Value]| {
            FIELDS.iter().zip(parts).try_for_each(|(name, part)| out.serialize_field(name, part))?;
            out.end()
        };
        match self {
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Signed(value) => serializer.serialize_i64(*value),
            Self::Unsigned(value) => serializer.serialize_u64(*value),
            Self::Wide(value) => serializer.serialize_u128(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Single(value) => serializer.serialize_f32(*value),
            Self::Char(value) => serializer.serialize_char(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::Bytes(value) => serializer.serialize_bytes(value),
            Self::Unit => serializer.serialize_unit(),
            Self::Address(value) => value.serialize(serializer),
            Self::Option(None) => serializer.serialize_none(),
            Self::Option(Some(inner)) => serializer.serialize_some(inner),
            Self::Newtype(inner) => serializer.serialize_newtype_struct("Newtype", inner),
            Self::Sequence(parts) => {
                let mut out = serializer.serialize_seq(Some(parts.len()))?;
                parts.iter().try_for_each(|part| out.serialize_element(part))?;
                out.end()
            }
            Self::Tuple(parts) => {
                let mut out = serializer.serialize_tuple(parts.len())?;
                parts.iter().try_for_each(|part| out.serialize_element(part))?;
                out.end()
            }
            Self::Map(map) => map.serialize(serializer),
            Self::NumberedMap(map) => {
                let mut out = serializer.serialize_map(None)?;
                map.iter().try_for_each(|(key, value)| out.serialize_entry(key, value))?;
                out.end()
            }
            Self::Struct(parts) => fields(serializer.serialize_struct("Struct", parts.len())?, parts),
            Self::Enum(0, _) => serializer.serialize_unit_variant("Enum", 0, VARIANTS[0]),
            Self::Enum(1, parts) => serializer.serialize_newtype_variant("Enum", 1, VARIANTS[1], &parts[0]),
            Self::Enum(2, parts) => {
                use serde::ser::SerializeTupleVariant as _;
                let mut out = serializer.serialize_tuple_variant("Enum", 2, VARIANTS[2], parts.len())?;
                parts.iter().try_for_each(|part| out.serialize_field(part))?;
                out.end()
            }
            Self::Enum(_, parts) => {
                use serde::ser::SerializeStructVariant as _;
                let mut out = serializer.serialize_struct_variant("Enum", 3, VARIANTS[3], parts.len())?;
                FIELDS.iter().zip(parts).try_for_each(|(name, part)| out.serialize_field(name, part))?;
                out.end()
            }
        }
    }
}
