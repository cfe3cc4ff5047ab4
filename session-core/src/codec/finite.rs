//! Search for numbers that are not finite, which JSON would store as `null`.

use std::fmt::{self, Display};

use serde::ser::{
    SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple, SerializeTupleStruct,
    SerializeTupleVariant,
};
use serde::{Serialize, Serializer};

/// Whether a number in `value` is infinite or is not a number.
///
/// Returns `false` if the value's `Serialize` fails, because the codec reports that error.
pub(super) fn has_other_numbers<T: Serialize + ?Sized>(value: &T) -> bool {
    matches!(value.serialize(Finder), Err(Stop::NotFinite))
}

/// Reason why the search has stopped.
#[derive(Debug)]
enum Stop {
    NotFinite,
    Failed,
}

impl Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFinite => "a number is not finite",
            Self::Failed => "the value could not be encoded",
        })
    }
}

impl std::error::Error for Stop {}

impl serde::ser::Error for Stop {
    fn custom<T: Display>(_: T) -> Self {
        Self::Failed
    }
}

type Result<T = ()> = std::result::Result<T, Stop>;

/// Serializer that writes nothing and stops at the first number that is not finite.
#[derive(Clone, Copy)]
struct Finder;

/// Defines methods for values that hold no number, or a finite one.
macro_rules! finite {
    ($($method:ident($($type:ty),*);)*) => {
        $(fn $method(self, $(_: $type),*) -> Result {
            Ok(())
        })*
    };
}

/// Defines methods that begin a sequence, a map or a struct.
macro_rules! begin {
    ($($method:ident($($type:ty),*) -> $compound:ident;)*) => {
        $(
            type $compound = Self;

            fn $method(self, $(_: $type),*) -> Result<Self> {
                Ok(self)
            }
        )*
    };
}

impl Serializer for Finder {
    type Ok = ();
    type Error = Stop;

    finite! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_i128(i128);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_u128(u128);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
    }

    begin! {
        serialize_seq(Option<usize>) -> SerializeSeq;
        serialize_tuple(usize) -> SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> SerializeTupleVariant;
        serialize_map(Option<usize>) -> SerializeMap;
        serialize_struct(&'static str, usize) -> SerializeStruct;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> SerializeStructVariant;
    }

    fn serialize_f32(self, number: f32) -> Result {
        if number.is_finite() { Ok(()) } else { Err(Stop::NotFinite) }
    }

    fn serialize_f64(self, number: f64) -> Result {
        if number.is_finite() { Ok(()) } else { Err(Stop::NotFinite) }
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result {
        value.serialize(self)
    }
}

/// Defines methods for the parts of a sequence, a map or a struct.
macro_rules! parts {
    ($($compound:ident: $($method:ident($($name:ty)?)),+;)*) => {
        $(impl $compound for Finder {
            type Ok = ();
            type Error = Stop;

            $(fn $method<T: Serialize + ?Sized>(&mut self, $(_: $name,)? part: &T) -> Result {
                part.serialize(*self)
            })+

            fn end(self) -> Result {
                Ok(())
            }
        })*
    };
}

parts! {
    SerializeSeq: serialize_element();
    SerializeTuple: serialize_element();
    SerializeTupleStruct: serialize_field();
    SerializeTupleVariant: serialize_field();
    SerializeMap: serialize_key(), serialize_value();
    SerializeStruct: serialize_field(&'static str);
    SerializeStructVariant: serialize_field(&'static str);
}
