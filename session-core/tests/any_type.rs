//! Every value that `insert` accepts comes back from `get`: generated types, in both codecs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde::de::{DeserializeSeed, EnumAccess, Error as _, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::ser::{SerializeMap as _, SerializeSeq as _, SerializeStruct as _, SerializeTuple as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use session_core::{Codec, ErrorKind, Manager, NullStore, Session};

const FIELDS: [&str; 4] = ["a", "b", "c", "d"];
const VARIANTS: [&str; 4] = ["Unit", "Newtype", "Tuple", "Struct"];

/// Type of a generated value. It is serialised as a derived implementation would do it.
#[derive(Clone, Debug)]
enum Type {
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
    fn has_nothing(&self) -> bool {
        match self {
            Self::Unit | Self::Option(_) => true,
            Self::Newtype(inner) => inner.has_nothing(),
            _ => false,
        }
    }

    /// Whether serde cannot read the type inside a tagged, untagged or flattened value.
    fn is_lost_in_a_buffer(&self) -> bool {
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
enum Value {
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
    fn is_finite(&self) -> bool {
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

/// Deserialises a value of the given type.
#[derive(Clone, Copy)]
struct Of<'t>(&'t Type);

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

thread_local! {
    /// Type of the next [`Any`] that is read.
    static TYPE: RefCell<Type> = const { RefCell::new(Type::Unit) };
}

/// A value of the type in [`TYPE`].
#[derive(Clone, Debug, PartialEq)]
struct Any(Value);

impl Serialize for Any {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let of = TYPE.with_borrow(Type::clone);
        Of(&of).deserialize(deserializer).map(Self)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number { n: u8, at: IpAddr, of: Any },
    Pair(u8, Any),
    Any { of: Any },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    One { of: Any, at: Option<IpAddr> },
    None,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "of")]
enum Adjacent {
    One(Any),
    Two { of: Any, at: IpAddr },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Flattened {
    n: u8,
    wait: Duration,
    #[serde(flatten)]
    rest: BTreeMap<String, Any>,
}

fn scalar() -> impl Strategy<Value = Type> {
    prop_oneof![
        Just(Type::Bool),
        Just(Type::Signed),
        Just(Type::Unsigned),
        Just(Type::Wide),
        Just(Type::Float),
        Just(Type::Single),
        Just(Type::Char),
        Just(Type::Text),
        Just(Type::Bytes),
        Just(Type::Unit),
        Just(Type::Address),
    ]
}

fn any_type() -> impl Strategy<Value = Type> {
    scalar().prop_recursive(4, 16, 4, |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        // Serde writes `Some(None)` and `Some(())` as it writes `None`.
        let something = inner.clone().prop_filter("an option of nothing", |inner| !inner.has_nothing());
        prop_oneof![
            something.prop_map(Box::new).prop_map(Type::Option),
            boxed.clone().prop_map(Type::Newtype),
            boxed.clone().prop_map(Type::Sequence),
            vec(inner.clone(), 1..4).prop_map(Type::Tuple),
            boxed.clone().prop_map(Type::Map),
            boxed.clone().prop_map(Type::NumberedMap),
            vec(inner, 1..4).prop_map(Type::Struct),
            boxed.prop_map(Type::Enum),
        ]
    })
}

fn value_of(of: &Type) -> BoxedStrategy<Value> {
    let parts = |parts: &[Type]| parts.iter().map(value_of).collect::<Vec<_>>();
    let inner = |inner: &Type| value_of(inner);
    match of {
        Type::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Type::Signed => any::<i64>().prop_map(Value::Signed).boxed(),
        Type::Unsigned => any::<u64>().prop_map(Value::Unsigned).boxed(),
        Type::Wide => any::<u128>().prop_map(Value::Wide).boxed(),
        Type::Float => prop_oneof![
            20 => any::<f64>(),
            1 => prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY)],
        ]
        .prop_map(Value::Float)
        .boxed(),
        Type::Single => prop_oneof![20 => any::<f32>(), 1 => Just(f32::NAN)].prop_map(Value::Single).boxed(),
        Type::Char => any::<char>().prop_map(Value::Char).boxed(),
        Type::Text => "\\PC{0,8}|null".prop_map(Value::Text).boxed(),
        Type::Bytes => any::<Vec<u8>>().prop_map(Value::Bytes).boxed(),
        Type::Unit => Just(Value::Unit).boxed(),
        Type::Address => any::<IpAddr>().prop_map(Value::Address).boxed(),
        Type::Option(of) => proptest::option::of(inner(of).prop_map(Box::new)).prop_map(Value::Option).boxed(),
        Type::Newtype(of) => inner(of).prop_map(|value| Value::Newtype(Box::new(value))).boxed(),
        Type::Sequence(of) => vec(inner(of), 0..4).prop_map(Value::Sequence).boxed(),
        Type::Tuple(of) => parts(of).prop_map(Value::Tuple).boxed(),
        Type::Map(of) => btree_map("[a-zé]{0,4}", inner(of), 0..4).prop_map(Value::Map).boxed(),
        Type::NumberedMap(of) => btree_map(any::<i32>(), inner(of), 0..4).prop_map(Value::NumberedMap).boxed(),
        Type::Struct(of) => parts(of).prop_map(Value::Struct).boxed(),
        Type::Enum(of) => {
            let two = || (inner(of), value_of(&Type::Text)).prop_map(|(one, two)| vec![one, two]);
            prop_oneof![
                Just(Value::Enum(0, Vec::new())),
                inner(of).prop_map(|value| Value::Enum(1, vec![value])),
                two().prop_map(|parts| Value::Enum(2, parts)),
                two().prop_map(|parts| Value::Enum(3, parts)),
            ]
            .boxed()
        }
    }
}

