//! Tests of index entries whose records are on other nodes, with writers that stop or are late between the two steps.

use super::*;

#[tokio::test]
async fn an_entry_just_written_stands_until_its_record_comes_even_if_it_is_healed_between() {
    let mut bench = Bench::new().await;
    let (ann, key) = (principal(), key());
    let (record, bytes, until) = bench.stored(&ann).await;
    // A writer between its two steps.
    let at = bench.enter(&ann, &key, until).await;
    for _ in 0..3 {
        assert_eq!(bench.listed(&ann).await, []);
        assert_eq!(bench.store.delete_all(&call(), &ann, None).await.unwrap(), 0);
    }
    assert!(bench.doubt(&ann, &key).await.is_some_and(|since| since < 0), "healing has met the entry");
    assert_eq!(bench.entry(&ann, &key).await, Some(until));
    assert_eq!(bench.create(&key, &bytes, &record, until, &at).await, redis::Value::Int(0));
    assert_eq!(bench.listed(&ann).await, [key]);
    assert_eq!(bench.store.load(&call(), &key).await.unwrap(), Some(record));
}

#[tokio::test]
async fn a_writer_who_comes_later_than_healing_is_refused_and_begins_again() {
    let mut bench = Bench::new().await;
    let (ann, key) = (principal(), key());
    let (mut record, bytes, until) = bench.stored(&ann).await;
    let at = bench.enter(&ann, &key, until).await;
    assert_eq!(bench.listed(&ann).await, []);
    // The entry has been doubtful for long enough, and the writer has paused for too long.
    bench.ask::<i64>(&[b"ZADD", &index(&ann), b"-1", &doubt(&key)]).await;
    assert_eq!(bench.listed(&ann).await, []);
    assert_eq!(bench.entry(&ann, &key).await, None, "an entry that was in doubt for long is removed");
    assert_eq!(bench.doubt(&ann, &key).await, None);
    let paused = std::str::from_utf8(&at).unwrap().parse::<i64>().unwrap() - LEASE - 60_000;
    let answer = bench.create(&key, &bytes, &record, until, paused.to_string().as_bytes()).await;
    assert_eq!(answer, redis::Value::BulkString(ann.as_str().into()), "whose entry has to be written first");
    assert!(!bench.ask::<bool>(&[b"EXISTS", &name(&key)]).await, "a record without an entry");

    record.version = Version::random();
    assert_eq!(bench.store.create(&call(), &key, &record).await.unwrap(), Done);
    assert_eq!(bench.listed(&ann).await, [key]);
}

#[tokio::test]
async fn a_touch_that_renews_an_entry_wins_over_a_healer_who_had_judged_it() {
    let mut bench = Bench::new().await;
    let (ann, key) = (principal(), key());
    let stored = record(Some(&ann));
    assert_eq!(bench.store.create(&call(), &key, &stored).await.unwrap(), Done);
    // A healer has seen this mark and has not removed the entry yet.
    bench.ask::<i64>(&[b"ZADD", &index(&ann), b"-1", &doubt(&key)]).await;
    let farther = stored.expires_at.plus(hours(48));
    assert_eq!(bench.store.touch(&call(), &key, stored.version, farther).await.unwrap(), Done);
    assert_eq!(bench.doubt(&ann, &key).await, None, "who writes an entry ends the doubt");
    let script = [COMMON, TIMES, include_str!("../../src/scripts/cluster/heal.lua")].concat();
    let member = &key.as_bytes()[..];
    bench.ask::<i64>(&[b"EVAL", script.as_bytes(), b"1", &index(&ann), member, b"-1"]).await;
    assert!(bench.entry(&ann, &key).await.unwrap() >= farther.as_millis() + MARGIN);
    assert_eq!(bench.listed(&ann).await, [key]);
}

#[tokio::test]
async fn an_entry_outlives_its_record_and_is_written_again_only_when_it_is_due() {
    let mut bench = Bench::new().await;
    let (ann, bob, key) = (principal(), principal(), key());
    let mut stored = record(Some(&ann));
    assert_eq!(bench.store.create(&call(), &key, &stored).await.unwrap(), Done);
    let first = bench.entry(&ann, &key).await.unwrap();
    assert!(first >= stored.expires_at.plus(hours(11)).as_millis());
    assert_eq!(bench.ask::<i64>(&[b"PEXPIRETIME", &index(&ann)]).await, first);

    // A touch and a save within the entry's time do not write the entry.
    let nearer = stored.expires_at.plus(hours(1));
    assert_eq!(bench.store.touch(&call(), &key, stored.version, nearer).await.unwrap(), Done);
    assert_eq!(bench.entry(&ann, &key).await, Some(first));
    let before = stored.version;
    (stored.version, stored.expires_at) = (Version::random(), nearer);
    assert_eq!(bench.store.save(&call(), &key, before, &stored).await.unwrap(), Done);
    assert_eq!(bench.entry(&ann, &key).await, Some(first));
    let bytes: Vec<u8> = bench.ask(&[b"GET", &name(&key)]).await;
    assert_eq!(bytes[25..33], first.to_be_bytes(), "a save keeps what is known of the entry");
    assert_eq!(bench.ask::<i64>(&[b"PEXPIRETIME", &name(&key)]).await, nearer.as_millis());

    // Beyond that time, the entry is renewed first and the header follows.
    let farther = stored.expires_at.plus(hours(30));
    assert_eq!(bench.store.touch(&call(), &key, stored.version, farther).await.unwrap(), Done);
    let second = bench.entry(&ann, &key).await.unwrap();
    assert!(second >= farther.as_millis() + MARGIN);
    let bytes: Vec<u8> = bench.ask(&[b"GETRANGE", &name(&key), b"25", b"32"]).await;
    assert_eq!(bytes, second.to_be_bytes());
    assert_eq!(bench.ask::<i64>(&[b"PEXPIRETIME", &index(&ann)]).await, second);

    // The principal changes. The next listing marks the entry that is left behind.
    let before = stored.version;
    (stored.version, stored.principal) = (Version::random(), Some(bob.clone()));
    assert_eq!(bench.store.save(&call(), &key, before, &stored).await.unwrap(), Done);
    assert_eq!(bench.listed(&bob).await, [key]);
    assert_eq!(bench.listed(&ann).await, []);
    assert!(bench.doubt(&ann, &key).await.is_some());
    assert_eq!(bench.store.delete_all(&call(), &ann, None).await.unwrap(), 0);
    assert_eq!(bench.listed(&bob).await, [key], "delete_all takes no record that is another's by now");
}
