//! Tests of slots that move between nodes while they are in use.

use super::*;

/// Reads the counter in a session's data.
fn count(record: &Record) -> u64 {
    u64::from_le_bytes(record.data[..8].try_into().unwrap())
}

fn counting(n: u64, who: &Principal) -> Record {
    let mut record = record(Some(who));
    record.data = Bytes::from(n.to_le_bytes().to_vec());
    record
}

#[tokio::test]
async fn slots_that_move_lose_no_update_and_no_entry() {
    const ROUNDS: u64 = 40;
    let mut bench = Bench::new().await;
    let ann = principal();
    let keys: Vec<_> = (0..8).map(|_| key()).collect();
    for key in &keys {
        assert_eq!(bench.store.create(&call(), key, &counting(0, &ann)).await.unwrap(), Done);
    }
    let over = Arc::new(AtomicBool::new(false));
    let writers = keys.iter().flat_map(|key| [*key, *key]).map(|key| {
        let (store, ann) = (bench.store.clone(), ann.clone());
        tokio::spawn(async move {
            for round in 0..ROUNDS {
                let version = loop {
                    let old = store.load(&call(), &key).await.unwrap().unwrap();
                    let new = counting(count(&old) + 1, &ann);
                    match store.save(&call(), &key, old.version, &new).await.unwrap() {
                        Done => break new.version,
                        outcome => assert_eq!(outcome, Conflict),
                    }
                };
                // Late enough to need a new entry.
                let farther = SystemClock.now().plus(hours(24 * (round + 2)));
                // The other writer may have saved since.
                let touched = store.touch(&call(), &key, version, farther).await.unwrap();
                assert!(matches!(touched, Done | Conflict), "a touch answered {touched:?}");
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let ended = {
        let over = Arc::clone(&over);
        tokio::spawn(async move {
            for writer in writers {
                writer.await.unwrap();
            }
            over.store(true, Ordering::SeqCst);
        })
    };
    let mut names: Vec<_> = keys.iter().map(name).collect();
    names.push(index(&ann));
    let mut moved = 0;
    while !over.load(Ordering::SeqCst) || moved == 0 {
        for name in &names {
            let slot = bench.slot(name).await;
            let from = bench.owner(slot).await;
            let to = (from + 1) % bench.nodes.0.len();
            Move { slot, from, to }.all(&mut bench.nodes, bench.server.password()).await;
            moved += 1;
        }
    }
    ended.await.unwrap();
    for key in &keys {
        let record = bench.store.load(&call(), key).await.unwrap().unwrap();
        assert_eq!(count(&record), 2 * ROUNDS, "updates of a session whose slot moved, {moved} moves in all");
    }
    let mut sorted = keys.clone();
    sorted.sort_unstable();
    assert_eq!(bench.listed(&ann).await, sorted);
    assert_eq!(bench.store.delete_all(&call(), &ann, None).await.unwrap(), 8);
}

#[tokio::test]
async fn a_slot_that_stays_half_moved_serves_everything() {
    let mut bench = Bench::new().await;
    let (ann, key) = (principal(), key());
    let slot = bench.slot(&name(&key)).await;
    let from = bench.owner(slot).await;
    let half = Move { slot, from, to: (from + 1) % 3 };
    half.open(&mut bench.nodes).await;
    // The record does not exist yet, and is then created on the importing node.
    assert_eq!(bench.store.load(&call(), &key).await.unwrap(), None);
    let first = record(Some(&ann));
    assert_eq!(bench.store.create(&call(), &key, &first).await.unwrap(), Done);
    assert_eq!(bench.store.load(&call(), &key).await.unwrap(), Some(first.clone()));
    assert_eq!(bench.store.create(&call(), &key, &record(None)).await.unwrap(), Exists);
    assert_eq!(bench.store.touch(&call(), &key, first.version, first.expires_at.plus(hours(100))).await.unwrap(), Done);
    assert_eq!(bench.listed(&ann).await, [key]);
    let page = bench.store.scan(&call(), None, LIMIT).await.unwrap();
    assert!(page.records.iter().any(|(known, _)| *known == key), "a walk sees it where it is");
    assert_eq!(bench.store.delete(&call(), &key, Some(first.version)).await.unwrap(), Done);
    half.close(&mut bench.nodes).await;
    assert_eq!(bench.store.load(&call(), &key).await.unwrap(), None);
}

/// Checks that a scan returns all records while some of them move from a node not yet visited to a visited one.
///
/// With `finish` the migration of their slots is completed; otherwise the slots stay in migration throughout.
async fn walk(finish: bool) {
    let mut bench = Bench::new().await;
    let mut missing = Vec::new();
    for _ in 0..90 {
        let (key, record) = (key(), record(None));
        assert_eq!(bench.store.create(&call(), &key, &record).await.unwrap(), Done);
        missing.push(key);
    }
    // A scan visits nodes in the order of their addresses.
    bench.nodes.0.sort_by_key(|node| node.address.rsplit_once(':').unwrap().1.parse::<u16>().unwrap());
    let mut moves = Vec::new();
    for key in &missing {
        let slot = bench.slot(&name(key)).await;
        if bench.owner(slot).await == 2 && moves.len() < 10 && moves.iter().all(|one: &Move| one.slot != slot) {
            moves.push(Move { slot, from: 2, to: 0 });
        }
    }
    assert!(!moves.is_empty());
    if !finish {
        // These slots are in migration before the scan starts and after it ends.
        for one in &moves {
            one.open(&mut bench.nodes).await;
        }
    }
    let password = bench.server.password().to_owned();
    let few = NonZeroU32::new(5).unwrap();
    let (mut after, mut pages) = (None, 0);
    loop {
        let page = bench.store.scan(&call(), after, few).await.unwrap();
        assert!(page.records.len() <= 5);
        missing.retain(|key| page.records.iter().all(|(seen, _)| seen != key));
        if pages == 0 {
            for one in &moves {
                if finish {
                    one.all(&mut bench.nodes, &password).await
                } else {
                    one.carry(&mut bench.nodes, &password).await
                }
            }
        }
        pages += 1;
        assert!(pages < 1000, "the walk has no end");
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(missing.len(), 0, "records that a walk of {pages} pages has not shown");
}

#[tokio::test]
async fn a_walk_misses_nothing_when_slots_move_behind_it() {
    walk(true).await;
}

#[tokio::test]
async fn a_walk_misses_nothing_in_slots_that_stay_open() {
    walk(false).await;
}
