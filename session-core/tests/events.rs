//! Events in the life of sessions.

mod common;

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use session_core::{Capabilities, Commit, ErrorKind, Event, EventKind, Filter, Manager, Session};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};

use common::Shelf;

/// A manager whose events are kept.
struct Rig {
    manager: Manager,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Rig {
    fn new() -> Self {
        let events = Arc::<Mutex<Vec<Event>>>::default();
        let kept = events.clone();
        let store = Shelf::that_can(Capabilities::new().by_principal(true).scan(true));
        let builder = Manager::builder(store).on_event(move |event| kept.lock().unwrap().push(event.clone()));
        Self { manager: builder.build().unwrap(), events }
    }

    /// Returns the events since the last call: kind, principal and count.
    fn events(&self) -> Vec<String> {
        let events = std::mem::take(&mut *self.events.lock().unwrap());
        let show = |event: Event| {
            let who = event.principal.map_or("-".to_owned(), |who| who.to_string());
            format!("{} {who} {}", event.kind, event.count)
        };
        events.into_iter().map(show).collect()
    }

    fn open(&self, id: Option<&str>) -> Session {
        pollster::block_on(self.manager.open(id)).unwrap()
    }

    /// Closes the session. Returns its new id, if it has one.
    fn close(&self, session: &Session) -> Option<String> {
        match pollster::block_on(self.manager.close(session)).unwrap() {
            Commit::Issue(cookie) => Some(cookie.value.as_str().to_owned()),
            _ => None,
        }
    }

    /// Stores a session of ann, and returns its id. Its events are forgotten.
    fn ann(&self) -> String {
        let session = self.open(None);
        session.login("ann").unwrap();
        session.set_label("Firefox").unwrap();
        let id = self.close(&session).unwrap();
        self.events();
        id
    }
}

#[test]
fn each_step_in_the_life_of_a_session_is_one_event() {
    let rig = Rig::new();
    let session = rig.open(None);
    session.insert("n", &1).unwrap();
    assert_eq!(rig.events(), [""; 0], "nothing is confirmed yet");
    let id = rig.close(&session).unwrap();
    assert_eq!(rig.events(), ["created - 1"]);

    let session = rig.open(Some(&id));
    session.insert("n", &2).unwrap();
    rig.close(&session);
    assert_eq!(rig.events(), [""; 0]);

    let session = rig.open(Some(&id));
    session.login("ann").unwrap();
    let id = rig.close(&session).unwrap();
    assert_eq!(rig.events(), ["login ann 1"]);

    let session = rig.open(Some(&id));
    session.rotate().unwrap();
    let id = rig.close(&session).unwrap();
    assert_eq!(rig.events(), ["rotated ann 1"]);

    let session = rig.open(Some(&id));
    session.reauthenticate().unwrap();
    let id = rig.close(&session).unwrap();
    assert_eq!(rig.events(), ["reauthenticated ann 1"]);

    let [session, late] = [rig.open(Some(&id)), rig.open(Some(&id))];
    session.logout();
    rig.close(&session);
    assert_eq!(rig.events(), ["logout ann 1"]);
    late.logout();
    rig.close(&late);
    assert_eq!(rig.events(), [""; 0], "it had ended before");
}

#[test]
fn an_event_names_the_session_and_holds_no_value() {
    let rig = Rig::new();
    let session = rig.open(None);
    session.insert("secret", "value-4711").unwrap();
    session.login("ann").unwrap();
    session.set_label("Firefox").unwrap();
    let id = rig.close(&session).unwrap();
    let events = rig.events.lock().unwrap().clone();
    assert_eq!(events.iter().map(|event| event.kind).collect::<Vec<_>>(), [EventKind::Created, EventKind::Login]);
    for event in events {
        assert_eq!((event.handle, event.label.as_deref(), &*event.name), (session.handle(), Some("Firefox"), "id"));
        let shown = format!("{event:?}");
        assert!(!shown.contains(&id) && !shown.contains("4711"), "{shown}");
    }
}

#[test]
fn a_revocation_is_one_event_with_the_number_of_sessions() {
    let rig = Rig::new();
    let ids = [(); 4].map(|()| rig.ann());
    let session = rig.open(Some(&ids[0]));
    let handle = rig.open(Some(&ids[1])).handle().unwrap();
    assert!(pollster::block_on(session.revoke(&handle)).unwrap());
    assert_eq!(rig.events.lock().unwrap()[0].handle, Some(handle));
    assert_eq!(rig.events(), ["revoked ann 1"]);
    assert_eq!(pollster::block_on(session.revoke_others()).unwrap(), 2);
    assert_eq!(rig.events(), ["revoked ann 2"]);
    let firefox = Filter::all().label("Firefox");
    assert_eq!(pollster::block_on(rig.manager.revoke_where(firefox.clone().dry_run())).unwrap(), 1);
    assert_eq!(rig.events(), [""; 0]);
    pollster::block_on(rig.manager.revoke_where(firefox)).unwrap();
    assert_eq!(rig.events(), ["revoked - 1"]);
    pollster::block_on(rig.manager.revoke_all("ann")).unwrap();
    assert_eq!(rig.events(), [""; 0], "none was left");
}

#[test]
fn a_replayed_change_is_reported_once_and_a_clash_as_a_conflict() {
    let rig = Rig::new();
    let id = rig.ann();
    let [login, other] = [rig.open(Some(&id)), rig.open(Some(&id))];
    other.insert("n", &1).unwrap();
    rig.close(&other);
    login.reauthenticate().unwrap(); // its tombstone meets a newer record
    let id = rig.close(&login).unwrap();
    assert_eq!(rig.events(), ["reauthenticated ann 1"]);

    let [one, other] = [rig.open(Some(&id)), rig.open(Some(&id))];
    for (session, n) in [(&one, 5), (&other, 6)] {
        session.get::<u8>("n").unwrap();
        session.insert("n", &n).unwrap();
    }
    rig.close(&one);
    assert_eq!(pollster::block_on(rig.manager.close(&other)).unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(rig.events(), ["conflict ann 1"]);
    other.discard();
}

#[test]
fn changes_that_are_thrown_away_are_one_event() {
    let rig = Rig::new();
    let id = rig.ann();
    // The request ends without a commit.
    let session = rig.open(Some(&id));
    session.insert("n", &1).unwrap();
    session.abandon();
    session.abandon();
    drop(session);
    assert_eq!(rig.events(), ["dropped ann 1"]);
    // All handles are dropped.
    let session = rig.open(Some(&id));
    session.insert("n", &1).unwrap();
    drop(session);
    assert_eq!(rig.events(), ["dropped ann 1"]);
    // The application does not want them.
    let session = rig.open(Some(&id));
    session.insert("n", &1).unwrap();
    session.discard();
    drop(session);
    assert_eq!(rig.events(), [""; 0]);
    // The session has ended.
    let session = rig.open(Some(&id));
    session.insert("n", &1).unwrap();
    pollster::block_on(rig.manager.revoke_all("ann")).unwrap();
    rig.events();
    for _ in 0..2 {
        assert_eq!(pollster::block_on(rig.manager.close(&session)).unwrap_err().kind(), ErrorKind::Gone);
    }
    assert_eq!(rig.events(), ["dropped ann 1"]);
}

#[test]
fn a_panic_of_the_listener_fails_no_commit() {
    let manager = Manager::builder(Shelf::default()).on_event(|_| panic!("on purpose")).build().unwrap();
    let session = pollster::block_on(manager.open(None)).unwrap();
    session.insert("n", &1).unwrap();
    assert!(matches!(pollster::block_on(manager.close(&session)), Ok(Commit::Issue(_))));
}

#[test]
fn the_listener_may_use_the_session() {
    let slot = Arc::<Mutex<Option<Session>>>::default();
    let (of_listener, seen) = (slot.clone(), Arc::<Mutex<Vec<u8>>>::default());
    let of_session = seen.clone();
    let manager = Manager::builder(Shelf::default()).on_event(move |_| {
        if let Some(session) = &*of_listener.lock().unwrap() {
            of_session.lock().unwrap().extend(session.get::<u8>("n").unwrap());
        }
    });
    let manager = manager.build().unwrap();
    let session = pollster::block_on(manager.open(None)).unwrap();
    session.insert("n", &7).unwrap();
    *slot.lock().unwrap() = Some(session.clone());
    let _told = pollster::block_on(manager.close(&session)).unwrap();
    slot.lock().unwrap().take();
    assert_eq!(*seen.lock().unwrap(), [7]);
}

/// Keeps the `tracing` events of sessions as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

struct Line<'l>(&'l mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == Event::TARGET
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut Line(&mut self.0.lock().unwrap()));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn the_same_events_go_to_tracing_with_their_target() {
    let (rig, log) = (Rig::new(), Log::default());
    let session = rig.open(None);
    session.login("ann").unwrap();
    session.insert("secret", "value-4711").unwrap();
    let id = tracing::subscriber::with_default(log.clone(), || rig.close(&session)).unwrap();
    let text = log.0.lock().unwrap().clone();
    let handle = session.handle().unwrap();
    assert!(text.contains(&format!("event=\"login\" name=id principal=ann handle={handle} count=1")), "{text}");
    assert!(text.contains("event=\"created\"") && !text.contains(&id) && !text.contains("4711"), "{text}");
}
