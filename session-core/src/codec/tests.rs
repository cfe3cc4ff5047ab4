//! Tests of properties that every codec has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::IgnoredAny;

use super::limits::{JSON, MESSAGEPACK};
use super::*;
use crate::head::{Head, Trail};
use crate::sealed_id::SealedId;
use crate::{ErrorKind, Principal, Record, StoreKey, Timestamp, Version};

#[cfg(feature = "messagepack")]
const CODECS: &[Codec] = &[Codec::Json, Codec::MessagePack];
#[cfg(not(feature = "messagepack"))]
const CODECS: &[Codec] = &[Codec::Json];

const IDLE: Duration = Duration::from_secs(60);

const RULES: Rules = Rules { codec: Codec::Json, limits: Limits::new().max_data_len(1 << 20), limited_by_store: false };

fn encode<T: Serialize + ?Sized>(codec: Codec, value: &T) -> Value {
    RULES.encode(codec, "n", value).unwrap()
}

fn until_millis(value: Value, until: Option<i64>) -> Value {
    Value { until: until.map(|millis| Timestamp::from_millis(millis).unwrap()), ..value }
}

fn any_codec() -> impl Strategy<Value = Codec> {
    proptest::sample::select(CODECS)
}

fn any_value(codec: Codec) -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(move |n| encode(codec, &n)),
        any::<u64>().prop_map(move |n| encode(codec, &n)),
        any::<f64>().prop_map(move |n| encode(codec, &n)),
        ".*".prop_map(move |s| encode(codec, &s)),
        vec(".*", 0..4).prop_map(move |s| encode(codec, &s)),
        btree_map(".*", any::<i32>(), 0..4).prop_map(move |m| encode(codec, &m)),
        btree_map(any::<i64>(), any::<bool>(), 0..4).prop_map(move |m| encode(codec, &m)),
        vec(any::<u8>(), 0..40).prop_map(move |b| encode(codec, serde_bytes::Bytes::new(&b))),
    ]
}

prop_compose! {
    fn any_id_age()(
        since in 0..Timestamp::MAX.as_millis(),
        before in proptest::option::of(any::<([u8; 32], [u8; 32])>()),
        seen in proptest::option::of(0..Timestamp::MAX.as_millis()),
    ) -> IdAge {
        let instant = |ms| Timestamp::from_millis(ms).unwrap();
        let before = before.map(|(key, sealed)| OldId {
            key: StoreKey::from_bytes(key),
            sealed: SealedId::from_bytes(sealed),
            seen: seen.map(instant),
        });
        IdAge { since: instant(since), before }
    }
}

prop_compose! {
    fn any_content()(codec in any_codec())(
        codec in Just(codec),
        values in btree_map(".*", (any_value(codec), proptest::option::of(0..Timestamp::MAX.as_millis())), 0..6),
        flashes in btree_map(".*", vec((any::<u64>(), any_value(codec)), 0..3), 0..3),
        unknown in btree_map("[x-z]{2,4}", any_value(codec), 0..3),
        (idle, absolute, persistent, remember) in any::<(Option<u32>, Option<u32>, bool, bool)>(),
        auth_time in proptest::option::of(0..Timestamp::MAX.as_millis()),
        (label, name) in proptest::option::of((".*", ".*")).prop_map(Option::unzip),
        principal in proptest::option::of("[^\0]{1,50}"),
        id_age in proptest::option::of(any_id_age()),
    ) -> Content {
        let named = |map: BTreeMap<String, Value>| map.into_iter().map(|(k, v)| (k.into(), v)).collect();
        Content {
            codec,
            created_at: Timestamp::MIN,
            principal: principal.map(|p| Principal::new(p).unwrap()),
            auth_time: auth_time.map(|ms| Timestamp::from_millis(ms).unwrap()),
            label: label.map(Into::into),
            name: name.map(Into::into),
            own: OwnPolicy {
                idle: idle.map(|ms| Duration::from_millis(ms.into())),
                absolute: absolute.map(|ms| Duration::from_millis(ms.into())),
                persistent,
                remember,
            },
            id_age: id_age.map(Arc::new),
            values: named(values.into_iter().map(|(key, (value, until))| (key, until_millis(value, until))).collect()),
            flashes: flashes
                .into_iter()
                .map(|(k, v)| (k.into(), v.into_iter().map(|(id, value)| Flash { id, value }).collect()))
                .collect(),
            unknown: named(unknown),
        }
    }
}

fn record(data: impl Into<Bytes>) -> Record {
    Record::new(Version::random(), Timestamp::MIN, Timestamp::MAX, None, data.into())
}

