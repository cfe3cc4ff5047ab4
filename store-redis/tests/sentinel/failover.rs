//! Failovers while sessions are counted up.
//!
//! What is certain: a write that both replicas had acknowledged (`WAIT 2`) before the failover began is never lost, whether the master
//! was replaced in order, killed or stopped. A write that was confirmed after that may be lost, because replication is asynchronous.
//! The test counts those and prints them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use session_conformance::server::{self, Start};
use session_core::Outcome::{Done, Exists};
use session_core::{Bytes, ErrorKind, Record, Store as _, StoreKey};
use session_store_redis::RedisStore;
use session_store_redis::redis;
use tokio::task::{JoinHandle, JoinSet};

use super::group::{Group, until};
use super::records::{call, key, record};
use super::{TIME_OUT, builder};

/// Longest time from the decision of the sentinels until the store serves every session again.
const SERVED: Duration = Duration::from_secs(2);

/// Longest time from the decision of the sentinels until no answer of the old master is believed.
const BELIEVED: Duration = Duration::from_secs(1);

/// Time that a call may take beyond its time-out, on a machine that is busy with six servers.
const MARGIN: Duration = Duration::from_millis(500);

/// Time-out of calls that are to end before it.
const PATIENT: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
enum Failover {
    /// `SENTINEL FAILOVER`.
    Ordered,
    /// The master is killed, and started again after the failover.
    Killed,
    /// The master is stopped, and continues after the failover without knowing of it.
    Stopped,
}

/// What has become of the increments of one session.
#[derive(Clone, Debug, Default)]
struct Count {
    /// Value of the last increment that was confirmed and not lost.
    confirmed: u64,
    increments: u64,
    refused: u64,
    lost: u64,
    /// Number of times that the session fell back to an older value.
    fallbacks: usize,
    longest_call: Duration,
    /// Time of the last increment that was confirmed.
    last: Option<Instant>,
    /// Longest time between two increments.
    longest_gap: Duration,
}

#[derive(Clone)]
struct Counted {
    key: StoreKey,
    count: Arc<Mutex<Count>>,
}

impl Counted {
    fn count(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap()
    }

    fn timed(&self, begun: Instant) {
        let mut count = self.count();
        count.longest_call = count.longest_call.max(begun.elapsed());
    }

    /// Loads the session and stores it with a count that is one higher. A session that is lost begins again.
    async fn increment(&self, store: &RedisStore) -> Result<(), session_core::Error> {
        let begun = Instant::now();
        let loaded = store.load(&call(), &self.key).await;
        self.timed(begun);
        let loaded = loaded?;
        let value = loaded.as_ref().map_or(0, number);
        {
            let mut count = self.count();
            if value < count.confirmed {
                count.lost += count.confirmed - value;
                count.fallbacks += 1;
            }
            count.confirmed = value;
        }
        let next = counting(value + 1);
        let begun = Instant::now();
        let written = match &loaded {
            Some(old) => store.save(&call(), &self.key, old.version, &next).await,
            None => store.create(&call(), &self.key, &next).await,
        };
        self.timed(begun);
        if written? == Done {
            let mut count = self.count();
            (count.confirmed, count.increments) = (value + 1, count.increments + 1);
            let now = Instant::now();
            count.longest_gap = count.longest_gap.max(count.last.map_or(Duration::ZERO, |last| now - last));
            count.last = Some(now);
        }
        Ok(())
    }
}

fn number(record: &Record) -> u64 {
    u64::from_le_bytes(record.data[..8].try_into().unwrap())
}

fn counting(n: u64) -> Record {
    let mut counting = record(None);
    counting.data = Bytes::from(n.to_le_bytes().to_vec());
    counting
}

