//! Requests that end without a commit. Their changes are dropped with a warning, whatever values they hold.

use std::sync::Arc;

use pollster::block_on;
use session_conformance::log::Log;
use session_core::{ErrorKind, Manager, Session};
use session_http::{CookieOptions, Exchange, SessionSet};
use session_store_memory::MemoryStore;

/// Returns the warnings of a request that logs an `update` whose closure holds the session itself, and then runs `end`.
/// Returns `None` if the closure was not freed.
fn warnings(end: impl FnOnce(Exchange)) -> Option<String> {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    let held = Arc::new(());
    let freed = Arc::downgrade(&held);
    tracing::subscriber::with_default(subscriber, || {
        let set = SessionSet::new(Manager::new(MemoryStore::new()), CookieOptions::new()).unwrap();
        let exchange = set.begin();
        let session = block_on(exchange.open_first([])).unwrap();
        logs_itself(&session, held);
        drop(session);
        end(exchange);
    });
    let text = log.text();
    let warnings = text.lines().filter(|line| line.contains("WARN") && !line.contains("without TLS"));
    (freed.strong_count() == 0).then(|| warnings.collect())
}

fn logs_itself(session: &Session, held: Arc<()>) {
    session.insert("step", &2).unwrap();
    let itself = session.clone();
    session
        .update("n", move |n: &mut u64| {
            let _ = &held;
            *n += itself.peek::<u64>("step").unwrap().unwrap();
        })
        .unwrap();
}

#[test]
fn a_dropped_request_frees_a_change_that_holds_its_session_and_warns() {
    let said = warnings(drop).expect("it is freed");
    assert!(said.contains("a request ended without a commit: its changes are not stored"), "{said}");
}

#[test]
fn a_request_whose_commit_failed_frees_a_change_that_holds_its_session() {
    let said = warnings(|exchange| {
        let session = block_on(exchange.open_first([])).unwrap();
        for key in ["a", "b"] {
            session.insert(key, &"x".repeat(40_000)).unwrap();
        }
        drop(session);
        assert_eq!(block_on(exchange.commit()).error.unwrap().kind(), ErrorKind::TooLarge);
    });
    assert!(said.is_some(), "it is freed");
}

#[test]
fn a_task_that_outlives_its_request_is_told_that_its_changes_were_dropped() {
    let set = SessionSet::new(Manager::new(MemoryStore::new()), CookieOptions::new()).unwrap();
    let ends: [fn(Exchange); 2] = [drop, |exchange| exchange.abandon()];
    for end in ends {
        let exchange = set.begin();
        let session = block_on(exchange.open_first([])).unwrap();
        session.insert("early", &1).unwrap();
        let _ = block_on(session.save()).unwrap();
        session.insert("late", &2).unwrap();
        end(exchange);
        assert_eq!(block_on(session.save()).unwrap_err().kind(), ErrorKind::Gone);
        session.discard();
        session.insert("later", &3).unwrap();
        let _ = block_on(session.save()).unwrap();
        block_on(session.reload()).unwrap();
        assert_eq!(session.keys(), ["early", "later"]);
    }
}

#[test]
fn a_task_that_outlives_a_committed_request_can_save() {
    let set = SessionSet::new(Manager::new(MemoryStore::new()), CookieOptions::new()).unwrap();
    let exchange = set.begin();
    let session = block_on(exchange.open_first([])).unwrap();
    session.insert("n", &1).unwrap();
    assert!(block_on(exchange.commit()).error.is_none());
    session.insert("n", &2).unwrap();
    drop(exchange);
    let _ = block_on(session.save()).unwrap();
    block_on(session.reload()).unwrap();
    assert_eq!(session.get::<u32>("n").unwrap(), Some(2));
}

/// Number of events about dropped changes in `warnings`.
fn drops(warnings: &str) -> usize {
    warnings.matches("its changes are not stored").count()
}

#[test]
fn whenever_changes_are_dropped_one_event_says_so() {
    let said = warnings(|exchange| exchange.abandon()).expect("it is freed");
    assert_eq!(drops(&said), 1, "{said}");
    assert!(said.contains("sessions=\"id\"") && said.contains("abandoned"), "{said}");
    let said = warnings(|exchange| {
        exchange.abandon();
        assert!(block_on(exchange.commit()).set_cookie.is_empty());
    });
    assert_eq!(drops(&said.expect("it is freed")), 1);
}

#[test]
fn dropping_a_request_while_its_thread_panics_is_no_reason_for_silence() {
    let said = warnings(|exchange| {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _exchange = exchange;
            panic!("as the test demands");
        }));
        assert!(caught.is_err());
    });
    assert_eq!(drops(&said.expect("it is freed")), 1);
}

#[test]
fn a_logout_that_is_not_carried_out_is_said() {
    let said = warnings(|exchange| {
        block_on(exchange.commit());
        let set = exchange.set().clone();
        let next = set.begin();
        let session = block_on(next.open_first([])).unwrap();
        session.insert("n", &1).unwrap();
        let _ = block_on(session.save()).unwrap();
        session.logout();
    });
    assert!(said.expect("it is freed").contains("a logout is not carried out"));
}

#[test]
fn a_request_that_was_committed_warns_of_nothing() {
    let committed = |exchange: Exchange| assert_eq!(block_on(exchange.commit()).set_cookie.len(), 1);
    assert_eq!(warnings(committed).expect("it is freed"), "");
}
