//! Tests that are specific to MongoDB: opening, stored documents, and changes by other clients.

mod common;

use std::num::NonZeroU32;
use std::sync::Arc;

use common::{LIMIT, Server, record, sent};
use session_conformance::fixtures::{key, now, put};
use session_core::Outcome::Done;
use session_core::{
    Bytes, Call, Clock as _, ErrorKind, Principal, Store as _, SystemClock, Timestamp, hours, minutes, seconds,
};
use session_store_mongo::MongoStore;
use session_store_mongo::mongodb::bson::{Bson, Document, doc};
use session_store_mongo::mongodb::options::{
    Acknowledgment, ClientOptions, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern,
};
use tokio::task::JoinSet;

/// Returns the server's URL with these options.
fn url(options: &str) -> String {
    Server::get().url_with(options)
}

/// Opens a store on an empty namespace.
async fn fresh(namespace: &str, options: &str) -> MongoStore {
    Server::get().clean(namespace).await;
    MongoStore::connect(&url(&format!("namespace={namespace}{options}"))).await.unwrap()
}

async fn refused(options: &str) -> String {
    let error = MongoStore::connect(&url(options)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    error.to_string()
}

#[tokio::test]
async fn without_create_everything_comes_from_the_schema() {
    let server = Server::get();
    server.clean("test_schema").await;
    let error = refused("namespace=test_schema&create=false").await;
    assert!(error.contains("no collection `test_schema`"), "{error}");
    let script = MongoStore::schema("test_schema").unwrap();
    let database = server.database().await;
    for _ in 0..2 {
        for line in script.lines() {
            let command = line.strip_prefix("db.runCommand(").and_then(|line| line.strip_suffix(");")).unwrap();
            let command: Document = serde_json::from_str(command).unwrap();
            let answer = database.run_command(command).await.unwrap();
            assert!(answer.get_array("writeErrors").is_err(), "{answer}");
        }
    }
    let store = MongoStore::connect(&url("namespace=test_schema&create=false")).await.unwrap();
    put(&store, 1, &record(Some("ann"))).await;
    server.clean("test_schema").await;
}

#[tokio::test]
async fn an_index_that_is_missing_is_named_and_made() {
    let server = Server::get();
    drop(fresh("test_index", "").await);
    for name in ["principal", "expires_at"] {
        server.drop_index("test_index", name).await;
        let error = refused("namespace=test_index&create=false").await;
        assert!(error.contains(&format!("no index of `test_index` on {name}")), "{error}");
        MongoStore::connect(&url("namespace=test_index")).await.unwrap();
        MongoStore::connect(&url("namespace=test_index&create=false")).await.unwrap();
    }
    let of = |mut index: Document| {
        index.insert("name", "expires_at");
        doc! { "createIndexes": "test_index", "indexes": [index] }
    };
    // An index by which no record ever expires is refused, and is never replaced silently.
    server.drop_index("test_index", "expires_at").await;
    server.database().await.run_command(of(doc! { "key": { "expires_at": 1 } })).await.unwrap();
    for create in [true, false] {
        let opened = MongoStore::connect(&url(&format!("namespace=test_index&create={create}"))).await;
        assert!(opened.is_err(), "an index without expireAfterSeconds passes with create={create}");
    }
    server.clean("test_index").await;
}

#[tokio::test]
async fn a_unique_index_on_principals_is_refused() {
    let server = Server::get();
    drop(fresh("test_unsuitable", "").await);
    let unique = doc! { "key": { "principal": 1 }, "name": "one_each", "unique": true };
    let database = server.database().await;
    database.run_command(doc! { "createIndexes": "test_unsuitable", "indexes": [unique] }).await.unwrap();
    let error = refused("namespace=test_unsuitable").await;
    assert!(error.contains("run: db.test_unsuitable.dropIndex(\"one_each\")"), "{error}");
    server.clean("test_unsuitable").await;
}

#[tokio::test]
async fn another_layout_and_a_foreign_collection_are_refused() {
    let server = Server::get();
    drop(fresh("test_layout", "").await);
    let layouts = server.collection("session.layouts").await;
    for (layout, part) in [(Bson::Int32(2), "layout 2"), (Bson::String("one".into()), "is not a number")] {
        let set = doc! { "$set": { "layout": layout } };
        layouts.update_one(doc! { "_id": "test_layout" }, set).await.unwrap();
        let error = refused("namespace=test_layout").await;
        assert!(error.contains(part), "{error}");
    }
    // Another namespace of the same database has a layout of its own.
    drop(fresh("test_layout_other", "").await);
    layouts.delete_one(doc! { "_id": "test_layout" }).await.unwrap();
    let error = refused("namespace=test_layout").await;
    assert!(error.contains("was not made by this store"), "{error}");
    server.clean("test_layout").await;
    server.clean("test_layout_other").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_that_open_at_once_all_work() {
    let server = Server::get();
    for round in 0..3 {
        server.clean("test_ten").await;
        let mut opening = JoinSet::new();
        for _ in 0..10 {
            // Each store has connections of its own, as if it were another process.
            let url = url("namespace=test_ten&timeout=20000");
            opening.spawn(async move { MongoStore::connect(&url).await });
        }
        let stores: Vec<MongoStore> = opening.join_all().await.into_iter().map(Result::unwrap).collect();
        for (n, store) in (0..).zip(&stores) {
            put(store, n, &record(None)).await;
        }
        assert_eq!(stores[9].scan(&now(), None, LIMIT).await.unwrap().records.len(), 10, "round {round}");
        MongoStore::connect(&url("namespace=test_ten&create=false")).await.unwrap();
    }
    server.clean("test_ten").await;
}

#[tokio::test]
async fn what_lies_on_the_server_is_what_the_documentation_says() {
    let server = Server::get();
    let store = fresh("test_fields", "").await;
    let mut stored = record(Some("ann"));
    stored.expires_at = Timestamp::MAX;
    put(&store, 1, &stored).await;
    put(&store, 2, &record(None)).await;
    let collection = server.collection("test_fields").await;
    let document = collection.find_one(doc! { "principal": "ann" }).await.unwrap().unwrap();
    assert_eq!(
        document.keys().map(String::as_str).collect::<Vec<_>>(),
        ["_id", "version", "created_at", "expires_at", "principal", "data"]
    );
    assert_eq!(document.get_binary_generic("_id").unwrap(), key(1).as_bytes());
    assert_eq!(document.get_datetime("expires_at").unwrap().timestamp_millis(), Timestamp::MAX.as_millis());
    let anonymous = collection.find_one(doc! { "principal": { "$exists": false } }).await.unwrap().unwrap();
    assert_eq!(anonymous.get_binary_generic("_id").unwrap(), key(2).as_bytes());
    server.clean("test_fields").await;
}

#[tokio::test]
async fn principals_that_differ_in_case_or_a_trailing_space_are_different_people() {
    let _server = Server::get();
    let store = fresh("test_people", "").await;
    let people = ["ann", "Ann", "ann ", "ann\t", "\u{e5}nn", "a\u{30a}nn"];
    for (n, who) in (0..).zip(people) {
        put(&store, n, &record(Some(who))).await;
    }
    for (n, who) in (0..).zip(people) {
        let who = Principal::new(who).unwrap();
        let found = store.sessions_of(&now(), &who, LIMIT).await.unwrap();
        assert_eq!(found.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [key(n)], "{:?}", who.as_str());
        assert_eq!(store.delete_all(&now(), &who, None).await.unwrap(), 1, "{:?}", who.as_str());
    }
    Server::get().clean("test_people").await;
}

#[tokio::test]
async fn reads_are_the_primarys_and_writes_a_majoritys_whatever_the_client_asks_for() {
    let server = Server::get();
    server.clean("test_concerns").await;
    let mut options = ClientOptions::parse(server.url()).await.unwrap();
    options.selection_criteria =
        Some(SelectionCriteria::ReadPreference(ReadPreference::SecondaryPreferred { options: None }));
    options.read_concern = Some(ReadConcern::local());
    options.write_concern = Some(WriteConcern::builder().w(Acknowledgment::Nodes(1)).build());
    let commands = sent(options, "test_concerns", true).await;
    let mut seen = Vec::new();
    for (name, command) in commands {
        let field = |outer: &str, inner: &str| Some(command.get_document(outer).ok()?.get_str(inner).ok()?.to_owned());
        let preference = field("$readPreference", "mode");
        assert!(preference.as_deref().is_none_or(|mode| mode == "primary"), "{name} asks for {preference:?}");
        match name.as_str() {
            "find" => assert_eq!(field("readConcern", "level").as_deref(), Some("majority"), "{name}"),
            "update" | "delete" | "createIndexes" => {
                assert_eq!(field("writeConcern", "w").as_deref(), Some("majority"), "{name}");
            }
            _ => continue,
        }
        seen.push(name);
    }
    for name in ["find", "update", "delete", "createIndexes"] {
        assert!(seen.iter().any(|sent| sent == name), "no {name} among {seen:?}");
    }
    server.clean("test_concerns").await;
}

#[tokio::test]
async fn a_purge_removes_what_both_clocks_call_expired() {
    let server = Server::get();
    let store = fresh("test_purge", "").await;
    // Without this index the server removes no records on its own.
    server.drop_index("test_purge", "expires_at").await;
    let past = SystemClock.now().minus(hours(2));
    for n in 0..20 {
        let mut old = record(Some("ann"));
        (old.created_at, old.expires_at) = (past, past.plus(minutes(u64::from(n) + 1)));
        assert_eq!(store.create(&Call::new(past), &key(n), &old).await.unwrap(), Done);
    }
    let lives = record(None);
    put(&store, 99, &lives).await;
    let limit = NonZeroU32::new(7).unwrap();
    let slow = store.purge(&Call::new(past), limit).await.unwrap();
    assert_eq!((slow.removed, slow.more), (0, false), "by a clock that is two hours slow nothing has expired");
    let fast = Call::new(SystemClock.now().plus(hours(20_000)));
    let mut counts = Vec::new();
    loop {
        let purged = store.purge(&fast, limit).await.unwrap();
        counts.push(purged.removed);
        if !purged.more {
            break;
        }
    }
    assert_eq!(counts, [7, 7, 6], "what the server's clock calls live stays");
    assert_eq!(store.load(&now(), &key(99)).await.unwrap(), Some(lives));
    server.clean("test_purge").await;
}

#[tokio::test]
async fn loads_that_do_not_fit_one_reply_are_all_answered() {
    let _server = Server::get();
    let store = fresh("test_long", "&timeout=30000").await;
    let mut long = record(Some("ann"));
    // Six such records do not fit into one reply, which the server ends at 16 MiB.
    long.data = Bytes::from(vec![7; 5 << 20]);
    for n in 0..6 {
        put(&store, n, &long).await;
    }
    let store = Arc::new(store);
    let mut loads = JoinSet::new();
    for n in 0..60 {
        let store = Arc::clone(&store);
        loads.spawn(async move { (n, store.load(&now(), &key(n % 8)).await) });
    }
    for (n, loaded) in loads.join_all().await {
        let length = loaded.unwrap().map(|record| record.data.len());
        assert_eq!(length, (n % 8 < 6).then_some(5 << 20), "load {n}");
    }
    let ann = Principal::new("ann").unwrap();
    assert_eq!(store.sessions_of(&now(), &ann, LIMIT).await.unwrap().len(), 6);
    let five = NonZeroU32::new(5).unwrap();
    let first = store.scan(&now(), None, five).await.unwrap();
    assert_eq!(first.records.len(), 5);
    assert_eq!(store.scan(&now(), first.next, five).await.unwrap().records.len(), 1);
    Server::get().clean("test_long").await;
}

#[tokio::test]
async fn what_is_no_record_is_corrupt_and_fails_no_other_call() {
    let server = Server::get();
    let store = fresh("test_corrupt", "").await;
    let (good, bad) = (record(None), record(None));
    put(&store, 1, &good).await;
    put(&store, 2, &bad).await;
    let set = doc! { "$set": { "data": "text" } };
    let filter = doc! { "version": bad.version.as_i64() };
    assert_eq!(server.collection("test_corrupt").await.update_one(filter, set).await.unwrap().matched_count, 1);
    let (call, one, two) = (now(), key(1), key(2));
    let loads = (0..20).map(|n| store.load(&call, if n % 2 == 0 { &one } else { &two }));
    for (n, loaded) in futures_util::future::join_all(loads).await.into_iter().enumerate() {
        match loaded {
            Ok(found) => assert_eq!((n % 2, found.as_ref()), (0, Some(&good))),
            Err(error) => assert_eq!((n % 2, error.kind()), (1, ErrorKind::Corrupt), "{error}"),
        }
    }
    let page = store.scan(&call, None, NonZeroU32::MIN.saturating_add(9)).await.unwrap();
    assert_eq!(page.records, [(one, good)]);
    assert_eq!(store.delete(&call, &two, None).await.unwrap(), Done);
    server.clean("test_corrupt").await;
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let server = Server::get();
    for (options, part) in [
        ("pool=0", "pool must be"),
        ("queue=0", "queue must be"),
        ("timeout=0", "timeout must be"),
        ("namespace=A", "a namespace must have"),
    ] {
        let error = refused(options).await;
        assert!(error.contains(part), "{options}: {error}");
    }
    if !server.password().is_empty() {
        let wrong = server.url().replace(server.password(), "xyzzy-not-it");
        let error = MongoStore::connect(&wrong).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(!format!("{error} {error:?}").contains("xyzzy"), "{error:?}");
    }
    let begun = std::time::Instant::now();
    let error = MongoStore::connect("mongodb://127.0.0.1:1/x?timeout=1000").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(begun.elapsed() < seconds(3), "it took {:?}", begun.elapsed());
}
