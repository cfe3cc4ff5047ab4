//! Tests of a failover to the standby while a store is used. They print what was confirmed, what survived, and for how long calls were
//! refused.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::Pair;
use session_conformance::fixtures::{key, now, put, record};
use session_conformance::proxy::Proxy;
use session_conformance::server;
use session_core::{Bytes, Outcome, Store, StoreKey, Version};
use session_store_postgres::PostgresStore;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// Number of sessions, each with a task that counts up in it.
const COUNTERS: u32 = 16;
/// Number of writes that are confirmed before the failover, and after it.
const EACH: usize = 400;
/// Number of writes that an asynchronous primary confirms while its standby is behind.
const BEHIND: usize = 100;
const TIME_OUT: Duration = Duration::from_secs(2);
/// How much longer than its time-out a call may take until its task runs again, on a machine with much else to do.
const LATE: Duration = Duration::from_secs(1);

/// What happens to the primary.
#[derive(Clone, Copy, Debug)]
enum Loss {
    /// It crashes.
    Crash,
    /// It becomes read-only, and keeps its connections.
    Fence,
    /// It is no longer reached: every packet to it is dropped.
    Silence,
}

/// A number that a write has stored, the write's version, and when it was confirmed.
#[derive(Clone, Copy)]
struct Confirmed {
    number: u64,
    version: Version,
    at: Instant,
}

/// What one task has seen.
struct Seen {
    key: StoreKey,
    confirmed: Vec<Confirmed>,
    refused: usize,
    slowest: Duration,
}

/// Counts up in one session until `stop`, from what each load returns.
async fn count(store: PostgresStore, key: StoreKey, stop: Arc<AtomicBool>, confirmed: Arc<Semaphore>) -> Seen {
    let mut seen = Seen { key, confirmed: Vec::new(), refused: 0, slowest: Duration::ZERO };
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let loaded = store.load(&now(), &key).await;
        seen.slowest = seen.slowest.max(begun.elapsed());
        let Ok(Some(old)) = loaded else {
            seen.refused += 1;
            tokio::task::yield_now().await;
            continue;
        };
        let number = u64::from_be_bytes(old.data[..].try_into().expect("a number")) + 1;
        let mut new = record(&[]);
        new.data = Bytes::copy_from_slice(&number.to_be_bytes());
        let begun = Instant::now();
        let saved = store.save(&now(), &key, old.version, &new).await;
        seen.slowest = seen.slowest.max(begun.elapsed());
        match saved {
            Ok(Outcome::Done) => {
                seen.confirmed.push(Confirmed { number, version: new.version, at: Instant::now() });
                confirmed.add_permits(1);
            }
            // A write whose answer was lost may have had its effect.
            Ok(_) | Err(_) => seen.refused += 1,
        }
    }
    seen
}

/// Waits until so many more writes are confirmed.
async fn wait_for(confirmed: &Semaphore, count: usize) {
    for _ in 0..count {
        let one = timeout(Duration::from_secs(60), confirmed.acquire()).await.expect("writes are confirmed");
        one.expect("it is never closed").forget();
    }
}

