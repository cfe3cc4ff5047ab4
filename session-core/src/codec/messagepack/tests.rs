use std::net::IpAddr;

use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize, Serializer};

use super::super::{Rules, Stored};
use super::*;
use crate::{Limits, Version};

const RULES: Rules = Rules { codec: Codec::Json, limits: Limits::new(), limited_by_store: false };

fn read(data: &[u8]) -> Result<Content> {
    let record = Record::new(Version::random(), Timestamp::MIN, Timestamp::MAX, None, Bytes::copy_from_slice(data));
    match Stored::read(&record)?.0 {
        Stored::Content(content) => Ok(std::sync::Arc::unwrap_or_clone(content)),
        Stored::Tombstone(_) => panic!("a tombstone"),
    }
}

fn packed<T: Serialize + ?Sized>(value: &T) -> Value {
    RULES.encode(Codec::MessagePack, "n", value).unwrap()
}

// ---- layout ----

/// Record of the first release: two values, a flash, all other fields, and `zz`, which is unknown.
const RECORD: &[u8] = b"\xde\x00\x08\
    \xa1v\x82\xa1b\xc4\x02\x00\xff\xa1n\x01\
    \xa1f\x81\xa1i\x91\x92\x07\xa1x\
    \xa1p\x82\xa1i\x09\xa1p\xc3\
    \xa1a\x05\
    \xa1l\xa3lab\
    \xa1n\xa2id\
    \xa1x\x81\xa1n\x06\
    \xa2zz\x91\x01";

#[test]
fn the_layout_is_this() {
    let content = read(RECORD).unwrap();
    assert_eq!(content.codec, Codec::MessagePack);
    assert_eq!(content.values["b"], packed(serde_bytes::Bytes::new(&[0, 255])));
    assert_eq!(content.values["n"], Value { until: Some(Timestamp::from_millis(6).unwrap()), ..packed(&1) });
    assert_eq!(content.flashes["i"], [Flash { id: 7, value: packed("x") }]);
    assert_eq!(content.own.idle, Some(std::time::Duration::from_millis(9)));
    assert!(content.own.persistent);
    assert_eq!(content.auth_time.unwrap().as_millis(), 5);
    assert_eq!((content.label.as_deref(), content.name.as_deref()), (Some("lab"), Some("id")));
    assert_eq!(content.unknown["zz"], packed(&[1]));
    let idle = std::time::Duration::from_secs(60);
    let record = content.to_record(Version::random(), Timestamp::MIN, idle, None, &RULES).unwrap();
    assert_eq!(crate::head::Head::read(&record).unwrap().1, RECORD);
}

#[test]
fn a_record_is_one_map_for_any_reader_of_messagepack() {
    let fields: BTreeMap<String, serde::de::IgnoredAny> = rmp_serde::from_slice(RECORD).unwrap();
    assert_eq!(fields.into_keys().collect::<String>(), "aflnpvxzz");
}

// ---- hostile bytes ----

#[test]
fn a_length_that_lies_is_corrupt_at_once() {
    let value = |bytes: &[u8]| [b"\xde\x00\x01\xa1v\x81\xa1k", bytes].concat();
    for lie in [
        &b"\xdd\xff\xff\xff\xff\x01"[..], // an array of 4 billion
        b"\xdf\xff\xff\xff\xff\x01\x01",  // a map
        b"\xdb\xff\xff\xff\xffx",         // a text
        b"\xc6\xff\xff\xff\xffx",         // bytes
        b"\xc9\xff\xff\xff\xff\x01x",     // an extension
        b"\x92\x01",
        b"\xa5four",
        b"\xcf\x01",
        b"\xc1",
    ] {
        assert_eq!(read(&value(lie)).unwrap_err().kind(), ErrorKind::Corrupt, "{lie:x?}");
    }
    for envelope in [
        &b"\xde"[..],
        b"\xde\x00",
        b"\xde\xff\xff",
        b"\xde\x00\x00\x00",
        b"\xde\x00\x01\xa1f\x81\xa1i\xdd\xff\xff\xff\xff",
    ] {
        assert_eq!(read(envelope).unwrap_err().kind(), ErrorKind::Corrupt, "{envelope:x?}");
    }
    assert_eq!(read(b"\xde\x00\x00").unwrap(), Content::empty(Timestamp::MIN, Codec::MessagePack));
}