/// Tasks that count sessions up until they are told to stop.
struct Load {
    sessions: Vec<Counted>,
    over: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Load {
    fn start(store: &RedisStore, sessions: &[Counted]) -> Self {
        let (over, mut tasks) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
        for session in sessions {
            let (session, store, over) = (session.clone(), store.clone(), Arc::clone(&over));
            tasks.spawn(async move {
                while !over.load(Ordering::SeqCst) {
                    if session.increment(&store).await.is_err() {
                        session.count().refused += 1;
                        // sleep: as a client that is refused tries again later.
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
            });
        }
        Self { sessions: sessions.to_vec(), over, tasks }
    }

    async fn stop(self) {
        self.over.store(true, Ordering::SeqCst);
        self.tasks.join_all().await;
    }

    /// Waits until each session has been counted up after `since`.
    async fn counted_since(&self, since: Instant) {
        let all = || self.sessions.iter().all(|session| session.count().last.is_some_and(|last| last > since));
        until(async || all(), "a session is not served").await;
    }
}

/// Returns the counts of now, once both replicas have them.
async fn acknowledged(group: &Group, master: &str, sessions: &[Counted]) -> Vec<u64> {
    let before: Vec<_> = sessions.iter().map(|session| session.count().confirmed).collect();
    let mut master = group.connection(master).await;
    // `WAIT` waits for the writes of its own connection, and so for all that came before this one.
    redis::cmd("SET").arg("marker").arg(1).exec_async(&mut master).await.unwrap();
    let replicas: u8 = redis::cmd("WAIT").arg(2).arg(5000).query_async(&mut master).await.unwrap();
    assert_eq!(replicas, 2);
    before
}

async fn begin(group: &Group, failover: Failover, master: &str) {
    match failover {
        Failover::Ordered => group.failover().await,
        Failover::Killed => group.signal("KILL", master).await,
        Failover::Stopped => group.signal("STOP", master).await,
    }
}

/// Brings the old master back, which is a master in its own eyes until the sentinels make it a replica.
async fn heal(group: &Group, failover: Failover, old: &str) {
    match failover {
        Failover::Ordered => {}
        Failover::Killed => group.start(old).await,
        Failover::Stopped => group.signal("CONT", old).await,
    }
}

/// Loads from a master that has stopped, and opens a store. Both have a long time-out, and end as soon as another master is named.
fn waits(group: &Group, patient: &RedisStore, key: StoreKey) -> JoinHandle<()> {
    let (patient, opening) = (patient.clone(), builder(group.server.url()).timeout(PATIENT).open());
    tokio::spawn(async move {
        let loading = async {
            let error = patient.load(&call(), &key).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
            assert!(error.to_string().contains("name another master"), "{error}");
            assert!(patient.load(&call(), &key).await.is_ok(), "the next call has the new master");
        };
        let opened = tokio::join!(loading, opening).1;
        assert!(opened.is_ok(), "{opened:?}");
    })
}

async fn fails_over(start: Start, failovers: &[Failover]) {
    let group = Group::new(start).await;
    let store = builder(group.server.url()).open().await.unwrap();
    // A store that is idle during each failover.
    let idle = builder(group.server.url()).open().await.unwrap();
    // A store whose calls may wait for long.
    let patient = builder(group.server.url()).timeout(PATIENT).open().await.unwrap();
    let mut sessions = Vec::new();
    for _ in 0..8 {
        let key = key();
        assert_eq!(store.create(&call(), &key, &counting(0)).await.unwrap(), Done);
        sessions.push(Counted { key, count: Arc::default() });
    }
    let load = Load::start(&store, &sessions);
    for (number, failover) in failovers.iter().enumerate() {
        group.healthy().await;
        load.counted_since(Instant::now()).await;
        let old = group.master().await;
        for session in &sessions {
            let mut count = session.count();
            (count.longest_gap, count.longest_call) = Default::default();
        }
        let certain = acknowledged(&group, &old, &sessions).await;
        println!("{failover:?} from {old}");
        let (begun, lost) = (Instant::now(), sessions.iter().map(|session| session.count().lost).sum::<u64>());
        // Both have a connection to the old master, and one of them is idle from now on.
        for store in [&patient, &idle] {
            until(async || store.load(&call(), &sessions[0].key).await.is_ok(), "no load").await;
        }
        begin(&group, *failover, &old).await;
        let waiting = matches!(failover, Failover::Stopped).then(|| waits(&group, &patient, sessions[0].key));
        group.other_than(&old).await;
        let decided = Instant::now();
        if let Some(waiting) = waiting {
            waiting.await.unwrap();
            let waited = decided.elapsed();
            assert!(
                waited < SERVED,
                "a call and an opening still waited for the old master {waited:?} after the decision"
            );
        }
        load.counted_since(decided).await;
        let served = decided.elapsed();
        assert!(served < SERVED, "{failover:?}: served {served:?} after the decision");
        // sleep: the store may believe the old master for so long, if that is still there.
        tokio::time::sleep(BELIEVED.saturating_sub(decided.elapsed())).await;
        // The old master is back, and answers nothing, whether the store was busy or idle.
        heal(&group, *failover, &old).await;
        let marked = counting(u64::MAX);
        let marker = key();
        until(async || matches!(store.create(&call(), &marker, &marked).await, Ok(Done | Exists)), "no write").await;
        let known = idle.load(&call(), &marker).await;
        assert!(known.as_ref().is_ok_and(Option::is_some) || known.is_err(), "{failover:?}: the old master answered");
        let after = Instant::now();
        while after.elapsed() < Duration::from_millis(700) {
            assert!(
                store.load(&call(), &marker).await.is_ok_and(|record| record.is_some()),
                "{failover:?}: it is forgotten"
            );
        }
        load.counted_since(Instant::now()).await;
        let counts: Vec<_> = sessions.iter().map(|session| session.count().clone()).collect();
        for (count, certain) in counts.iter().zip(&certain) {
            assert!(count.confirmed >= *certain, "{failover:?}: acknowledged {certain}, found {count:?}");
            assert!(count.fallbacks <= number + 1, "{failover:?}: fell back more than once, {count:?}");
            assert!(count.longest_call < TIME_OUT + MARGIN, "{failover:?}: {count:?}");
        }
        let sum = |of: fn(&Count) -> u64| counts.iter().map(of).sum::<u64>();
        println!(
            "{failover:?}: decided after {:?}, all sessions served {served:?} later, at most {:?} between two increments, longest call {:?}; \
             so far {} increments confirmed, {} calls refused; lost in this failover {} of the confirmed",
            decided - begun,
            counts.iter().map(|count| count.longest_gap).max().unwrap_or_default(),
            counts.iter().map(|count| count.longest_call).max().unwrap_or_default(),
            sum(|count| count.increments),
            sum(|count| count.refused),
            sum(|count| count.lost) - lost,
        );
    }
    load.stop().await;
    // Without a write in flight, a failover in order loses nothing at all.
    group.healthy().await;
    let old = group.master().await;
    let expected = acknowledged(&group, &old, &sessions).await;
    group.failover().await;
    group.other_than(&old).await;
    for (session, expected) in sessions.iter().zip(expected) {
        let mut found = None;
        until(
            async || store.load(&call(), &session.key).await.is_ok_and(|record| found.insert(record).is_some()),
            "no load",
        )
        .await;
        assert_eq!(found.flatten().as_ref().map(self::number), Some(expected));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_failovers_under_load_lose_nothing_that_was_replicated_on_redis() {
    use Failover::{Killed, Ordered, Stopped};
    fails_over(|| Box::pin(server::redis_sentinel()), &[Ordered, Killed, Stopped, Killed, Stopped]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failovers_under_load_lose_nothing_that_was_replicated_on_valkey() {
    fails_over(|| Box::pin(server::valkey_sentinel()), &[Failover::Ordered, Failover::Stopped]).await;
}