fn typed_value() -> impl Strategy<Value = (Type, Value)> {
    any_type().prop_flat_map(|of| (Just(of.clone()), value_of(&of)))
}

fn session(codec: Codec) -> Session {
    let manager = Manager::builder(NullStore).codec(codec).build().unwrap();
    pollster::block_on(manager.open(None)).unwrap()
}

/// Inserts `value` and returns the value that `get` reads. `None` if `insert` refused it.
fn passes<T: Serialize + for<'de> Deserialize<'de>>(codec: Codec, value: &T) -> Result<Option<T>, String> {
    let session = session(codec);
    let there = match session.insert("n", value) {
        Ok(()) => session.get::<T>("n").map_err(|error| error.to_string())?,
        Err(error) if error.kind() == ErrorKind::Other => None,
        Err(error) => return Err(error.to_string()),
    };
    session.discard();
    Ok(there)
}

/// Checks that `value` comes back, or is refused if a number in it is not finite.
fn comes_back<T>(value: &T, is_finite: bool) -> Result<(), TestCaseError>
where
    T: Serialize + for<'de> Deserialize<'de> + PartialEq + fmt::Debug,
{
    for codec in Codec::ALL {
        let there = passes(*codec, value).map_err(TestCaseError::fail)?;
        prop_assert_eq!(there.as_ref(), is_finite.then_some(value), "{:?}", codec);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_value_of_any_type_comes_back((of, value) in typed_value()) {
        TYPE.set(of);
        let is_finite = value.is_finite();
        comes_back(&Any(value), is_finite)?;
    }

    #[test]
    fn a_value_inside_untagged_tagged_and_flattened_ones_comes_back(
        (of, value) in typed_value(), at: IpAddr, n: u8, wait in (0..u64::MAX, 0..1_000_000_000_u32),
    ) {
        prop_assume!(!of.is_lost_in_a_buffer());
        TYPE.set(of);
        let (is_finite, of) = (value.is_finite(), Any(value));
        comes_back(&Untagged::Number { n, at, of: of.clone() }, is_finite)?;
        comes_back(&Untagged::Pair(n, of.clone()), is_finite)?;
        comes_back(&Untagged::Any { of: of.clone() }, is_finite)?;
        comes_back(&Tagged::One { of: of.clone(), at: Some(at) }, is_finite)?;
        comes_back(&Tagged::None, true)?;
        comes_back(&Adjacent::One(of.clone()), is_finite)?;
        comes_back(&Adjacent::Two { of: of.clone(), at }, is_finite)?;
        let rest = [("x".into(), of.clone()), ("y".into(), of)].into();
        comes_back(&Flattened { n, wait: Duration::new(wait.0, wait.1), rest }, is_finite)?;
    }
}

/// Checks the limits of serde that the documentation of `insert` names. If serde lifts one, the documentation must change too.
#[test]
fn what_serde_does_not_bring_back_is_what_the_documentation_says() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Buffered<T> {
        Of(T),
    }
    for codec in Codec::ALL {
        assert_eq!(passes(*codec, &Some(None::<u8>)), Ok(Some(None)));
        assert_eq!(passes(*codec, &Some(())), Ok(Some(None)));
        assert!(passes(*codec, &Buffered::Of(u128::MAX)).is_err(), "{codec:?}");
        let numbered = passes(*codec, &Buffered::Of(BTreeMap::from([(1, 2)])));
        assert_eq!(numbered.is_ok(), *codec != Codec::Json, "{codec:?}");
    }
}

#[test]
fn a_number_that_is_not_finite_is_refused_wherever_a_value_is_written() {
    for codec in Codec::ALL {
        let session = session(*codec);
        session.insert("n", &1.5).unwrap();
        for error in [
            session.insert("n", &f64::NAN).unwrap_err(),
            session.insert("m", &[Some(1.0), Some(f32::INFINITY)]).unwrap_err(),
            session.update("n", |n: &mut f64| *n /= 0.0).unwrap_err(),
            session.flash("m", &BTreeMap::from([("n", f64::NEG_INFINITY)])).unwrap_err(),
            codec.round_trip(&f64::NAN).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Other);
            assert_eq!(error.to_string(), "session error: a value holds a number that is not finite");
        }
        assert_eq!(session.get::<f64>("n").unwrap(), Some(1.5));
        assert_eq!(session.keys(), ["n"]);
        session.discard();
    }
}

#[test]
fn nothing_is_no_number() {
    for codec in Codec::ALL {
        let value = (None::<f64>, String::from("null"), (), vec![Some(0.1_f32), None]);
        assert_eq!(codec.round_trip(&value).unwrap(), value);
    }
}
