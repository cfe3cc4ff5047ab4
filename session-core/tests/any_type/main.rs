//! Every value that `insert` accepts comes back from `get`: generated types, in both codecs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use proptest::prelude::*;
use serde::de::DeserializeSeed as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use session_core::{Codec, ErrorKind, Manager, NullStore, Session};

mod decode;
mod generate;
mod model;

use decode::Of;
use generate::typed_value;
use model::{Type, Value};

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
            let text = format!("session error: a value holds a number that is not finite ({:?})", error.key().unwrap());
            assert_eq!(error.to_string(), text);
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
