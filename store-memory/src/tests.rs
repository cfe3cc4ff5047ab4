use std::collections::HashMap;

use proptest::prelude::*;
use session_core::{Bytes, seconds};

use super::*;

const MANY: NonZeroU32 = NonZeroU32::MAX;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).unwrap()
}

fn key(n: u8) -> StoreKey {
    StoreKey::from_bytes([n; 32])
}

fn record(expires_at: i64, principal: Option<u8>) -> Record {
    let principal = principal.map(|n| Principal::new(n).unwrap());
    Record::new(Version::random(), at(0), at(expires_at), principal, Bytes::from_static(b"{}"))
}

/// Returns the number of records and of index entries.
fn counts(store: &MemoryStore) -> (usize, usize) {
    (store.len(), store.0.index.len())
}

#[derive(Clone, Debug)]
enum Op {
    Create(u8, i64, Option<u8>),
    Save(u8, i64, Option<u8>),
    Touch(u8, i64),
    Delete(u8),
    DeleteAll(u8),
    Purge(u32),
}

fn op() -> impl Strategy<Value = Op> {
    let (key, principal) = (0..12u8, proptest::option::of(0..3u8));
    prop_oneof![
        (key.clone(), 1..40i64, principal.clone()).prop_map(|(k, e, p)| Op::Create(k, e, p)),
        (key.clone(), 1..40i64, principal).prop_map(|(k, e, p)| Op::Save(k, e, p)),
        (key.clone(), 1..40i64).prop_map(|(k, e)| Op::Touch(k, e)),
        key.prop_map(Op::Delete),
        (0..3u8).prop_map(Op::DeleteAll),
        (1..5u32).prop_map(Op::Purge),
    ]
}

proptest! {
    /// After any sequence of operations, the slots, the table and the index agree with a plain map.
    #[test]
    fn it_is_a_map_with_an_index(ops in proptest::collection::vec((op(), 0..40i64), 1..120)) {
        let store = MemoryStore::new();
        let mut model: HashMap<u8, Record> = HashMap::new();
        for (op, now) in ops {
            let call = Call::new(at(now));
            let live = |model: &HashMap<u8, Record>, k: u8| model.get(&k).filter(|r| r.is_live(call.now)).cloned();
            pollster::block_on(async {
                match op {
                    Op::Create(k, expires, principal) => {
                        let new = record(expires, principal);
                        let expected = if live(&model, k).is_some() { Outcome::Exists } else { Outcome::Done };
                        prop_assert_eq!(store.create(&call, &key(k), &new).await.unwrap(), expected);
                        if expected == Outcome::Done {
                            model.insert(k, new);
                        }
                    }
                    Op::Save(k, expires, principal) => {
                        let new = record(expires, principal);
                        let old = live(&model, k);
                        let version = old.as_ref().map_or_else(Version::random, |old| old.version);
                        let expected = if old.is_some() { Outcome::Done } else { Outcome::Missing };
                        prop_assert_eq!(store.save(&call, &key(k), version, &new).await.unwrap(), expected);
                        if expected == Outcome::Done {
                            model.insert(k, new);
                        }
                    }
                    Op::Touch(k, expires) => {
                        let old = live(&model, k);
                        let [expected, refused] = match &old {
                            Some(_) => [Outcome::Done, Outcome::Conflict],
                            None => [Outcome::Missing; 2],
                        };
                        let version = old.map_or_else(Version::random, |old| old.version);
                        let touch = async |version| store.touch(&call, &key(k), version, at(expires)).await.unwrap();
                        prop_assert_eq!(touch(Version::random()).await, refused);
                        prop_assert_eq!(touch(version).await, expected);
                        if expected == Outcome::Done {
                            let record = model.get_mut(&k).unwrap();
                            record.expires_at = record.expires_at.max(at(expires));
                        }
                    }
                    Op::Delete(k) => {
                        let expected = if live(&model, k).is_some() { Outcome::Done } else { Outcome::Missing };
                        prop_assert_eq!(store.delete(&call, &key(k), None).await.unwrap(), expected);
                        if expected == Outcome::Done {
                            model.remove(&k);
                        }
                    }
                    Op::DeleteAll(p) => {
                        let who = Principal::new(p).unwrap();
                        let before = model.len();
                        model.retain(|_, r| !(r.is_live(call.now) && r.principal.as_ref() == Some(&who)));
                        let removed = store.delete_all(&call, &who, None).await.unwrap();
                        prop_assert_eq!(removed as usize, before - model.len());
                    }
                    Op::Purge(limit) => {
                        let expired = model.values().filter(|r| !r.is_live(call.now)).count();
                        let purged = store.purge(&call, NonZeroU32::new(limit).unwrap()).await.unwrap();
                        prop_assert_eq!(purged.removed as usize, expired.min(limit as usize));
                        prop_assert!(purged.more || expired <= limit as usize);
                        // The store chooses which expired records to remove. At the earliest instant all remaining records are live.
                        let mut kept = HashMap::new();
                        for (k, r) in model.drain() {
                            if store.load(&Call::new(at(0)), &key(k)).await.unwrap().is_some() {
                                kept.insert(k, r);
                            } else {
                                prop_assert!(!r.is_live(call.now));
                            }
                        }
                        model = kept;
                    }
                }
                let mut everybody = 0;
                for p in 0..3 {
                    let who = Principal::new(p).unwrap();
                    let mut listed = store.sessions_of(&call, &who, MANY).await.unwrap();
                    let mut expected: Vec<_> = model.iter()
                        .filter(|(_, r)| r.is_live(call.now) && r.principal.as_ref() == Some(&who))
                        .map(|(k, r)| (key(*k), r.clone())).collect();
                    listed.sort_by_key(|(k, _)| *k);
                    expected.sort_by_key(|(k, _)| *k);
                    prop_assert_eq!(listed, expected);
                    everybody += model.values().filter(|r| r.principal.as_ref() == Some(&who)).count();
                }
                prop_assert_eq!(counts(&store), (model.len(), everybody));
                let page = store.scan(&call, None, MANY).await.unwrap();
                prop_assert_eq!(page.records.len(), model.values().filter(|r| r.is_live(call.now)).count());
                Ok(())
            })?;
        }
    }
}

