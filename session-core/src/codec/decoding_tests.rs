//! Tests of decoded forms that copies of a record share.

use std::sync::Arc;

use bytes::Bytes;

use super::{Content, Stored};
use crate::{Principal, Record, Timestamp, Version};

fn record() -> Record {
    let data = Bytes::copy_from_slice(br#"{"v":{"n":1}}"#);
    Record::new(Version::random(), Timestamp::MIN, Timestamp::MAX, None, data)
}

fn content(record: &Record) -> Arc<Content> {
    match Stored::read(record) {
        Ok((Stored::Content(content), _)) => content,
        _ => panic!("not a session"),
    }
}

#[test]
fn copies_of_a_record_are_decoded_once() {
    let mut record = record();
    let apart = record.clone();
    record.share_decoding();
    let (first, second) = (record.clone(), record.clone());
    assert!(Arc::ptr_eq(&content(&first), &content(&second)));
    assert!(Arc::ptr_eq(&content(&first), &content(&first.compact())), "a copy with its own buffer is still the same");
    assert!(!Arc::ptr_eq(&content(&apart), &content(&apart)), "this one is not shared");
    drop(record.take_decoding());
    assert!(!Arc::ptr_eq(&content(&first), &content(&record)));
}

#[test]
fn a_copy_that_was_changed_is_decoded_again() {
    let mut record = record();
    record.share_decoding();
    let before = content(&record);
    let mut other = record.clone();
    other.data = Bytes::from_static(br#"{"v":{"n":2}}"#);
    assert_ne!(content(&other), before);
    let mut other = record.clone();
    other.version = Version::random();
    assert!(!Arc::ptr_eq(&content(&other), &before), "its head has another version");
    let mut other = record.clone();
    other.principal = Some(Principal::new("ann").unwrap());
    assert_eq!(content(&other).principal, other.principal);
    let mut other = record.clone();
    other.created_at = Timestamp::MAX;
    assert_eq!(content(&other).created_at, Timestamp::MAX);
    other = record.clone();
    other.expires_at = Timestamp::MIN;
    assert!(Arc::ptr_eq(&content(&other), &before), "its content does not depend on its expiry");
}

#[test]
fn other_data_in_a_copy_stays_out_of_what_is_shared() {
    let mut sealed = record();
    sealed.share_decoding();
    let mut opened = sealed.clone();
    opened.data = Bytes::from_static(br#"{"v":{"secret":2}}"#);
    assert!(content(&opened).values.contains_key("secret"));
    assert!(!Arc::ptr_eq(&content(&opened), &content(&opened)));
    assert!(content(&sealed).values.contains_key("n"), "what the other data were decoded to is not shared");
    assert!(!opened.compact().shares_decoding());
}
