//! Tests of index entries, with writers that stop or are late between the entry and the record. The tests play such a writer by
//! messages of their own.

mod common;

use async_nats::{Client, HeaderMap, Request};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use common::{api, client};
use serde_json::{Value, json};
use session_conformance::fixtures::{get, key, now, put, record_of};
use session_conformance::server::{self, Server};
use session_core::{Outcome, Principal, Record, Store as _, StoreKey, Version, hours};
use session_store_nats::NatsStore;

/// A server, a store on it, and a writer that sends messages of its own.
struct Bench {
    server: Server,
    store: NatsStore,
    writer: Client,
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn record_subject(n: u32) -> String {
    format!("$KV.sessions.sessions.s.{}", text(key(n).as_bytes()))
}

fn entry_subject(who: &str, n: u32) -> String {
    format!("$KV.sessions.sessions.p.{}.{}", text(who.as_bytes()), text(key(n).as_bytes()))
}

/// Value of an entry that is kept until then.
fn entry_until(until: i64) -> Vec<u8> {
    [&[1][..], &until.to_be_bytes()].concat()
}

impl Bench {
    async fn new() -> Self {
        let server = server::nats().await.unwrap();
        let (store, writer) = (NatsStore::connect(server.url()).await.unwrap(), client(&server).await);
        Self { server, store, writer }
    }

    /// Returns the sequence number and the value of a subject's last message. A deletion has an empty value.
    async fn last(&self, subject: &str) -> Option<(u64, Vec<u8>)> {
        let reply = api(&self.writer, "STREAM.MSG.GET.KV_sessions", json!({ "last_by_subj": subject })).await;
        let message = reply.get("message")?;
        let value = STANDARD.decode(message["data"].as_str().unwrap_or_default()).unwrap();
        Some((message["seq"].as_u64().unwrap(), value))
    }

    /// Writes if the subject's last message has this sequence number. Returns the new one.
    async fn write(&self, subject: &str, value: Vec<u8>, expected: u64) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Expected-Last-Subject-Sequence", expected.to_string());
        let request = Request::new().headers(headers).payload(value.into());
        let reply = self.writer.send_request(subject.to_owned(), request).await.unwrap();
        let reply: Value = serde_json::from_slice(&reply.payload).unwrap();
        if reply.get("error").is_some() { None } else { reply["seq"].as_u64() }
    }

    /// Waits until the store has removed what it removes in the background, and opens it again.
    async fn settled(&mut self) {
        self.store.close().await.unwrap();
        self.store = NatsStore::connect(self.server.url()).await.unwrap();
    }

    async fn listed(&self, who: &str) -> Vec<StoreKey> {
        let who = Principal::new(who).unwrap();
        let found = self.store.sessions_of(&now(), &who, 10.try_into().unwrap()).await.unwrap();
        found.into_iter().map(|(key, _)| key).collect()
    }

    /// Returns the time until which an entry is kept, or `None` if there is none.
    async fn kept_until(&self, who: &str, n: u32) -> Option<i64> {
        let (_, value) = self.last(&entry_subject(who, n)).await?;
        value.get(1..9).map(|until| i64::from_be_bytes(until.try_into().unwrap()))
    }
}

/// Returns a version of a record that replaces it.
fn next(record: &Record) -> Record {
    let mut newer = record.clone();
    newer.version = Version::random();
    newer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_is_late_after_its_entry_was_removed_is_refused() {
    let mut bench = Bench::new().await;
    let ann = record_of("ann");
    // The writer has seen that nothing is stored, has written its entry, and pauses.
    bench.write(&entry_subject("ann", 1), entry_until(0), 0).await.unwrap();
    put(&bench.store, 1, &ann).await;
    let value = bench.last(&record_subject(1)).await.unwrap().1;
    assert_eq!(bench.store.delete(&now(), &key(1), None).await.unwrap(), Outcome::Done);
    bench.settled().await;
    assert_eq!(bench.kept_until("ann", 1).await, None, "the entry ends with its record");
    assert_eq!(bench.write(&record_subject(1), value, 0).await, None, "a record without an entry");
    // As the store does then, it begins again.
    put(&bench.store, 1, &next(&ann)).await;
    assert_eq!(bench.listed("ann").await, [key(1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_another_writer_has_written_again_is_not_removed() {
    let mut bench = Bench::new().await;
    put(&bench.store, 1, &record_of("ann")).await;
    let value = bench.last(&record_subject(1)).await.unwrap().1;
    // The store knows the record, and so need not read it for the deletion.
    assert!(get(&bench.store, 1).await.is_some());
    let (entry, until) = bench.last(&entry_subject("ann", 1)).await.unwrap();
    bench.write(&entry_subject("ann", 1), until, entry).await.unwrap();
    assert_eq!(bench.store.delete(&now(), &key(1), None).await.unwrap(), Outcome::Done);
    bench.settled().await;
    assert!(bench.kept_until("ann", 1).await.is_some(), "the entry that the other writer relies on");
    let marker = bench.last(&record_subject(1)).await.unwrap().0;
    assert!(bench.write(&record_subject(1), value, marker).await.is_some());
    assert_eq!(bench.listed("ann").await, [key(1)], "a record whose entry was written before it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_outlives_its_record_and_never_gets_an_earlier_end() {
    let bench = Bench::new().await;
    let late = now().now.plus(hours(1000)).as_millis();
    bench.write(&entry_subject("ann", 1), entry_until(late), 0).await.unwrap();
    let stored = record_of("ann");
    put(&bench.store, 1, &stored).await;
    assert_eq!(bench.kept_until("ann", 1).await, Some(late));

    put(&bench.store, 2, &stored).await;
    let first = bench.kept_until("ann", 2).await.unwrap();
    assert!(first > stored.expires_at.as_millis());
    let farther = stored.expires_at.plus(hours(10));
    assert_eq!(bench.store.touch(&now(), &key(2), stored.version, farther).await.unwrap(), Outcome::Done);
    assert!(bench.kept_until("ann", 2).await.unwrap() > farther.as_millis(), "a touch renews the entry");
    let mut longer = next(&stored);
    longer.expires_at = stored.expires_at.plus(hours(100));
    assert_eq!(bench.store.save(&now(), &key(2), stored.version, &longer).await.unwrap(), Outcome::Done);
    assert!(bench.kept_until("ann", 2).await.unwrap() > longer.expires_at.as_millis(), "a save renews the entry");
    // What is within the bound does not write it again.
    let entry = bench.last(&entry_subject("ann", 2)).await;
    let short = next(&stored);
    assert_eq!(bench.store.save(&now(), &key(2), longer.version, &short).await.unwrap(), Outcome::Done);
    assert_eq!(bench.last(&entry_subject("ann", 2)).await, entry);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_changes_its_principal_leaves_no_entry() {
    let mut bench = Bench::new().await;
    let ann = record_of("ann");
    put(&bench.store, 1, &ann).await;
    let (bob, mut none) = (record_of("bob"), record_of("bob"));
    none.principal = None;
    assert_eq!(bench.store.save(&now(), &key(1), ann.version, &bob).await.unwrap(), Outcome::Done);
    bench.settled().await;
    assert_eq!((bench.kept_until("ann", 1).await, bench.listed("ann").await), (None, vec![]));
    assert_eq!(bench.listed("bob").await, [key(1)]);
    assert_eq!(bench.store.save(&now(), &key(1), bob.version, &none).await.unwrap(), Outcome::Done);
    bench.settled().await;
    assert_eq!((bench.kept_until("bob", 1).await, bench.listed("bob").await), (None, vec![]));
    assert!(get(&bench.store, 1).await.is_some());
}