/// Counts while the primary is lost and its standby promoted. Returns how many confirmed writes are lost.
///
/// If the standby is `behind`, the last writes before that do not reach it.
async fn fail_over(loss: Loss, synchronous: bool, behind: bool) -> usize {
    let pair = Pair::start().await;
    let [primary, standby] = pair.both();
    if synchronous {
        pair.synchronize().await;
    }
    let network = Proxy::before(&primary).await.unwrap();
    let url = pair.url_of(0).replace(&primary, &format!("{},{standby}", network.address()));
    let url = server::with(&url, &format!("timeout={}", TIME_OUT.as_millis()));
    let store = PostgresStore::connect(&url).await.unwrap();
    let mut first = record(&[]);
    first.data = Bytes::copy_from_slice(&0_u64.to_be_bytes());
    for n in 0..COUNTERS {
        put(&store, n, &first).await;
    }
    pair.replicated().await;
    let (stop, confirmed) = (Arc::new(AtomicBool::new(false)), Arc::new(Semaphore::new(0)));
    let mut tasks = JoinSet::new();
    for n in 0..COUNTERS {
        tasks.spawn(count(store.clone(), key(n), Arc::clone(&stop), Arc::clone(&confirmed)));
    }
    wait_for(&confirmed, EACH).await;
    if behind {
        pair.hold_back_standby().await;
        if synchronous {
            pair.wait_for_standby().await;
        } else {
            wait_for(&confirmed, BEHIND).await;
        }
    }
    match loss {
        Loss::Crash => pair.stop_primary().await,
        Loss::Fence => pair.fence().await,
        Loss::Silence => network.stall(),
    }
    let lost = Instant::now();
    pair.promote().await;
    let promoted = Instant::now();
    // Those that were confirmed in between do not count.
    while let Ok(before) = confirmed.try_acquire() {
        before.forget();
    }
    wait_for(&confirmed, EACH).await;
    stop.store(true, Ordering::Relaxed);
    let seen = tasks.join_all().await;
    let new = PostgresStore::connect(&url).await.unwrap();
    let mut gone = 0;
    for seen in &seen {
        let stored = new.load(&now(), &seen.key).await.unwrap().expect("a session that nothing has ended");
        let stored_number = u64::from_be_bytes(stored.data[..].try_into().unwrap());
        // Numbers never go up twice without the record of a confirmed write, so the numbers that came again are those of lost writes.
        let came_again = seen.confirmed.windows(2).map(|two| (two[0].number + 1).saturating_sub(two[1].number));
        gone += usize::try_from(came_again.sum::<u64>()).unwrap();
        // From the promotion on, only the new primary confirms writes.
        let after = seen.confirmed.windows(2).filter(|two| two[0].at > promoted);
        assert!(after.clone().all(|two| two[0].number < two[1].number), "a write was confirmed by the former primary");
        let last = seen.confirmed.last().expect("each task has counted");
        if last.at > promoted {
            // The last write's answer may have been lost, and the stored number is then one more.
            assert!(stored_number >= last.number, "{stored_number} after {}", last.number);
            assert!(stored_number > last.number || stored.version == last.version, "another write has this number");
        } else {
            gone += usize::try_from(last.number.saturating_sub(stored_number)).unwrap();
        }
    }
    let all = seen.iter().flat_map(|seen| &seen.confirmed);
    let gap_end =
        all.clone().filter(|one| one.at > promoted).map(|one| one.at).min().expect("writes after the failover");
    let gap_begin =
        all.clone().filter(|one| one.at <= lost).map(|one| one.at).max().expect("writes before the failover");
    let slowest = seen.iter().map(|seen| seen.slowest).max().unwrap_or_default();
    println!(
        "summary: failover of PostgreSQL, {} replication{}, {}: {} confirmed, {gone} of them lost, none served for {} ms \
         (promotion {} ms), slowest call {} ms of {} ms, {} refused",
        if synchronous { "synchronous" } else { "asynchronous" },
        if behind { " held back" } else { "" },
        match loss {
            Loss::Crash => "primary crashed",
            Loss::Fence => "primary read-only",
            Loss::Silence => "primary out of reach",
        },
        all.count(),
        gap_end.duration_since(gap_begin).as_millis(),
        promoted.duration_since(lost).as_millis(),
        slowest.as_millis(),
        TIME_OUT.as_millis(),
        seen.iter().map(|seen| seen.refused).sum::<usize>(),
    );
    assert!(slowest < TIME_OUT + LATE, "a call took {slowest:?}");
    gone
}

#[tokio::test]
async fn a_synchronous_failover_loses_nothing_that_was_confirmed() {
    for (loss, behind) in [(Loss::Crash, true), (Loss::Fence, false)] {
        assert_eq!(fail_over(loss, true, behind).await, 0, "{loss:?}");
    }
}

#[tokio::test]
async fn an_asynchronous_failover_loses_what_the_standby_has_not_received() {
    for (loss, behind) in [(Loss::Crash, true), (Loss::Silence, false)] {
        let gone = fail_over(loss, false, behind).await;
        assert!(!behind || gone > 0, "the standby was not behind, so this test shows nothing");
    }
}
