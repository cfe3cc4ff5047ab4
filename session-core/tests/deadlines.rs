//! Values with a deadline.

mod common;

use session_core::{Clock as _, Commit, ErrorKind, Key, Manager, ManualClock, Session, Timestamp, minutes, seconds};

use common::Shelf;

const CODE: Key<u32> = Key::new("code");

struct Rig {
    clock: ManualClock,
    shelf: Shelf,
    manager: Manager,
    id: String,
}

impl Rig {
    /// Stores a session with a code for 10 minutes.
    fn new() -> Self {
        let clock = ManualClock::new(Timestamp::from_millis(1_800_000_000_000).unwrap());
        let shelf = Shelf::default();
        let manager = Manager::builder(shelf.clone()).clock(clock.clone()).build().unwrap();
        let session = pollster::block_on(manager.open(None)).unwrap();
        session.insert("other", &1).unwrap();
        session.insert_for(CODE, &4711, minutes(10)).unwrap();
        let id = close(&manager, &session);
        Self { clock, shelf, manager, id }
    }

    fn open(&self) -> Session {
        pollster::block_on(self.manager.open(Some(&self.id))).unwrap()
    }
}

/// Closes a new session and returns its id.
fn close(manager: &Manager, session: &Session) -> String {
    match pollster::block_on(manager.close(session)).unwrap() {
        Commit::Issue(cookie) => cookie.value.as_str().to_owned(),
        other => panic!("no cookie: {other:?}"),
    }
}

fn save(session: &Session) -> session_core::Result<()> {
    pollster::block_on(session.save()).map(drop)
}

#[test]
fn past_its_deadline_a_value_is_absent_to_every_reader() {
    let rig = Rig::new();
    let before = rig.open();
    assert_eq!(before.get(CODE).unwrap(), Some(4711));
    rig.clock.advance(minutes(10));
    // Also in a request that began before the deadline, and has read the value.
    for session in [before, rig.open()] {
        assert_eq!((session.get(CODE).unwrap(), session.peek(CODE).unwrap()), (None, None));
        assert!(!session.contains(CODE) && !session.remove(CODE).unwrap());
        assert_eq!(session.keys(), ["other"]);
        assert_eq!(session.take(CODE).unwrap(), None);
        assert_eq!(session.update(CODE, |n| *n += 1).unwrap(), 1);
        session.discard();
    }
}

#[test]
fn a_deadline_counts_from_the_call_and_not_from_the_commit_or_its_replay() {
    let rig = Rig::new();
    let session = rig.open();
    session.insert_for(CODE, &1, minutes(10)).unwrap();
    rig.clock.advance(minutes(9));
    let other = rig.open();
    other.insert("other", &2).unwrap();
    save(&other).unwrap();
    save(&session).unwrap(); // is replayed over the other save
    assert_eq!(rig.open().get(CODE).unwrap(), Some(1));
    rig.clock.advance(minutes(1));
    assert_eq!(rig.open().get(CODE).unwrap(), None);
}

#[test]
fn an_insert_ends_the_deadline_and_an_update_keeps_it() {
    let rig = Rig::new();
    let session = rig.open();
    session.update(CODE, |n| *n += 1).unwrap();
    save(&session).unwrap();
    rig.clock.advance(minutes(10) - seconds(1));
    assert_eq!(rig.open().get(CODE).unwrap(), Some(4712));
    rig.clock.advance(seconds(1));
    assert_eq!(rig.open().get(CODE).unwrap(), None);

    let rig = Rig::new();
    let session = rig.open();
    session.insert(CODE, &1).unwrap();
    save(&session).unwrap();
    rig.clock.advance(minutes(11));
    assert_eq!(rig.open().get(CODE).unwrap(), Some(1));
}

#[test]
fn an_update_that_is_replayed_keeps_the_deadline_of_the_newer_value() {
    let rig = Rig::new();
    let session = rig.open();
    session.update(CODE, |n| *n += 1).unwrap();
    let other = rig.open();
    other.insert_for(CODE, &10, minutes(5)).unwrap();
    save(&other).unwrap();
    save(&session).unwrap();
    rig.clock.advance(minutes(5) - seconds(1));
    assert_eq!(rig.open().get(CODE).unwrap(), Some(11));
    rig.clock.advance(seconds(1));
    assert_eq!(rig.open().get(CODE).unwrap(), None);
}

#[test]
fn the_next_save_removes_values_past_their_deadline_from_the_store() {
    let rig = Rig::new();
    assert!(String::from_utf8_lossy(&rig.shelf.envelope()).contains("4711"));
    rig.clock.advance(minutes(10));
    let session = rig.open();
    session.insert("other", &2).unwrap();
    save(&session).unwrap();
    assert_eq!(&*rig.shelf.envelope(), br#"{"v":{"other":2}}"#);
}

#[test]
fn a_value_that_was_absent_because_of_its_deadline_is_no_clash() {
    let rig = Rig::new();
    rig.clock.advance(minutes(10));
    let session = rig.open();
    assert_eq!(session.get(CODE).unwrap(), None);
    session.insert(CODE, &1).unwrap();
    // The other request removes the old value from the record.
    let other = rig.open();
    other.insert("other", &2).unwrap();
    save(&other).unwrap();
    save(&session).unwrap();
    assert_eq!(rig.open().get(CODE).unwrap(), Some(1));
}

#[test]
fn a_code_that_was_taken_before_its_deadline_is_taken_once() {
    let rig = Rig::new();
    let [one, other] = [rig.open(), rig.open()];
    for session in [&one, &other] {
        assert_eq!(session.take(CODE).unwrap(), Some(4711));
    }
    rig.clock.advance(minutes(10));
    save(&one).unwrap();
    let error = save(&other).unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::Conflict, Some("code")));
}

#[test]
fn values_past_their_deadline_do_not_count_towards_the_limit() {
    let clock = ManualClock::new(Timestamp::from_millis(1_800_000_000_000).unwrap());
    let limits = session_core::Limits::new().max_keys(1);
    let manager = Manager::builder(Shelf::default()).clock(clock.clone()).limits(limits).build().unwrap();
    let session = pollster::block_on(manager.open(None)).unwrap();
    session.insert_for("a", &1, seconds(1)).unwrap();
    assert_eq!(session.insert("b", &1).unwrap_err().kind(), ErrorKind::TooLarge);
    clock.advance(seconds(1));
    session.insert("b", &1).unwrap();
    close(&manager, &session);
    assert_eq!(session.keys(), ["b"]);
}

#[test]
fn a_deadline_beyond_the_last_instant_is_the_last_instant() {
    let rig = Rig::new();
    let session = rig.open();
    session.insert_for(CODE, &1, std::time::Duration::MAX).unwrap();
    save(&session).unwrap();
    rig.clock.set(rig.clock.now().plus(minutes(59)));
    assert_eq!(rig.open().get(CODE).unwrap(), Some(1));
}
