//! Tests with several threads on one store.

use std::num::NonZeroU32;
use std::sync::Barrier;
use std::thread;

use session_core::{Bytes, Call, Outcome, Principal, Record, Store, StoreKey, Timestamp, Version};
use session_store_memory::MemoryStore;

const CALL: Call = Call::new(Timestamp::MIN);
const MANY: NonZeroU32 = NonZeroU32::MAX;
const ROUNDS: u32 = 2_000;

fn key(n: u8) -> StoreKey {
    StoreKey::from_bytes([n; 32])
}

fn record(principal: Option<&Principal>) -> Record {
    Record::new(Version::random(), Timestamp::MIN, Timestamp::MAX, principal.cloned(), Bytes::new())
}

#[test]
fn a_listing_misses_no_session_whose_save_returned_before_it_began() {
    let (store, ann) = (MemoryStore::new(), Principal::new("ann").unwrap());
    thread::scope(|scope| {
        for n in 0..4 {
            let (store, ann) = (&store, &ann);
            scope.spawn(move || {
                pollster::block_on(async {
                    let mut last = record(None);
                    assert_eq!(store.create(&CALL, &key(n), &last).await.unwrap(), Outcome::Done);
                    for round in 0..ROUNDS {
                        let next = record((round % 2 == 0).then_some(ann));
                        assert_eq!(store.save(&CALL, &key(n), last.version, &next).await.unwrap(), Outcome::Done);
                        let listed = store.sessions_of(&CALL, ann, MANY).await.unwrap();
                        assert_eq!(listed.iter().any(|(k, _)| *k == key(n)), round % 2 == 0);
                        assert!(listed.iter().all(|(_, r)| r.principal.as_ref() == Some(ann)));
                        last = next;
                    }
                });
            });
        }
    });
}

#[test]
fn delete_all_beats_the_saves_in_flight() {
    let (store, ann) = (MemoryStore::new(), Principal::new("ann").unwrap());
    let gate = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            pollster::block_on(async {
                for _ in 0..ROUNDS {
                    gate.wait();
                    let mut last = record(Some(&ann));
                    assert_eq!(store.create(&CALL, &key(1), &last).await.unwrap(), Outcome::Done);
                    gate.wait();
                    loop {
                        let next = record(Some(&ann));
                        match store.save(&CALL, &key(1), last.version, &next).await.unwrap() {
                            Outcome::Done => last = next,
                            Outcome::Missing => break,
                            other => panic!("{other:?}"),
                        }
                    }
                    gate.wait();
                }
            });
        });
        pollster::block_on(async {
            for _ in 0..ROUNDS {
                gate.wait();
                gate.wait();
                assert_eq!(store.delete_all(&CALL, &ann, None).await.unwrap(), 1);
                gate.wait();
                assert!(store.is_empty());
            }
        });
    });
}

#[test]
fn of_concurrent_creates_one_is_done() {
    let store = MemoryStore::new();
    let gate = Barrier::new(4);
    for n in 0..100 {
        let done: usize = thread::scope(|scope| {
            let tasks: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        gate.wait();
                        pollster::block_on(store.create(&CALL, &key(n), &record(None))).unwrap() == Outcome::Done
                    })
                })
                .collect();
            tasks.into_iter().map(|task| usize::from(task.join().unwrap())).sum()
        });
        assert_eq!(done, 1);
    }
}
