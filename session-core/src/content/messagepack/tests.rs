use std::collections::BTreeMap;
use std::net::IpAddr;

use proptest::prelude::*;
use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize, Serializer};

use super::super::Stored;
use super::super::value::Rules;
use super::*;
use crate::{Limits, Version};

const PACKED: Rules = Rules { codec: Codec::MessagePack, limits: Limits::new() };
const JSON: Rules = Rules { codec: Codec::Json, limits: Limits::new() };

fn read(data: &[u8]) -> Result<Content> {
    let record = Record::new(Version::random(), Timestamp::MIN, Timestamp::MAX, None, Bytes::copy_from_slice(data));
    match Stored::read(&record)? {
        Stored::Content(content) => Ok(content),
        Stored::Tombstone(_) => panic!("a tombstone"),
    }
}

fn packed<T: Serialize + ?Sized>(value: &T) -> Value {
    PACKED.encode(value).unwrap()
}

fn json<T: Serialize + ?Sized>(value: &T) -> Value {
    JSON.encode(value).unwrap()
}

// ---- layout ----

/// What this release writes, later ones read: a value, one in JSON, two flashes, and all the rest.
const RECORD: &[u8] = b"\xde\x00\x08\
    \xa1v\x82\xa1b\xc4\x02\x00\xff\xa1n\x01\
    \xa1w\x81\xa1j\xa3[1]\
    \xa1f\x81\xa1i\x92\x92\x07\xa1x\x93\x08\xa3\"y\"\xc3\
    \xa1p\x82\xa1i\x09\xa1p\xc3\
    \xa1a\x05\
    \xa1l\xa3lab\
    \xa1u\x81\xa2yy\xa4null\
    \xa2zz\x91\x01";

#[test]
fn the_layout_is_this() {
    let content = read(RECORD).unwrap();
    assert_eq!(content.values["b"], packed(serde_bytes::Bytes::new(&[0, 255])));
    assert_eq!(content.values["n"], packed(&1));
    assert_eq!(content.values["j"], json(&[1]));
    let flashes = [Flash { id: 7, value: packed("x") }, Flash { id: 8, value: json("y") }];
    assert_eq!(content.flashes["i"], flashes);
    assert_eq!(content.own.idle, Some(std::time::Duration::from_millis(9)));
    assert!(content.own.persistent);
    assert_eq!(content.auth_time.unwrap().as_millis(), 5);
    assert_eq!(content.label.as_deref(), Some("lab"));
    assert_eq!(content.unknown["yy"], json(&()));
    assert_eq!(content.unknown["zz"], packed(&[1]));
    assert_eq!(content.to_record(Timestamp::MAX, &PACKED).unwrap().data, RECORD);
}

#[test]
fn a_record_is_one_map_for_any_reader_of_messagepack() {
    let fields: BTreeMap<String, serde::de::IgnoredAny> = rmp_serde::from_slice(RECORD).unwrap();
    assert_eq!(fields.into_keys().collect::<String>(), "aflpuvwzz");
}

// ---- one codec after the other ----

#[test]
fn values_keep_their_codec_and_a_record_goes_back_to_json_with_the_last_of_them() {
    let mut content = Content::empty(Timestamp::MIN);
    content.values.insert("old".into(), json(&1));
    let write = |content: &Content, rules| content.to_record(Timestamp::MAX, &rules).unwrap().data;
    assert_eq!(&write(&content, JSON)[..], br#"{"v":{"old":1}}"#);
    assert_eq!(&write(&content, PACKED)[..], b"\xde\x00\x01\xa1w\x81\xa3old\xa11");
    content.values.insert("new".into(), packed(&2));
    assert_eq!(write(&content, JSON), write(&content, PACKED));
    assert_eq!(read(&write(&content, JSON)).unwrap(), content);
    content.values.insert("new".into(), json(&2));
    assert_eq!(&write(&content, JSON)[..], br#"{"v":{"new":2,"old":1}}"#);
}

#[test]
fn a_text_that_is_no_json_is_corrupt() {
    for text in ["", "1,\"x\":2", "[", "{\"a\":1}}", "nul"] {
        let mut data = b"\xde\x00\x01\xa1w\x81\xa1k".to_vec();
        write_str(&mut data, text).unwrap();
        assert_eq!(read(&data).unwrap_err().kind(), ErrorKind::Corrupt, "{text:?}");
    }
    assert_eq!(read(b"\xde\x00\x01\xa1w\x81\xa1k\xa3 1 ").unwrap().values["k"], json(&1));
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
    assert_eq!(read(b"\xde\x00\x00").unwrap(), Content::empty(Timestamp::MIN));
}

#[test]
fn nesting_ends_before_the_stack_does() {
    for level in [&b"\x91"[..], b"\x81\xa1A", b"\x81\xc0", b"\xdc\x00\x01"] {
        let data = [b"\xde\x00\x01\xa1v\x81\xa1k".to_vec(), level.repeat(1 << 16), b"\xc0".to_vec()].concat();
        assert_eq!(read(&data).unwrap_err().kind(), ErrorKind::Corrupt, "{level:x?}");
    }
}

// ---- values ----

/// Says that it has two elements, and has as many as it likes.
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
        assert_eq!(PACKED.encode(&Liar(elements)).unwrap_err().kind(), ErrorKind::Other);
    }
    assert_eq!(packed(&Liar(2)).decode::<[u8; 2]>().unwrap(), [0, 1]);
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
        assert_eq!(packed(&value).decode::<T>().unwrap(), value);
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
    let read: After = packed(&Before { gone: 1, kept: 2 }).decode().unwrap();
    assert_eq!((read.kept, read.new), (2, 0));
}

