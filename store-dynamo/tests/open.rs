//! Tests of the table: creation, refusal of foreign tables, and stored items.

mod common;

use std::num::NonZeroU32;
use std::time::Duration;

use common::{Item, Server, bytes, item, number};
use session_conformance::fixtures::now;
use session_core::{
    Bytes, Call, Clock, ErrorKind, Outcome, Principal, Record, Store, StoreKey, SystemClock, Timestamp, Version, days,
    hours, minutes,
};
use session_store_dynamo::DynamoStore;
use session_store_dynamo::aws_sdk_dynamodb::Client;
use session_store_dynamo::aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TimeToLiveStatus,
};
use tokio::task::JoinSet;

const BOUND: NonZeroU32 = NonZeroU32::new(10_000).unwrap();

fn key(n: u8) -> StoreKey {
    StoreKey::from_bytes([n; 32])
}

fn who(name: &str) -> Principal {
    Principal::new(name).unwrap()
}

fn record(principal: Option<&str>, data: &[u8]) -> Record {
    let now = SystemClock.now();
    Record::new(Version::random(), now, now.plus(hours(1)), principal.map(who), Bytes::copy_from_slice(data))
}

fn next(record: &Record) -> Record {
    let mut next = record.clone();
    next.version = Version::random();
    next
}

async fn put(store: &DynamoStore, key: &StoreKey, record: &Record) {
    assert_eq!(store.create(&now(), key, record).await.unwrap(), Outcome::Done);
}

