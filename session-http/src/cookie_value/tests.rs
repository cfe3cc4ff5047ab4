//! Values from clients are read safely, and only those made with a key of the ring are accepted.

use proptest::prelude::*;
use session_core::{Bytes, Principal, Timestamp, Version, hours};
use session_crypto::KeyRing;

use super::*;

fn ring(keys: &[u8]) -> KeyRing {
    let secret = |n: u8| (n..n + 32).collect::<Vec<u8>>();
    let ring = KeyRing::new(&secret(keys[0])).unwrap();
    keys[1..].iter().fold(ring, |ring, n| ring.and(&secret(*n)).unwrap())
}

fn signing(keys: &[u8], accept_unsigned: bool) -> Value {
    Value::Signed { signer: ring(keys).signer("id", "id"), accept_unsigned }
}

fn sealing(keys: &[u8]) -> Value {
    Value::Sealed(ring(keys).sealer("cookie", "id"))
}

fn record(principal: Option<&str>, data: &[u8]) -> Record {
    let created = Timestamp::from_millis(1_700_000_000_000).unwrap();
    let principal = principal.map(|who| Principal::new(who).unwrap());
    Record::new(Version::random(), created, created.plus(hours(1)), principal, Bytes::copy_from_slice(data))
}

/// Clears the version, which a cookie does not carry.
fn unversioned(mut record: Record) -> Record {
    record.version = Version::from_i64(0).unwrap();
    record
}

fn id() -> String {
    SessionId::random().encode()
}

/// Every value that differs from `value` in one bit of one character.
fn one_bit_off(value: &str) -> impl Iterator<Item = String> + '_ {
    (0..value.len() * 8).filter_map(|bit| {
        let mut bytes = value.as_bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        // The parser has already rejected values that are not UTF-8.
        String::from_utf8(bytes).ok()
    })
}

#[test]
fn every_change_of_one_bit_of_a_signed_id_is_refused() {
    let (id, value) = (id(), signing(&[1, 2], false));
    let written = value.write(&id, None);
    assert!(value.read(&written).is_some_and(|read| read.id == id && read.current));
    for changed in one_bit_off(&written) {
        assert!(value.read(&changed).is_none(), "{changed}");
    }
    for length in 0..written.len() {
        assert!(value.read(&written[..length]).is_none(), "{length} characters");
    }
    assert!(value.read(&format!("{written}A")).is_none());
}

#[test]
fn every_change_of_one_bit_of_a_sealed_session_is_refused() {
    let value = sealing(&[1, 2]);
    // Three lengths, so that the last character has unused bits, or none.
    for data in [&b"{}"[..], b"{ }", b"{  }"] {
        let written = value.write(&id(), Some(&record(Some("ann"), data))).into_owned();
        assert!(value.read(&written).is_some());
        for changed in one_bit_off(&written) {
            assert!(value.read(&changed).is_none(), "{changed}");
        }
        for length in 0..written.len() {
            assert!(value.read(&written[..length]).is_none(), "{length} characters");
        }
        assert!(value.read(&format!("{written}A")).is_none());
    }
}

#[test]
fn an_older_key_reads_and_a_strangers_does_not() {
    let (id, record) = (id(), record(None, b"{}"));
    for make in [|keys: &[u8]| signing(keys, false), |keys: &[u8]| sealing(keys)] {
        let written = make(&[1]).write(&id, Some(&record)).into_owned();
        assert!(make(&[1, 2]).read(&written).is_some_and(|read| read.current));
        assert!(make(&[2, 1]).read(&written).is_some_and(|read| !read.current && read.id == id));
        assert!(make(&[2]).read(&written).is_none());
    }
}

#[test]
fn an_unsigned_id_is_taken_only_on_demand_and_is_to_be_written_again() {
    let id = id();
    assert!(signing(&[1], false).read(&id).is_none());
    assert!(signing(&[1], true).read(&id).is_some_and(|read| !read.current));
    assert!(signing(&[1], true).read(&format!("{id}.")).is_none());
}

#[test]
fn names_and_uses_are_apart() {
    let (id, record, ring) = (id(), record(None, b"{}"), ring(&[1]));
    let other = Value::Sealed(ring.sealer("cookie", "admin"));
    let sealed = sealing(&[1]).write(&id, Some(&record)).into_owned();
    assert!(other.read(&sealed).is_none());
    let other = Value::Signed { signer: ring.signer("id", "admin"), accept_unsigned: false };
    let signed = signing(&[1], false).write(&id, None).into_owned();
    assert!(other.read(&signed).is_none());
}

/// The layout is a promise: a session that an earlier release has sealed must open in a later one.
#[test]
fn what_was_sealed_before_still_opens() {
    let read = sealing(&[0]).read(BEFORE).unwrap();
    assert_eq!(read.id, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(read.record.map(unversioned), Some(unversioned(record(Some("ann"), br#"{"v":{"n":1}}"#))));
}

const BEFORE: &str = "ARHKenofACtmeT09ngBygk2UOPwCQHemAKj5GtCU1iII1CkwBBINII4qkqfdZPNqbyThgol9zDi4ehMEpwyS36Y7lkkWlxh_\
                      OB1RaFUbXDpN29Hyw3OPTB7VUrDsFvNDVpZc6-quJhLZHSnvspdf";

proptest! {
    #[test]
    fn any_record_comes_back(principal in proptest::option::of("[^\0]{1,60}"), data: Vec<u8>) {
        let (id, value, record) = (id(), sealing(&[1]), record(principal.as_deref(), &data));
        let written = value.write(&id, Some(&record)).into_owned();
        prop_assert_eq!(written.len(), sealed_len(&record));
        prop_assume!(written.len() <= CookieOptions::MAX_LEN);
        let read = value.read(&written).unwrap();
        prop_assert_eq!(&*read.id, &id);
        prop_assert_eq!(read.record.map(unversioned), Some(unversioned(record)));
    }

    #[test]
    fn arbitrary_text_is_refused_without_a_panic(text in "\\PC{0,300}|[A-Za-z0-9_.-]{0,5000}") {
        prop_assert!(signing(&[1, 2], false).read(&text).is_none());
        prop_assert!(sealing(&[1, 2]).read(&text).is_none());
    }

    #[test]
    fn arbitrary_bytes_after_a_right_beginning_are_refused(n in 0..200_usize, bytes: Vec<u8>) {
        let value = sealing(&[1]);
        let written = value.write(&id(), Some(&record(Some("ann"), b"{}"))).into_owned();
        let sealed = URL_SAFE_NO_PAD.decode(&written).unwrap();
        let raw = [&sealed[..n.min(sealed.len() - 1)], &bytes].concat();
        // The random bytes may happen to equal the bytes that were cut off.
        prop_assume!(raw != sealed);
        prop_assert!(value.read(&URL_SAFE_NO_PAD.encode(&raw)).is_none());
    }

    /// Unsealed bytes are checked like any other input.
    #[test]
    fn arbitrary_bytes_are_no_layout_or_one_that_writes_the_same(mut bytes: Vec<u8>, ours: bool) {
        if let Some(first) = bytes.first_mut().filter(|_| ours) {
            *first = 1;
        }
        if let Some((id, record)) = format::read(&bytes) {
            prop_assert_eq!(&*format::write(&id, &record), &bytes);
            prop_assert!(record.data.len() < bytes.len());
        }
    }
}
