//! Requests that end without a commit. Their changes are dropped with a warning, whatever values they hold.

use std::sync::Arc;

use pollster::block_on;
use session_conformance::log::Log;
use session_core::{Manager, Session};
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
fn a_request_that_was_abandoned_or_committed_warns_of_nothing() {
    let abandoned = |exchange: Exchange| exchange.abandon();
    assert_eq!(warnings(abandoned).expect("it is freed"), "");
    let committed = |exchange: Exchange| assert_eq!(block_on(exchange.commit()).set_cookie.len(), 1);
    assert_eq!(warnings(committed).expect("it is freed"), "");
}
