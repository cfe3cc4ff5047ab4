//! Strategies for types and their values.

use std::net::IpAddr;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use crate::model::{Type, Value};

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

pub(crate) fn typed_value() -> impl Strategy<Value = (Type, Value)> {
    any_type().prop_flat_map(|of| (Just(of.clone()), value_of(&of)))
}