async fn refused(options: &str) -> String {
    let error = DynamoStore::connect(&Server::get().url_with(options)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    error.to_string()
}

/// Returns a number in a stored item.
fn stored(item: &Item, name: &str) -> i64 {
    match item.get(name) {
        Some(AttributeValue::N(digits)) => digits.parse().unwrap(),
        other => panic!("{name} is {other:?}"),
    }
}

async fn expires(client: &Client, table: &str) -> bool {
    let expiry = client.describe_time_to_live().table_name(table).send().await.unwrap();
    let expiry = expiry.time_to_live_description.unwrap();
    expiry.attribute_name() == Some("ttl")
        && matches!(expiry.time_to_live_status(), Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_that_open_at_once_make_one_table_that_expires() {
    let server = Server::get();
    server.clean("test_ten").await;
    let mut opening = JoinSet::new();
    for n in 0..10 {
        let url = server.url_with("namespace=test_ten");
        opening.spawn(async move { (n, DynamoStore::connect(&url).await.unwrap()) });
    }
    for (n, store) in opening.join_all().await {
        put(&store, &key(n), &record(None, b"x")).await;
    }
    assert!(expires(&server.foreign(), "test_ten").await);
}

/// Creates the table of a template, as CloudFormation would.
async fn make(client: &Client, template: &str) {
    let template: serde_json::Value = serde_json::from_str(template).unwrap();
    let table = &template["Resources"]["Sessions"]["Properties"];
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let name = text(&table["TableName"]);
    let mut request = client.create_table().table_name(&name).billing_mode(BillingMode::PayPerRequest);
    assert_eq!(table["BillingMode"], "PAY_PER_REQUEST");
    for attribute in table["AttributeDefinitions"].as_array().unwrap() {
        let kind = ScalarAttributeType::from(attribute["AttributeType"].as_str().unwrap());
        let definition = AttributeDefinition::builder().attribute_name(text(&attribute["AttributeName"]));
        request = request.attribute_definitions(definition.attribute_type(kind).build().unwrap());
    }
    for attribute in table["KeySchema"].as_array().unwrap() {
        let kind = KeyType::from(attribute["KeyType"].as_str().unwrap());
        let element = KeySchemaElement::builder().attribute_name(text(&attribute["AttributeName"]));
        request = request.key_schema(element.key_type(kind).build().unwrap());
    }
    request.send().await.unwrap();
    assert_eq!(table["TimeToLiveSpecification"], serde_json::json!({ "AttributeName": "ttl", "Enabled": true }));
}

#[tokio::test]
async fn without_create_the_table_comes_from_the_schema() {
    let server = Server::get();
    server.clean("test_schema").await;
    let error = refused("namespace=test_schema&create=false").await;
    assert!(error.contains("there is no table `test_schema`"), "{error}");
    make(&server.foreign(), &DynamoStore::schema("test_schema").unwrap()).await;
    let store = DynamoStore::connect(&server.url_with("namespace=test_schema&create=false")).await.unwrap();
    put(&store, &key(1), &record(Some("ann"), b"x")).await;
    assert!(!expires(&server.foreign(), "test_schema").await, "nothing but data is changed without create");
    DynamoStore::connect(&server.url_with("namespace=test_schema")).await.unwrap();
    assert!(expires(&server.foreign(), "test_schema").await);
}

#[tokio::test]
async fn names_of_tables_that_dynamodb_does_not_take_are_refused() {
    let _server = Server::get();
    let error = refused("namespace=ab").await;
    assert!(error.contains("at least 3 characters"), "{error}");
    assert!(DynamoStore::schema("x\"").is_err());
}

#[tokio::test]
async fn another_layout_is_refused_and_not_misread() {
    let server = Server::get();
    drop(server.fresh("test_layout", "").await);
    let layout = [("pk", bytes(b"layout")), ("sk", bytes(b"layout")), ("layout", number(2))];
    server.put("test_layout", item(layout)).await.unwrap();
    let error = refused("namespace=test_layout").await;
    assert!(error.contains("layout 2"), "{error}");
    drop(server.fresh("test_layout_other", "").await);
}

#[tokio::test]
async fn a_foreign_table_is_refused() {
    let server = Server::get();
    server.clean("test_theirs").await;
    let theirs = DynamoStore::schema("test_theirs").unwrap().replace("\"B\"", "\"S\"");
    make(&server.foreign(), &theirs).await;
    let error = refused("namespace=test_theirs").await;
    assert!(error.contains("was not made by this store"), "{error}");
}

#[tokio::test]
async fn a_removed_table_is_an_outage_until_it_is_back() {
    let server = Server::get();
    let store = server.fresh("test_removed", "").await;
    put(&store, &key(1), &record(None, b"x")).await;
    server.clean("test_removed").await;
    assert_eq!(store.load(&now(), &key(1)).await.unwrap_err().kind(), ErrorKind::Unavailable);
    make(&server.foreign(), &DynamoStore::schema("test_removed").unwrap()).await;
    assert_eq!(store.load(&now(), &key(1)).await.unwrap(), None);
    put(&store, &key(1), &record(None, b"x")).await;
}

#[tokio::test]
async fn an_applications_own_client_serves() {
    let server = Server::get();
    server.clean("test_client").await;
    let store = DynamoStore::from_client(server.foreign()).namespace("test_client").open().await.unwrap();
    let record = record(Some("ann"), b"x");
    put(&store, &key(1), &record).await;
    assert_eq!(store.load(&now(), &key(1)).await.unwrap(), Some(record));
}

#[tokio::test]
async fn a_session_of_almost_400_kb_is_stored_and_no_longer_one_could_be() {
    let server = Server::get();
    let store = server.fresh("test_large", "").await;
    let most = store.capabilities().max_data_len.unwrap();
    assert!(most > 399 * 1024, "{most}");
    // Everything else has its maximum length.
    let mut large = record(Some(&"é".repeat(127)), &vec![b'x'; most]);
    large.principal = Some(who(&format!("{}x", "é".repeat(127))));
    large.version = Version::from_i64(i64::MAX).unwrap();
    (large.created_at, large.expires_at) = (SystemClock.now(), Timestamp::MAX);
    put(&store, &key(1), &large).await;
    assert_eq!(store.load(&now(), &key(1)).await.unwrap(), Some(large.clone()));
    let mut newer = large.clone();
    newer.version = Version::from_i64(i64::MAX - 1).unwrap();
    assert_eq!(store.save(&now(), &key(1), large.version, &newer).await.unwrap(), Outcome::Done);
    let mut moved = large.clone();
    moved.principal = Some(who(&"y".repeat(255)));
    assert_eq!(store.save(&now(), &key(1), newer.version, &moved).await.unwrap(), Outcome::Done);

    let over = record(None, &vec![b'x'; most + 1]);
    assert_eq!(store.create(&now(), &key(2), &over).await.unwrap_err().kind(), ErrorKind::TooLarge);
    // The server's own limit is only a little higher: its five numbers take up to 21 bytes each, depending on their digits.
    let mut raw = server.item("test_large", common::session(&key(1))).await.unwrap();
    raw.insert("data".to_owned(), bytes(&vec![b'x'; most + 5 * 21]));
    let why = server.put("test_large", raw).await.unwrap_err();
    assert!(why.contains("Item size has exceeded"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_an_answer_has_room_for_comes_in_several() {
    let server = Server::get();
    let store = server.fresh("test_many", "&timeout=120000&pool=8").await;
    // An answer to a batch holds up to 16 MB.
    let mut writing = JoinSet::new();
    for n in 0..50 {
        let store = store.clone();
        writing.spawn(async move { put(&store, &key(n), &record(Some("ann"), &vec![n; 390_000])).await });
    }
    writing.join_all().await;
    let sessions = store.sessions_of(&now(), &who("ann"), BOUND).await.unwrap();
    assert_eq!(sessions.len(), 50);
    for (key, record) in sessions {
        assert_eq!(record.data, vec![key.as_bytes()[0]; 390_000]);
    }
    let mut loading = JoinSet::new();
    for n in 0..50 {
        let store = store.clone();
        loading.spawn(async move { store.load(&now(), &key(n)).await.unwrap().unwrap().data[0] == n });
    }
    assert!(loading.join_all().await.into_iter().all(|right| right));
    assert_eq!(store.delete_all(&now(), &who("ann"), Some(&key(7))).await.unwrap(), 49);
}

#[tokio::test]
async fn principals_that_differ_in_case_or_a_blank_are_apart() {
    let server = Server::get();
    let store = server.fresh("test_people", "").await;
    let people = ["ann", "Ann", "ann ", " ann", "an", "annn", "ánn", "a\u{301}nn"];
    for (n, name) in (0..).zip(people) {
        put(&store, &key(n), &record(Some(name), b"x")).await;
    }
    for (n, name) in (0..).zip(people) {
        let sessions = store.sessions_of(&now(), &who(name), BOUND).await.unwrap();
        let keys: Vec<_> = sessions.into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, [key(n)], "{name:?}");
    }
}

#[tokio::test]
async fn an_entry_outlives_its_session_after_many_touches_and_is_rarely_written() {
    let server = Server::get();
    let store = server.fresh("test_touches", "").await;
    let (ann, mut clock) = (who("ann"), SystemClock.now());
    let mut record = record(Some("ann"), b"x");
    put(&store, &key(1), &record).await;
    let (mut written, mut last) = (0, 0);
    // A session with an expiry of an hour is touched every six minutes for three days, and sometimes saved.
    for n in 1..=720 {
        clock = clock.plus(minutes(6));
        let (call, expires_at) = (Call::new(clock), clock.plus(hours(1)));
        if n % 50 == 0 {
            let mut newer = next(&record);
            newer.expires_at = expires_at;
            assert_eq!(store.save(&call, &key(1), record.version, &newer).await.unwrap(), Outcome::Done);
            record = newer;
        } else {
            assert_eq!(store.touch(&call, &key(1), record.version, expires_at).await.unwrap(), Outcome::Done);
        }
        // After the first 30 steps only every tenth is checked, because a renewal comes about once a day.
        if n % 10 != 0 && n > 30 {
            continue;
        }
        let session = server.item("test_touches", common::session(&key(1))).await.unwrap();
        let entry = server.item("test_touches", common::entry(&ann, &key(1))).await.unwrap();
        let (until, entry) = (stored(&session, "expires_at"), stored(&entry, "ttl"));
        assert_eq!(until, expires_at.as_millis());
        assert_eq!(stored(&session, "ttl"), (until + 999) / 1000);
        assert!(entry * 1000 >= until, "after touch {n} the entry goes at {entry} s, the session at {until} ms");
        assert_eq!(entry, (stored(&session, "index_until") + 999) / 1000);
        written += u32::from(entry != last);
        last = entry;
    }
    assert!(written <= 5, "the entry was written {written} times");
    let sessions = store.sessions_of(&Call::new(clock), &ann, BOUND).await.unwrap();
    assert_eq!(sessions.len(), 1);
}

#[tokio::test]
async fn a_touch_that_is_due_to_renew_the_entry_of_a_session_far_ahead_does_so() {
    let server = Server::get();
    let store = server.fresh("test_renewal", "").await;
    let record = record(Some("ann"), b"x");
    put(&store, &key(1), &record).await;
    let far = SystemClock.now().plus(days(30));
    assert_eq!(store.touch(&now(), &key(1), record.version, far).await.unwrap(), Outcome::Done);
    let entry = server.item("test_renewal", common::entry(&who("ann"), &key(1))).await.unwrap();
    assert!(
        Duration::from_secs(stored(&entry, "ttl").unsigned_abs()).as_millis() >= far.as_millis().unsigned_abs().into()
    );
    // An earlier expiry needs no change, so nothing is written.
    assert_eq!(store.touch(&now(), &key(1), record.version, far.minus(days(1))).await.unwrap(), Outcome::Done);
    let session = server.item("test_renewal", common::session(&key(1))).await.unwrap();
    assert_eq!(stored(&session, "expires_at"), far.as_millis());
}

#[tokio::test]
async fn the_index_changes_with_the_session_and_keeps_nothing_of_the_old() {
    let server = Server::get();
    let store = server.fresh("test_index", "").await;
    let entered = async |name: &str| server.item("test_index", common::entry(&who(name), &key(1))).await.is_some();
    let (first, second) = (record(Some("ann"), b"x"), record(Some("bob"), b"y"));
    put(&store, &key(1), &first).await;
    assert!(entered("ann").await);
    assert_eq!(store.save(&now(), &key(1), first.version, &second).await.unwrap(), Outcome::Done);
    assert!(!entered("ann").await && entered("bob").await);
    let anonymous = record(None, b"z");
    assert_eq!(store.save(&now(), &key(1), second.version, &anonymous).await.unwrap(), Outcome::Done);
    assert!(!entered("bob").await);
    let back = next(&first);
    assert_eq!(store.save(&now(), &key(1), anonymous.version, &back).await.unwrap(), Outcome::Done);
    assert!(entered("ann").await);
    // A session of another principal is created over it once it has expired.
    let later = Call::new(back.expires_at);
    let mut over = next(&second);
    over.expires_at = later.now.plus(hours(1));
    assert_eq!(store.create(&later, &key(1), &over).await.unwrap(), Outcome::Done);
    assert!(!entered("ann").await && entered("bob").await);
    assert_eq!(store.delete(&later, &key(1), Some(over.version)).await.unwrap(), Outcome::Done);
    assert!(!entered("bob").await);
}
