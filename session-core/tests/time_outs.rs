//! Time-outs that were changed after a session was stored, and clocks that differ.

mod common;

use std::time::Duration;

use session_core::{Commit, ErrorKind, Manager, ManualClock, Opened, Session, Timestamp, days, hours, minutes};

use common::Shelf;

const START: i64 = 1_000_000_000_000;

fn clock() -> ManualClock {
    ManualClock::new(Timestamp::from_millis(START).unwrap())
}

fn manager(shelf: &Shelf, clock: &ManualClock, idle: Duration, absolute: Duration) -> Manager {
    let builder = Manager::builder(shelf.clone()).clock(clock.clone()).idle(idle).absolute(absolute);
    builder.max_idle(days(400)).max_absolute(days(400)).build().unwrap()
}

/// Stores a session with `manager` and returns its id.
fn stored(manager: &Manager) -> String {
    let session = pollster::block_on(manager.open(None)).unwrap();
    session.insert("n", &1).unwrap();
    let Commit::Issue(cookie) = pollster::block_on(manager.close(&session)).unwrap() else { panic!("no cookie") };
    cookie.value.as_str().to_owned()
}

fn open(manager: &Manager, id: &str) -> Session {
    pollster::block_on(manager.open(Some(id))).unwrap()
}

/// Opens and closes the session without a change, and returns how it was opened.
fn read(manager: &Manager, id: &str) -> Opened {
    let session = open(manager, id);
    let _told = pollster::block_on(manager.close(&session)).unwrap();
    session.opened()
}

#[test]
fn a_shorter_idle_time_out_counts_for_sessions_that_are_stored_already() {
    let (shelf, clock) = (Shelf::default(), clock());
    let before = manager(&shelf, &clock, days(30), days(90));
    let today = manager(&shelf, &clock, minutes(30), days(90));
    let (used, unused) = (stored(&before), stored(&before));
    clock.advance(minutes(20));
    assert_eq!(open(&today, &used).expires_at(), today.now().plus(minutes(10)));
    assert_eq!(read(&today, &used), Opened::Resumed);
    clock.advance(minutes(20));
    assert_eq!(read(&today, &used), Opened::Resumed, "it was used 20 minutes ago");
    assert_eq!(read(&today, &unused), Opened::Expired);
    clock.advance(days(20));
    assert_eq!(read(&today, &used), Opened::Expired);
    assert_eq!(read(&before, &unused), Opened::Resumed, "a process with the policy of before still opens it");
}

#[test]
fn a_longer_idle_time_out_counts_for_sessions_that_are_used_once_more() {
    let (shelf, clock) = (Shelf::default(), clock());
    let before = manager(&shelf, &clock, minutes(30), days(90));
    let today = manager(&shelf, &clock, days(30), days(90));
    let id = stored(&before);
    shelf.writes();
    clock.advance(minutes(5));
    assert_eq!(read(&today, &id), Opened::Resumed);
    assert_eq!(shelf.writes(), ["save"], "a touch would leave the idle time-out of before");
    let record = shelf.record();
    assert_eq!(record.expires_at, today.now().plus(days(30)));
    clock.advance(days(20));
    assert_eq!(read(&today, &id), Opened::Resumed);
    assert_eq!(shelf.writes(), ["touch"]);
}

#[test]
fn the_absolute_time_out_of_today_counts() {
    let (shelf, clock) = (Shelf::default(), clock());
    let before = manager(&shelf, &clock, days(10), days(90));
    let today = manager(&shelf, &clock, days(2), days(2));
    let id = stored(&before);
    assert_eq!(shelf.record().expires_at, before.now().plus(days(10)), "the record says when it was used");
    clock.advance(days(1));
    assert_eq!(open(&today, &id).expires_at(), today.now().plus(days(1)));
    assert_eq!(read(&today, &id), Opened::Resumed);
    clock.advance(days(1));
    assert_eq!(read(&today, &id), Opened::Expired);
}

#[test]
fn a_clock_years_ahead_keeps_no_session_alive_and_one_an_hour_ahead_ends_none() {
    let shelf = Shelf::default();
    for (ahead, opened) in [(days(3_650), Opened::Expired), (hours(23), Opened::Resumed), (hours(1), Opened::Resumed)] {
        let (wrong, right) = (clock(), clock());
        wrong.advance(ahead);
        let id = stored(&manager(&shelf, &wrong, hours(1), days(90)));
        let right_manager = manager(&shelf, &right, hours(1), days(90));
        let session = open(&right_manager, &id);
        assert_eq!(session.opened(), opened, "{ahead:?}");
        if opened == Opened::Resumed {
            assert_eq!(session.expires_at(), right_manager.now().plus(hours(1)), "it counts as used now");
        }
    }
}

#[test]
fn reads_are_noted_once_a_tenth_of_the_idle_time_out_and_once_an_hour_at_most() {
    for (idle, step) in [(minutes(10), minutes(1)), (days(30), hours(1))] {
        let (shelf, clock) = (Shelf::default(), clock());
        let manager = manager(&shelf, &clock, idle, days(90));
        let id = stored(&manager);
        shelf.writes();
        clock.advance(step - Duration::from_millis(1));
        assert_eq!(read(&manager, &id), Opened::Resumed);
        assert!(shelf.writes().is_empty());
        clock.advance(Duration::from_millis(1));
        assert_eq!(read(&manager, &id), Opened::Resumed);
        assert_eq!(shelf.writes(), ["touch"]);
    }
}

#[test]
fn a_request_that_no_person_sees_notes_no_use_and_takes_no_flash_message() {
    let (shelf, clock) = (Shelf::default(), clock());
    let manager = manager(&shelf, &clock, hours(1), hours(24));
    let session = pollster::block_on(manager.open(None)).unwrap();
    session.flash("notice", "saved").unwrap();
    let Commit::Issue(cookie) = pollster::block_on(manager.close(&session)).unwrap() else { panic!("no cookie") };
    let id = cookie.value.as_str();
    for _ in 0..2 {
        clock.advance(minutes(20));
        let session = open(&manager, id);
        session.keep_expiry();
        assert_eq!(session.flashes::<String>("notice").unwrap(), ["saved"]);
        assert_eq!(pollster::block_on(manager.close(&session)).unwrap(), Commit::Unchanged);
    }
    let session = open(&manager, id);
    session.hide_flashes();
    assert!(session.flashes::<String>("notice").unwrap().is_empty());
    assert_eq!(pollster::block_on(manager.close(&session)).unwrap(), Commit::Unchanged);
    clock.advance(minutes(20));
    assert_eq!(open(&manager, id).opened(), Opened::Expired, "an hour has passed since its last use");
}

#[test]
fn a_reload_of_an_expired_session_ends_although_its_rotation_is_uncertain() {
    let (shelf, clock) = (Shelf::default(), clock());
    let manager = manager(&shelf, &clock, hours(1), hours(2));
    let session = pollster::block_on(manager.open(None)).unwrap();
    session.insert("n", &1).unwrap();
    assert!(matches!(pollster::block_on(session.save()).unwrap(), Commit::Issue(_)));
    session.rotate().unwrap();
    shelf.fail(&["save", "load"]);
    assert_eq!(pollster::block_on(session.save()).unwrap_err().kind(), ErrorKind::Unavailable);
    shelf.fail(&[]);
    clock.advance(hours(3));
    assert_eq!(pollster::block_on(session.reload()).unwrap_err().kind(), ErrorKind::Gone);
    session.discard();
}
