//! Tests of the records that a store with size limits keeps and evicts.

use std::num::NonZeroU32;

use session_core::{Bytes, Call, ErrorKind, Outcome, Principal, Record, Store, StoreKey, Timestamp, Version};
use session_store_memory::MemoryStore;

const NOW: Timestamp = Timestamp::MIN;
const MANY: NonZeroU32 = NonZeroU32::MAX;

fn key(n: u32) -> StoreKey {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&n.to_le_bytes());
    StoreKey::from_bytes(bytes)
}

fn record(len: usize, principal: Option<Principal>) -> Record {
    Record::new(Version::random(), NOW, Timestamp::MAX, principal, Bytes::from(vec![b'x'; len]))
}

async fn put(store: &MemoryStore, n: u32, len: usize) -> Record {
    let record = record(len, None);
    assert_eq!(store.create(&Call::new(NOW), &key(n), &record).await.unwrap(), Outcome::Done);
    record
}

async fn has(store: &MemoryStore, n: u32) -> bool {
    // A scan, because a load would count as use.
    let page = store.scan(&Call::new(NOW), None, MANY).await.unwrap();
    page.records.iter().any(|(k, _)| *k == key(n))
}

#[test]
fn the_entry_used_longest_ago_goes_first() {
    pollster::block_on(async {
        let store = MemoryStore::builder().max_entries(3).build().unwrap();
        let call = Call::new(NOW);
        let first = put(&store, 1, 1).await;
        put(&store, 2, 1).await;
        let third = put(&store, 3, 1).await;
        assert!(store.load(&call, &key(1)).await.unwrap().is_some());
        put(&store, 4, 1).await;
        assert!(has(&store, 1).await && !has(&store, 2).await && has(&store, 3).await && has(&store, 4).await);

        assert_eq!(store.touch(&call, &key(3), third.version, Timestamp::MAX).await.unwrap(), Outcome::Done);
        assert_eq!(store.save(&call, &key(1), first.version, &record(5, None)).await.unwrap(), Outcome::Done);
        put(&store, 5, 1).await;
        assert!(has(&store, 1).await && has(&store, 3).await && !has(&store, 4).await && has(&store, 5).await);
        assert_eq!(store.len(), 3);
    });
}

#[test]
fn misses_and_refusals_are_no_use() {
    pollster::block_on(async {
        let store = MemoryStore::builder().max_entries(2).build().unwrap();
        let call = Call::new(NOW);
        put(&store, 1, 1).await;
        put(&store, 2, 1).await;
        assert_eq!(store.create(&call, &key(1), &record(1, None)).await.unwrap(), Outcome::Exists);
        assert_eq!(store.save(&call, &key(1), Version::random(), &record(1, None)).await.unwrap(), Outcome::Conflict);
        put(&store, 3, 1).await;
        assert!(!has(&store, 1).await && has(&store, 2).await && has(&store, 3).await);
    });
}

#[test]
fn bytes_are_limited_and_a_growing_record_evicts_others_not_itself() {
    pollster::block_on(async {
        let store = MemoryStore::builder().max_bytes(10_000).build().unwrap();
        let call = Call::new(NOW);
        let mut last = put(&store, 0, 100).await;
        for n in 1..100 {
            last = put(&store, n, 100).await;
            let kept: usize =
                store.scan(&call, None, MANY).await.unwrap().records.iter().map(|(_, r)| r.data.len()).sum();
            assert!(kept <= 10_000);
        }
        assert!(store.len() > 10);
        assert_eq!(store.save(&call, &key(99), last.version, &record(9_000, None)).await.unwrap(), Outcome::Done);
        assert!(has(&store, 99).await);
        assert!(store.len() <= 3);
    });
}

#[test]
fn a_record_that_can_never_fit_is_too_large_and_evicts_nothing() {
    pollster::block_on(async {
        let store = MemoryStore::builder().max_bytes(10_000).build().unwrap();
        let call = Call::new(NOW);
        let max = store.capabilities().max_data_len.unwrap();
        let kept = put(&store, 1, 100).await;
        let error = store.create(&call, &key(2), &record(max + 1, None)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        let error = store.save(&call, &key(1), kept.version, &record(max + 1, None)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert_eq!(store.load(&call, &key(1)).await.unwrap(), Some(kept));

        let long = Principal::new("p".repeat(255)).unwrap();
        assert_eq!(store.create(&call, &key(3), &record(max, Some(long))).await.unwrap(), Outcome::Done);
        assert!(has(&store, 3).await);
    });
}

#[test]
fn an_evicted_record_leaves_the_index() {
    pollster::block_on(async {
        let store = MemoryStore::builder().max_entries(1).build().unwrap();
        let (call, ann) = (Call::new(NOW), Principal::new("ann").unwrap());
        let _ = store.create(&call, &key(1), &record(1, Some(ann.clone()))).await.unwrap();
        put(&store, 2, 1).await;
        assert_eq!(store.sessions_of(&call, &ann, MANY).await.unwrap(), []);
        assert_eq!(store.delete_all(&call, &ann, None).await.unwrap(), 0);
    });
}

#[test]
fn a_large_limit_over_many_shards_is_kept_and_used_in_full() {
    pollster::block_on(async {
        let store = MemoryStore::builder().max_entries(20_000).build().unwrap();
        for n in 0..50_000 {
            put(&store, n, 1).await;
            assert!(store.len() <= 20_000 || n % 1000 != 0);
        }
        assert_eq!(store.len(), 20_000);
        // Every record of the last few thousand is still there.
        for n in 45_000..50_000 {
            assert!(store.load(&Call::new(NOW), &key(n)).await.unwrap().is_some());
        }
    });
}

#[test]
fn without_a_limit_nothing_is_evicted() {
    pollster::block_on(async {
        let store = MemoryStore::new();
        for n in 0..50_000 {
            put(&store, n, 1).await;
        }
        assert_eq!(store.len(), 50_000);
        assert_eq!(store.capabilities().max_data_len, None);
    });
}

#[test]
fn limits_below_their_minimum_are_refused() {
    for wrong in [MemoryStore::builder().max_entries(0), MemoryStore::builder().max_bytes(1023)] {
        assert_eq!(wrong.build().unwrap_err().kind(), ErrorKind::Config);
    }
}

#[test]
fn a_url_sets_limits_or_says_what_is_wrong() {
    pollster::block_on(async {
        for url in ["memory:", "memory://", "memory:?"] {
            assert_eq!(MemoryStore::connect(url).await.unwrap().capabilities().max_data_len, None, "{url}");
        }
        let store = MemoryStore::connect("memory:?max_entries=2&max_bytes=10000").await.unwrap();
        assert!(store.capabilities().max_data_len.is_some());
        for n in 0..5 {
            put(&store, n, 1).await;
        }
        assert_eq!(store.len(), 2);
    });
    for (url, part) in [
        ("sqlite::memory:", "begins with memory:"),
        ("memory:x", "options only"),
        ("memory:?max=1", "known are max_entries (a number) and max_bytes (a number)"),
        ("memory:?max_entries=", "max_entries is not a number"),
        ("memory:?max_entries=0", "at least 1"),
    ] {
        let error = pollster::block_on(MemoryStore::connect(url)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{url}");
        assert!(error.to_string().contains(part), "{url}: {error}");
    }
}