/// Checks that content that was read can be written and read again, and that decoding its values does not panic.
fn holds_together(content: &Content) {
    let written = content.to_record(Version::random(), Timestamp::MIN, IDLE, None, &RULES).unwrap();
    let Ok((Stored::Content(again), _)) = Stored::read(&written) else { panic!("what was read does not come back") };
    assert_eq!(*again, *content);
    let flashes = content.flashes.values().flatten().map(|flash| &flash.value);
    for value in content.values.values().chain(flashes) {
        let _any = value.decode::<IgnoredAny>("n");
        let _numbers = value.decode::<Vec<u64>>("n");
        let _map = value.decode::<BTreeMap<String, Option<f64>>>("n");
        let _result = value.decode::<Result<String, i8>>("n");
    }
}

proptest! {
    #[test]
    fn content_and_trail_come_back_as_they_went_in(content in any_content(), has_trail: bool) {
        let (before, version) = (Version::random(), Version::random());
        let trail = Trail::of(before);
        let record = content.to_record(version, Timestamp::MIN, IDLE, has_trail.then_some(&trail), &RULES).unwrap();
        let (_, envelope) = Head::read(&record).unwrap();
        prop_assert_eq!(envelope[0], if content.codec == Codec::Json { JSON } else { MESSAGEPACK });
        if content.codec == Codec::Json {
            prop_assert!(serde_json::from_slice::<IgnoredAny>(envelope).is_ok());
        }
        let Ok((Stored::Content(read), Head { idle, trail })) = Stored::read(&record) else { panic!("not a session") };
        prop_assert_eq!((&*read, idle), (&content, Some(IDLE)));
        prop_assert!(trail.contains(version) && trail.contains(before) == has_trail);
        // Nothing is copied.
        for value in read.values.values().filter(|value| !value.raw.is_empty()) {
            prop_assert!(record.data.as_ptr_range().contains(&value.raw.as_ptr()));
        }
    }

    #[test]
    fn numbers_and_bytes_come_back_exactly(
        signed: i64, unsigned: u64, float: f64, single: f32, bytes: Vec<u8>,
        map: BTreeMap<i64, u8>, codec in any_codec(),
    ) {
        prop_assert_eq!(encode(codec, &signed).decode::<i64>("n").unwrap(), signed);
        prop_assert_eq!(encode(codec, &unsigned).decode::<u64>("n").unwrap(), unsigned);
        prop_assert_eq!(encode(codec, &float).decode::<f64>("n").unwrap().to_bits(), float.to_bits());
        prop_assert_eq!(encode(codec, &single).decode::<f32>("n").unwrap().to_bits(), single.to_bits());
        prop_assert_eq!(&encode(codec, &bytes).decode::<Vec<u8>>("n").unwrap(), &bytes);
        let stated = encode(codec, serde_bytes::Bytes::new(&bytes));
        prop_assert_eq!(&stated.decode::<serde_bytes::ByteBuf>("n").unwrap()[..], &bytes[..]);
        prop_assert_eq!(&stated.decode::<Vec<u8>>("n").unwrap(), &bytes);
        prop_assert_eq!(encode(codec, &map).decode::<BTreeMap<i64, u8>>("n").unwrap(), map);
    }

    #[test]
    fn arbitrary_bytes_are_an_error_and_no_panic(mut data: Vec<u8>, first in proptest::option::of(0..2_usize)) {
        match first {
            Some(0) => data.insert(0, JSON),
            Some(_) => data.splice(0..0, [MESSAGEPACK, 0, 1, 0xa1, b'v']).for_each(drop),
            None => {}
        }
        match Stored::read(&record(data)) {
            Ok((Stored::Content(content), _)) => holds_together(&content),
            Ok((Stored::Tombstone(_), _)) => {}
            Err(error) => prop_assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn one_changed_bit_or_a_cut_is_never_a_panic(content in any_content()) {
        let data = content.to_record(Version::random(), Timestamp::MIN, IDLE, None, &RULES).unwrap().data;
        let short = data.len().min(600);
        for at in 0..short * 8 {
            let mut changed = data.to_vec();
            changed[at / 8] ^= 1 << (at % 8);
            if let Ok((Stored::Content(content), _)) = Stored::read(&record(changed)) {
                holds_together(&content);
            }
        }
        for len in 2..short {
            prop_assert!(Stored::read(&record(data.slice(..len))).is_err(), "cut to {} bytes it is still a session", len);
        }
    }
}

#[test]
fn the_limits_are_the_same_in_every_codec() {
    for codec in CODECS.iter().copied() {
        let rules = Rules { limits: Limits::new().max_data_len(200).max_keys(1).max_flashes(1), ..RULES };
        let kind = |content: &Content| {
            content.to_record(Version::random(), Timestamp::MIN, IDLE, None, &rules).unwrap_err().kind()
        };
        let mut content = Content::empty(Timestamp::MIN, codec);
        for key in ["a", "b"] {
            content.values.insert(key.into(), encode(codec, &1));
        }
        assert_eq!(kind(&content), ErrorKind::TooLarge, "two keys");
        content.values.clear();
        let flash = Flash { id: 1, value: encode(codec, &1) };
        content.flashes.insert("a".into(), vec![flash.clone(), flash]);
        assert_eq!(kind(&content), ErrorKind::TooLarge, "two flashes");
        content.flashes.clear();
        content.values.insert("a".into(), encode(codec, &"x".repeat(190)));
        content.label = Some("y".repeat(20).into());
        assert_eq!(kind(&content), ErrorKind::TooLarge, "together");
        assert_eq!(rules.encode(codec, "n", &"x".repeat(200)).unwrap_err().kind(), ErrorKind::TooLarge);
    }
}

/// Value of any depth.
#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
enum Nest {
    Inner(Box<Nest>),
    End,
}

#[test]
fn what_can_be_stored_can_be_read_however_deep_and_nothing_deeper_is_stored() {
    for codec in CODECS.iter().copied() {
        let rules = Rules { limits: Limits::new().max_depth(1_000), ..RULES };
        let nest = |levels| (0..levels).fold(Nest::End, |inner, _| Nest::Inner(Box::new(inner)));
        let deepest = nest(127);
        assert_eq!(rules.encode(codec, "n", &deepest).unwrap().decode::<Nest>("n").unwrap(), deepest);
        assert_eq!(rules.encode(codec, "n", &nest(128)).unwrap_err().kind(), ErrorKind::TooLarge);
        let usual = Rules { limits: Limits::new(), ..rules };
        assert!(usual.encode(codec, "n", &nest(64)).is_ok());
        assert_eq!(usual.encode(codec, "n", &nest(65)).unwrap_err().kind(), ErrorKind::TooLarge);
    }
}

/// Reads and writes a record of the first release with all fields. `zz` is a field that this release does not know.
#[test]
fn the_layout_of_json_is_this() {
    let json = br#"{"v":{"n":1},"f":{"i":[[7,"x"]]},"p":{"i":9,"p":true,"r":true},"a":5,"l":"lab","n":"id","x":{"n":6},"zz":[1]}"#;
    let mut expected = Content::empty(Timestamp::MIN, Codec::Json);
    expected.values.insert("n".into(), until_millis(encode(Codec::Json, &1), Some(6)));
    expected.flashes.insert("i".into(), vec![Flash { id: 7, value: encode(Codec::Json, "x") }]);
    expected.own = OwnPolicy { idle: Some(Duration::from_millis(9)), absolute: None, persistent: true, remember: true };
    expected.auth_time = Some(Timestamp::from_millis(5).unwrap());
    expected.label = Some("lab".into());
    expected.name = Some("id".into());
    expected.unknown.insert("zz".into(), encode(Codec::Json, &[1]));
    let Ok((Stored::Content(read), _)) = Stored::read(&record(&json[..])) else { panic!("not a session") };
    assert_eq!(*read, expected);
    let record = read.to_record(Version::random(), Timestamp::MIN, IDLE, None, &RULES).unwrap();
    assert_eq!(Head::read(&record).unwrap().1, json);
}

#[test]
fn a_deadline_that_is_no_instant_is_corrupt() {
    for wrong in [r#"{"v":{"n":1},"x":{"n":-1}}"#, r#"{"v":{"n":1},"x":{"n":"soon"}}"#, r#"{"x":[]}"#] {
        assert_eq!(Stored::read(&record(wrong)).err().unwrap().kind(), ErrorKind::Corrupt, "{wrong}");
    }
}

proptest! {
    #[test]
    fn depth_is_what_a_parser_would_count(levels in 0_usize..100) {
        let nested = format!("{}\"[{{\\\"\"{}", "[".repeat(levels), "]".repeat(levels));
        prop_assert_eq!(super::value::json_depth(nested.as_bytes()), levels);
    }
}

#[cfg(not(feature = "messagepack"))]
#[test]
fn a_codec_that_is_not_built_in_is_unsupported_and_not_corrupt() {
    let error = Stored::read(&record(vec![MESSAGEPACK, 0, 0])).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}