#[test]
fn nesting_ends_before_the_stack_does() {
    for level in [&b"\x91"[..], b"\x81\xa1A", b"\x81\xc0", b"\xdc\x00\x01"] {
        let data = [b"\xde\x00\x01\xa1v\x81\xa1k".to_vec(), level.repeat(1 << 16), b"\xc0".to_vec()].concat();
        assert_eq!(read(&data).unwrap_err().kind(), ErrorKind::Corrupt, "{level:x?}");
    }
}

// ---- values ----

/// Sequence that announces two elements and writes another number of them.
struct Liar(usize);

impl Serialize for Liar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(2))?;
        (0..self.0).try_for_each(|n| seq.serialize_element(&n))?;
        seq.end()
    }
}

#[test]
fn a_type_that_lies_about_its_length_spoils_no_record() {
    for elements in [0, 1, 3] {
        assert_eq!(RULES.encode(Codec::MessagePack, "n", &Liar(elements)).unwrap_err().kind(), ErrorKind::Other);
    }
    assert_eq!(packed(&Liar(2)).decode::<[u8; 2]>("n").unwrap(), [0, 1]);
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Point,
    Circle(f32),
    Square(u8, u8),
    Text { of: String },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u64),
    Bytes(#[serde(with = "serde_bytes")] Vec<u8>),
    Texts(Vec<String>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    a: Option<i8>,
    #[serde(flatten)]
    rest: BTreeMap<String, Shape>,
}

#[test]
fn whatever_serde_knows_comes_back() {
    fn same<T: Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(value: T) {
        assert_eq!(packed(&value).decode::<T>("n").unwrap(), value);
    }
    same((u128::MAX, i128::MIN, 'ß', ()));
    same((Some(1), None::<u8>, Some(Shape::Point), Some(Shape::Circle(0.1))));
    same(vec![Shape::Square(1, 2), Shape::Text { of: "x".into() }, Shape::Point]);
    same([Untagged::Number(7), Untagged::Bytes(vec![0, 255]), Untagged::Texts(vec!["a".into()])]);
    same(Flat { a: None, rest: [("x".into(), Shape::Circle(1.5)), ("y".into(), Shape::Point)].into() });
    same(BTreeMap::from([((1_u8, 'x'), "tuples are keys too".to_owned())]));
    same("127.0.0.1".parse::<IpAddr>().unwrap());
    same(serde_json::json!({"a": [1, -1, 1.5, null, true], "b": {}}));
}

#[test]
fn fields_of_a_struct_may_come_and_go() {
    #[derive(Serialize)]
    struct Before {
        gone: u8,
        kept: u8,
    }
    #[derive(Deserialize)]
    struct After {
        #[serde(default)]
        new: u8,
        kept: u8,
    }
    let read: After = packed(&Before { gone: 1, kept: 2 }).decode("n").unwrap();
    assert_eq!((read.kept, read.new), (2, 0));
}

#[test]
fn bytes_are_bytes() {
    let bytes = vec![0xff; 1_000];
    assert_eq!(packed(serde_bytes::Bytes::new(&bytes)).raw.len(), 1_003);
    assert_eq!(packed(&bytes).raw.len(), 2_003);
    assert_eq!(RULES.encode(Codec::Json, "n", &bytes).unwrap().raw.len(), 4_001);
}

#[test]
fn a_value_of_another_type_says_so_and_is_not_shown() {
    let error = packed("top secret").decode::<u32>("n").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongType);
    let text = r#"a session value is of another type: it is not a u32 ("n")"#;
    assert_eq!(error.to_string(), text);
}