#[test]
fn bytes_are_bytes() {
    let bytes = vec![0xff; 1_000];
    assert_eq!(packed(serde_bytes::Bytes::new(&bytes)).raw.len(), 1_003);
    assert_eq!(packed(&bytes).raw.len(), 2_003);
    assert_eq!(json(&bytes).raw.len(), 4_001);
}

#[test]
fn a_value_of_another_type_is_corrupt_and_not_shown() {
    let error = packed("top secret").decode::<u32>().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(error.to_string(), "undecodable session data: a value is not a u32");
}

// ---- the same value in both ----

/// What both codecs can say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Tree {
    Nil(Option<()>),
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Single(f32),
    Text(String),
    Bytes(#[serde(with = "serde_bytes")] Vec<u8>),
    Seq(Vec<Tree>),
    Named(BTreeMap<String, Tree>),
    Numbered(BTreeMap<i32, Tree>),
    Fields { a: u8, b: Box<Tree> },
}

fn any_tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(Tree::Nil(None)),
        any::<bool>().prop_map(Tree::Bool),
        any::<i64>().prop_map(Tree::Signed),
        any::<u64>().prop_map(Tree::Unsigned),
        any::<f64>().prop_map(Tree::Float),
        any::<f32>().prop_map(Tree::Single),
        ".{0,8}".prop_map(Tree::Text),
        any::<Vec<u8>>().prop_map(Tree::Bytes),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Tree::Seq),
            proptest::collection::btree_map(".{0,4}", inner.clone(), 0..4).prop_map(Tree::Named),
            proptest::collection::btree_map(any::<i32>(), inner.clone(), 0..4).prop_map(Tree::Numbered),
            (any::<u8>(), inner).prop_map(|(a, b)| Tree::Fields { a, b: Box::new(b) }),
        ]
    })
}

proptest! {
    #[test]
    fn one_value_in_two_codecs_is_the_same(tree in any_tree()) {
        prop_assert!(json(&tree).is_same(&packed(&tree)));
        prop_assert!(packed(&tree).is_same(&json(&tree)));
        prop_assert_eq!(&packed(&tree).decode::<Tree>().unwrap(), &tree);
    }

    #[test]
    fn two_values_in_two_codecs_are_not(one in any_tree(), other in any_tree()) {
        prop_assume!(json(&one) != json(&other));
        prop_assert!(!json(&one).is_same(&packed(&other)));
        prop_assert!(!packed(&one).is_same(&json(&other)));
    }

    #[test]
    fn any_bytes_can_be_compared(one: Vec<u8>, other: Vec<u8>) {
        let _same = is_same(&one, &other);
    }
}

#[test]
fn what_looks_alike_is_not_the_same() {
    // The byte 0x31 is 49 in MessagePack and 1 in JSON.
    assert!(!json(&1).is_same(&packed(&49)));
    assert!(!json(&0.0).is_same(&packed(&-0.0)));
    assert!(!json(&1).is_same(&packed(&1.0)));
    assert!(!json(&"1").is_same(&packed(&1)));
    assert!(!json(&[1, 2]).is_same(&packed(&[1])));
    assert!(!json(&[1]).is_same(&packed(&[1, 2])));
    assert!(!json(&[1, 2]).is_same(&packed(serde_bytes::Bytes::new(&[1]))));
    assert!(!json(&BTreeMap::from([("a", 1), ("b", 2)])).is_same(&packed(&BTreeMap::from([("a", 1)]))));
    assert!(!json(&None::<u8>).is_same(&packed(&[0_u8; 0])));
}

#[test]
fn what_is_written_over_the_same_value_leaves_it_as_it_is() {
    // To people it is a text, to programs it is not: only where the type is known can it be seen to be the same.
    let address = "::1".parse::<IpAddr>().unwrap();
    let there = json(&address);
    assert!(!there.is_same(&packed(&address)));
    assert_eq!(PACKED.encode_over(&address, Some(&there)).unwrap(), there);
    assert_eq!(JSON.encode_over(&address, Some(&packed(&address))).unwrap(), packed(&address));
    let other = "::2".parse::<IpAddr>().unwrap();
    assert_eq!(PACKED.encode_over(&other, Some(&there)).unwrap(), packed(&other));
    assert_eq!(PACKED.encode_over(&other, None).unwrap(), packed(&other));
}