#[test]
fn emptied_chunks_and_tables_give_their_memory_back() {
    pollster::block_on(async {
        let store = MemoryStore::new();
        let call = Call::new(at(0));
        let keys: Vec<_> = (0..200_000u32)
            .map(|n| {
                let mut bytes = [0; 32];
                bytes[..4].copy_from_slice(&n.to_le_bytes());
                StoreKey::from_bytes(bytes)
            })
            .collect();
        for key in &keys {
            assert_eq!(store.create(&call, key, &record(1, Some(1))).await.unwrap(), Outcome::Done);
        }
        assert_eq!(counts(&store), (keys.len(), keys.len()));
        while store.purge(&Call::new(at(1)), NonZeroU32::new(10_000).unwrap()).await.unwrap().more {}
        assert_eq!(counts(&store), (0, 0));
        for shard in &store.0.shards {
            assert!(shard.lock().unwrap().is_small());
        }
    });
}

#[test]
fn a_purge_removes_nothing_that_the_system_clock_calls_live() {
    pollster::block_on(async {
        let store = MemoryStore::new();
        let now = SystemClock.now();
        let mut stays = record(0, Some(1));
        stays.expires_at = now.plus(seconds(3600));
        let _ = store.create(&Call::new(now), &key(1), &stays).await.unwrap();
        let _ = store.create(&Call::new(at(0)), &key(2), &record(1, None)).await.unwrap();
        let purged = store.purge(&Call::new(Timestamp::MAX), MANY).await.unwrap();
        assert_eq!(purged, Purged::new(1, false));
        assert_eq!(store.load(&Call::new(now), &key(1)).await.unwrap(), Some(stays));
    });
}

#[test]
fn an_oversized_buffer_is_not_kept_alive() {
    pollster::block_on(async {
        let store = MemoryStore::new();
        let big = Bytes::from(vec![7; 1 << 20]);
        let mut small = record(1, None);
        small.data = big.slice(..10);
        let _ = store.create(&Call::new(at(0)), &key(1), &small).await.unwrap();
        drop(small);
        assert!(big.is_unique());
    });
}

#[test]
fn a_shard_keeps_few_sessions_decoded() {
    let store = MemoryStore::new();
    let mut shard = store.0.lock(0);
    let slots: Vec<_> = (0..200).map(|n| shard.insert(shard::hash(&key(n)), key(n), record(9, None))).collect();
    assert!(shard.decoded().is_empty(), "a record that was never read is not decoded");
    for &slot in &slots {
        drop(shard.copy(slot));
    }
    assert!(shard.decoded().is_empty(), "each was read once");
    for &slot in &slots {
        drop((shard.copy(slot), shard.copy(slot)));
    }
    assert_eq!(shard.decoded(), slots[200 - shard::DECODED..], "those that were read last");
    let last = slots[199];
    let mut saved = record(9, None);
    saved.share_decoding();
    shard.replace(last, saved.clone());
    assert!(shard.record(last).shares_decoding(), "a session that is read and saved again and again");
    shard.replace(slots[0], saved.clone());
    assert!(!shard.record(slots[0]).shares_decoding(), "one that is only saved");
    shard.replace(last, record(9, None));
    drop(shard.copy(last));
    assert!(!shard.record(last).shares_decoding(), "one that is saved without its decoded form after each read");
    shard.replace(last, saved.clone());
    assert!(shard.record(last).shares_decoding());
    shard.remove(last);
    assert!(!shard.decoded().contains(&last));
    assert_eq!(shard.insert(shard::hash(&key(199)), key(199), saved), last);
    assert!(shard.decoded().len() <= shard::DECODED);
}

#[tokio::test]
async fn requests_see_what_was_saved_last_whatever_was_decoded_before() {
    let manager = session_core::Manager::new(MemoryStore::new());
    let session = manager.open(None).await.unwrap();
    session.insert("n", &0).unwrap();
    let session_core::Commit::Issue(cookie) = manager.close(&session).await.unwrap() else { panic!("no cookie") };
    for n in 0..5 {
        let [first, second] = [
            manager.open(Some(cookie.value.as_str())).await.unwrap(),
            manager.open(Some(cookie.value.as_str())).await.unwrap(),
        ];
        assert_eq!([first.get::<u32>("n").unwrap(), second.peek::<u32>("n").unwrap()], [Some(2 * n); 2]);
        for session in [first, second] {
            session.update("n", |n: &mut u32| *n += 1).unwrap();
            let _ = manager.close(&session).await.unwrap();
        }
    }
}
