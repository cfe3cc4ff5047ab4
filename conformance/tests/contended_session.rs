//! Tests of one session that many requests write at once: no request is lost, few saves are sent, and errors stay
//! separate.

use std::num::NonZeroU32;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use session_core::{
    Call, Capabilities, Commit, Cursor, ErrorKind, Limits, Manager, Outcome, Page, Principal, Purged, Record, Result,
    Session, Store, StoreKey, Timestamp, Version, async_trait,
};
use session_store_memory::MemoryStore;
use tokio::sync::Mutex;
use tokio::task::yield_now;

/// A database behind a network. An answer takes a while, and a save blocks the next one until it is on disk.
///
/// Time is counted in turns of a single thread, so that every run is the same.
#[derive(Debug, Default)]
struct Distant {
    store: MemoryStore,
    row: Mutex<()>,
    saves: AtomicUsize,
}

const WAY: usize = 1;
const TO_DISK: usize = 8;

/// Waits `n` turns. A separate task counts them, because several requests may poll one write in a turn.
async fn turns(n: usize) {
    let count = async move {
        for _ in 0..n {
            yield_now().await;
        }
    };
    tokio::spawn(count).await.unwrap();
}

#[async_trait]
impl Store for Distant {
    fn capabilities(&self) -> Capabilities {
        // Only over a store that other processes also write to does a request join the queue after its first conflict.
        self.store.capabilities().shared(true)
    }

    async fn create(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Outcome> {
        self.store.create(call, key, record).await
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
        turns(WAY).await;
        let loaded = self.store.load(call, key).await;
        turns(WAY).await;
        loaded
    }

    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        self.saves.fetch_add(1, Ordering::Relaxed);
        turns(WAY).await;
        let row = self.row.lock().await;
        if self.store.load(call, key).await?.is_some_and(|record| record.version == expected) {
            turns(TO_DISK).await;
        }
        let outcome = self.store.save(call, key, expected, record).await;
        drop(row);
        turns(WAY).await;
        outcome
    }

    async fn touch(&self, call: &Call, key: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome> {
        self.store.touch(call, key, expected, expires_at).await
    }

    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        self.store.delete(call, key, expected).await
    }

    async fn purge(&self, call: &Call, limit: NonZeroU32) -> Result<Purged> {
        self.store.purge(call, limit).await
    }

    async fn sessions_of(
        &self,
        call: &Call,
        principal: &Principal,
        limit: NonZeroU32,
    ) -> Result<Vec<(StoreKey, Record)>> {
        self.store.sessions_of(call, principal, limit).await
    }

    async fn delete_all(&self, call: &Call, principal: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        self.store.delete_all(call, principal, keep).await
    }

    async fn scan(&self, call: &Call, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        self.store.scan(call, after, limit).await
    }
}

/// Stores a session with a count of zero. Returns its cookie.
async fn stored(manager: &Manager) -> String {
    let first = manager.open(None).await.unwrap();
    first.insert("count", &0).unwrap();
    let Commit::Issue(ticket) = manager.close(&first).await.unwrap() else { panic!("no cookie") };
    ticket.value.as_str().to_owned()
}

async fn count(manager: &Manager, cookie: &str) -> usize {
    manager.open(Some(cookie)).await.unwrap().get("count").unwrap().unwrap()
}

/// Opens a handle of the session for each request.
async fn opened(manager: &Manager, cookie: &str, requests: usize) -> Vec<Session> {
    join_all((0..requests).map(|_| async { manager.open(Some(cookie)).await.unwrap() })).await
}

fn count_up(session: &Session) {
    session.update("count", |n: &mut usize| *n += 1).unwrap();
}

/// Closes three sessions, which start the queue, and the others while one of the three saves. Returns all results.
async fn close_all(manager: &Manager, sessions: &[Session]) -> Vec<Result<Commit>> {
    let close = |session| AssertUnwindSafe(manager.close(session)).catch_unwind();
    let (early, late) = sessions.split_at(3);
    let late = async {
        turns(2 * TO_DISK).await;
        join_all(late.iter().map(close)).await
    };
    let (mut early, late) = tokio::join!(join_all(early.iter().map(close)), late);
    early.extend(late);
    early.into_iter().map(|closed| closed.unwrap_or(Err(ErrorKind::Other.into()))).collect()
}

fn kinds(closed: &[Result<Commit>]) -> Vec<ErrorKind> {
    closed.iter().filter_map(|closed| closed.as_ref().err().map(session_core::Error::kind)).collect()
}

#[tokio::test]
async fn requests_that_wait_are_stored_by_the_save_of_one() {
    let store: Arc<Distant> = Arc::default();
    let manager = Manager::new(store.clone());
    let cookie = stored(&manager).await;
    let sessions = opened(&manager, &cookie, 100).await;
    sessions.iter().for_each(count_up);
    assert_eq!(kinds(&close_all(&manager, &sessions).await), []);
    assert_eq!(count(&manager, &cookie).await, 100);
    assert!(sessions.iter().all(|session| !session.is_modified() && session.get::<usize>("count").unwrap() > Some(0)));
    let saves = store.saves.load(Ordering::Relaxed);
    assert!(saves <= 6, "{saves} saves for 100 requests");
}

