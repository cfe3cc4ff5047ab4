//! Reader of values of a generated type.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, EnumAccess, Error as _, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::model::{FIELDS, Type, VARIANTS, Value};

/// Deserialises a value of the given type.
#[derive(Clone, Copy)]
pub(crate) struct Of<'t>(pub(crate) &'t Type);

impl<'de> DeserializeSeed<'de> for Of<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Ok(match self.0 {
            Type::Bool => Value::Bool(Deserialize::deserialize(deserializer)?),
            Type::Signed => Value::Signed(Deserialize::deserialize(deserializer)?),
            Type::Unsigned => Value::Unsigned(Deserialize::deserialize(deserializer)?),
            Type::Wide => Value::Wide(Deserialize::deserialize(deserializer)?),
            Type::Float => Value::Float(Deserialize::deserialize(deserializer)?),
            Type::Single => Value::Single(Deserialize::deserialize(deserializer)?),
            Type::Char => Value::Char(Deserialize::deserialize(deserializer)?),
            Type::Text => Value::Text(Deserialize::deserialize(deserializer)?),
            Type::Bytes => Value::Bytes(serde_bytes::deserialize(deserializer)?),
            Type::Unit => {
                <()>::deserialize(deserializer)?;
                Value::Unit
            }
            Type::Address => Value::Address(Deserialize::deserialize(deserializer)?),
            Type::Option(_) => deserializer.deserialize_option(self)?,
            Type::Newtype(_) => deserializer.deserialize_newtype_struct("Newtype", self)?,
            Type::Sequence(_) => deserializer.deserialize_seq(self)?,
            Type::Tuple(parts) => deserializer.deserialize_tuple(parts.len(), self)?,
            Type::Map(_) | Type::NumberedMap(_) => deserializer.deserialize_map(self)?,
            Type::Struct(parts) => deserializer.deserialize_struct("Struct", &FIELDS[..parts.len()], self)?,
            Type::Enum(_) => deserializer.deserialize_enum("Enum", &VARIANTS, self)?,
        })
    }
}

impl Of<'_> {
    fn in_order<'de, A: SeqAccess<'de>>(parts: &[Type], mut from: A) -> Result<Vec<Value>, A::Error> {
        let part = |(at, part)| from.next_element_seed(Of(part))?.ok_or_else(|| A::Error::invalid_length(at, &"more"));
        parts.iter().enumerate().map(part).collect()
    }

    fn by_name<'de, A: MapAccess<'de>>(parts: &[Type], mut from: A) -> Result<Vec<Value>, A::Error> {
        let mut values = vec![None; parts.len()];
        while let Some(name) = from.next_key::<String>()? {
            let at = FIELDS.iter().position(|field| *field == name).filter(|at| *at < parts.len());
            let at = at.ok_or_else(|| A::Error::unknown_field(&name, &FIELDS))?;
            values[at] = Some(from.next_value_seed(Of(&parts[at]))?);
        }
        values.into_iter().map(|value| value.ok_or_else(|| A::Error::missing_field("one"))).collect()
    }
}

/// Visitor of the parts of a tuple or struct variant.
struct Named<'t>(&'t [Type]);

impl<'de> Visitor<'de> for Named<'_> {
    type Value = Vec<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} fields", self.0.len())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, from: A) -> Result<Vec<Value>, A::Error> {
        Of::in_order(self.0, from)
    }

    fn visit_map<A: MapAccess<'de>>(self, from: A) -> Result<Vec<Value>, A::Error> {
        Of::by_name(self.0, from)
    }
}

impl<'de> Visitor<'de> for Of<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {:?}", self.0)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Option(None))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Option(None))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let Type::Option(inner) = self.0 else { return Err(D::Error::custom("not an option")) };
        Ok(Value::Option(Some(Box::new(Of(inner).deserialize(deserializer)?))))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let Type::Newtype(inner) = self.0 else { return Err(D::Error::custom("not a newtype")) };
        Ok(Value::Newtype(Box::new(Of(inner).deserialize(deserializer)?)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        Ok(match self.0 {
            Type::Sequence(inner) => {
                let mut parts = Vec::new();
                while let Some(part) = from.next_element_seed(Of(inner))? {
                    parts.push(part);
                }
                Value::Sequence(parts)
            }
            Type::Tuple(parts) => Value::Tuple(Of::in_order(parts, from)?),
            Type::Struct(parts) => Value::Struct(Of::in_order(parts, from)?),
            _ => return Err(A::Error::custom("not a sequence")),
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        Ok(match self.0 {
            Type::Map(inner) => {
                let mut map = BTreeMap::new();
                while let Some(key) = from.next_key()? {
                    map.insert(key, from.next_value_seed(Of(inner))?);
                }
                Value::Map(map)
            }
            Type::NumberedMap(inner) => {
                let mut map = BTreeMap::new();
                while let Some(key) = from.next_key()? {
                    map.insert(key, from.next_value_seed(Of(inner))?);
                }
                Value::NumberedMap(map)
            }
            Type::Struct(parts) => Value::Struct(Of::by_name(parts, from)?),
            _ => return Err(A::Error::custom("not a map")),
        })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, from: A) -> Result<Value, A::Error> {
        let Type::Enum(inner) = self.0 else { return Err(A::Error::custom("not an enum")) };
        let (name, variant) = from.variant::<String>()?;
        let two = [(**inner).clone(), Type::Text];
        Ok(match &*name {
            "Unit" => {
                variant.unit_variant()?;
                Value::Enum(0, Vec::new())
            }
            "Newtype" => Value::Enum(1, vec![variant.newtype_variant_seed(Of(inner))?]),
            "Tuple" => Value::Enum(2, variant.tuple_variant(2, Named(&two))?),
            _ => Value::Enum(3, variant.struct_variant(&FIELDS[..2], Named(&two))?),
        })
    }
}