#[tokio::test]
async fn a_request_that_clashes_with_those_it_waits_with_fails_alone() {
    let manager = Manager::new(Arc::new(Distant::default()));
    let cookie = stored(&manager).await;
    let sessions = opened(&manager, &cookie, 20).await;
    sessions.iter().for_each(count_up);
    // Each has seen that the prize is not set, so at most one of them can get it.
    for session in &sessions[10..13] {
        assert_eq!(session.get::<usize>("prize").unwrap(), None);
        session.require_unchanged("prize").unwrap();
    }
    sessions[5].insert("prize", &5).unwrap();
    // The identity does not change, but this closure panics on the values that other requests have written.
    sessions[15].update("count", |n: &mut usize| assert!(*n < 3, "a closure that panics")).unwrap();
    let closed = close_all(&manager, &sessions).await;
    let failed: Vec<usize> = (0..20).filter(|&n| closed[n].is_err()).collect();
    assert_eq!(kinds(&closed).iter().filter(|kind| **kind == ErrorKind::Conflict).count(), failed.len() - 1);
    assert!(failed.contains(&15) && failed.iter().all(|n| (10..13).contains(n) || *n == 15), "{failed:?}");
    assert_eq!(count(&manager, &cookie).await, 20 - failed.len());
    for session in &sessions {
        session.discard();
    }
}

#[tokio::test]
async fn a_limit_that_waiting_requests_exceed_together_stops_only_who_is_over_it() {
    let limits = Limits::new().max_keys(10);
    let manager = Manager::builder(Arc::new(Distant::default())).limits(limits).build().unwrap();
    let cookie = stored(&manager).await;
    let sessions = opened(&manager, &cookie, 20).await;
    for (n, session) in sessions.iter().enumerate() {
        session.insert(n, &n).unwrap();
    }
    let closed = close_all(&manager, &sessions).await;
    assert_eq!(kinds(&closed), [ErrorKind::TooLarge; 11]);
    let last = manager.open(Some(&cookie)).await.unwrap();
    let there: Vec<usize> = (0..20).filter(|n| last.contains(n)).collect();
    let answered: Vec<usize> = (0..20).filter(|&n| closed[n].is_ok()).collect();
    assert_eq!(there, answered);
    for session in &sessions {
        session.discard();
    }
}

#[tokio::test]
async fn requests_that_are_dropped_while_they_wait_together_lose_nothing_and_do_nothing_twice() {
    // Every third request is dropped, at each possible instant in turn. It may be the one that saves, or one that waits.
    for dropped_after in 0..8 * TO_DISK {
        let manager = Manager::new(Arc::new(Distant::default()));
        let cookie = stored(&manager).await;
        let sessions = opened(&manager, &cookie, 12).await;
        sessions.iter().for_each(count_up);
        let closing = sessions.iter().enumerate().map(|(n, session)| {
            let manager = &manager;
            async move {
                if n >= 3 {
                    turns(2 * TO_DISK).await;
                }
                let patience = if n % 3 == 1 { dropped_after } else { usize::MAX };
                tokio::select! {
                    biased;
                    closed = manager.close(session) => closed.map(drop),
                    () = turns(patience) => Ok(()),
                }
            }
        });
        for closed in join_all(closing).await {
            closed.unwrap();
        }
        // Every request closes again, like after a handler that was dropped halfway.
        let mut in_doubt = 0;
        for session in &sessions {
            if let Err(error) = manager.close(session).await {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "dropped after {dropped_after} turns: {error}");
                session.discard();
                in_doubt += 1;
            }
        }
        let counted = count(&manager, &cookie).await;
        let possible = 12 - in_doubt..=12;
        assert!(possible.contains(&counted), "dropped after {dropped_after} turns: {counted}, not {possible:?}");
    }
}

#[tokio::test]
async fn the_queue_of_one_process_does_not_starve_the_others() {
    const REQUESTS: usize = 400;
    let store: Arc<Distant> = Arc::default();
    let processes = [Manager::new(store.clone()), Manager::new(store)];

    let cookie = stored(&processes[0]).await;

    let requests = (0..REQUESTS).map(|n| {
        let (manager, cookie) = (&processes[n % 2], &cookie);
        async move {
            let session = manager.open(Some(cookie)).await?;
            session.update("count", |n: &mut u64| *n += 1)?;
            manager.close(&session).await
        }
    });
    let failed: Vec<_> = join_all(requests).await.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{} of {REQUESTS} requests failed: {:?}", failed.len(), failed[0]);

    let last = processes[1].open(Some(&cookie)).await.unwrap();
    assert_eq!(last.get::<usize>("count").unwrap(), Some(REQUESTS));
}
