//! The limit of a principal's sessions.

mod common;

use std::sync::{Arc, Mutex};

use session_core::{
    Capabilities, Commit, ErrorKind, EventKind, Excess, Manager, ManualClock, NullStore, Opened, Session, Timestamp,
    minutes, seconds,
};

use common::Shelf;

struct Rig {
    clock: ManualClock,
    shelf: Shelf,
    manager: Manager,
    evicted: Arc<Mutex<Vec<String>>>,
}

impl Rig {
    fn new(most: u32, excess: Excess) -> Self {
        let clock = ManualClock::new(Timestamp::from_millis(1_800_000_000_000).unwrap());
        let shelf = Shelf::that_can(Capabilities::new().by_principal(true));
        let evicted = Arc::<Mutex<Vec<String>>>::default();
        let kept = evicted.clone();
        let manager = Manager::builder(shelf.clone())
            .clock(clock.clone())
            .max_sessions(most, excess)
            .on_event(move |event| {
                if event.kind == EventKind::Evicted {
                    kept.lock().unwrap().push(event.label.clone().unwrap_or_default());
                }
            })
            .build()
            .unwrap();
        Self { clock, shelf, manager, evicted }
    }

    fn open(&self, id: Option<&str>) -> Session {
        pollster::block_on(self.manager.open(id)).unwrap()
    }

    /// Logs `who` in on a new session with a label, a second after the last login.
    fn login(&self, who: &str, label: &str) -> session_core::Result<String> {
        self.clock.advance(seconds(1));
        let session = self.open(None);
        session.set_label(label)?;
        session.login(who)?;
        let result = pollster::block_on(self.manager.close(&session));
        session.discard();
        match result? {
            Commit::Issue(cookie) => Ok(cookie.value.as_str().to_owned()),
            other => panic!("no cookie: {other:?}"),
        }
    }

    /// Returns the labels of live sessions, oldest login first.
    fn live(&self, who: &str) -> Vec<String> {
        let list = pollster::block_on(self.manager.sessions_of(who, None)).unwrap();
        list.into_iter().rev().map(|info| info.label.unwrap_or_default()).collect()
    }
}

#[test]
fn the_session_that_was_unused_for_longest_ends() {
    let rig = Rig::new(3, Excess::EndOldest);
    let ids = ["a", "b", "c"].map(|label| rig.login("ann", label).unwrap());
    rig.login("bob", "of bob").unwrap();
    rig.clock.advance(minutes(10));
    let used = rig.open(Some(&ids[0]));
    let _told = pollster::block_on(rig.manager.close(&used)).unwrap();
    rig.login("ann", "d").unwrap();
    assert_eq!(rig.live("ann"), ["a", "c", "d"]);
    assert_eq!((rig.live("bob").len(), rig.open(Some(&ids[1])).opened()), (1, Opened::Unknown));
    assert_eq!(*rig.evicted.lock().unwrap(), ["b"]);
}

#[test]
fn of_logins_in_one_millisecond_the_last_stays() {
    let rig = Rig::new(1, Excess::EndOldest);
    for n in 0..20 {
        let session = rig.open(None);
        session.login("ann").unwrap();
        let Ok(Commit::Issue(cookie)) = pollster::block_on(rig.manager.close(&session)) else { panic!("login {n}") };
        assert_eq!(rig.open(Some(cookie.value.as_str())).principal().unwrap().as_str(), "ann", "login {n}");
    }
}

#[test]
fn a_login_on_a_session_of_the_same_principal_counts_once() {
    for excess in [Excess::EndOldest, Excess::Refuse] {
        let rig = Rig::new(1, excess);
        let id = rig.login("ann", "a").unwrap();
        let session = rig.open(Some(&id));
        session.login("ann").unwrap();
        let _told = pollster::block_on(rig.manager.close(&session)).unwrap();
        assert_eq!(rig.live("ann"), ["a"]);
    }
}

#[test]
fn a_login_too_many_is_refused_before_anything_is_stored() {
    let rig = Rig::new(1, Excess::Refuse);
    rig.login("ann", "a").unwrap();
    let guest = rig.open(None);
    guest.insert("basket", &1).unwrap();
    let Commit::Issue(cookie) = pollster::block_on(rig.manager.close(&guest)).unwrap() else { panic!("no cookie") };
    let session = rig.open(Some(cookie.value.as_str()));
    session.login("ann").unwrap();
    rig.shelf.writes();
    for _ in 0..2 {
        assert_eq!(pollster::block_on(session.save()).unwrap_err().kind(), ErrorKind::TooManySessions);
    }
    assert!(rig.shelf.writes().is_empty());
    session.discard();
    assert_eq!((session.principal(), session.get::<u8>("basket").unwrap()), (None, Some(1)));
    session.login("bob").unwrap();
    assert!(pollster::block_on(session.save()).is_ok());
    assert_eq!((rig.live("ann").len(), rig.live("bob").len()), (1, 1));
    assert_eq!(rig.evicted.lock().unwrap().len(), 0);
}

#[test]
fn an_ended_session_makes_room() {
    let rig = Rig::new(1, Excess::Refuse);
    let id = rig.login("ann", "a").unwrap();
    assert_eq!(rig.login("ann", "b").unwrap_err().kind(), ErrorKind::TooManySessions);
    let session = rig.open(Some(&id));
    session.logout();
    let _told = pollster::block_on(rig.manager.close(&session)).unwrap();
    rig.login("ann", "b").unwrap();
    rig.clock.advance(minutes(61));
    rig.login("ann", "c").unwrap();
    assert_eq!(rig.live("ann"), ["c"]);
}

#[test]
fn sessions_of_another_name_do_not_count_and_do_not_end() {
    let rig = Rig::new(1, Excess::EndOldest);
    let builder = Manager::builder(rig.shelf.clone()).name("admin").clock(rig.clock.clone());
    let admin = builder.max_sessions(1, Excess::EndOldest).build().unwrap();
    let session = pollster::block_on(admin.open(None)).unwrap();
    session.login("ann").unwrap();
    session.set_label("admin").unwrap();
    let _told = pollster::block_on(admin.close(&session)).unwrap();
    for label in ["a", "b"] {
        rig.login("ann", label).unwrap();
    }
    assert_eq!(rig.live("ann"), ["admin", "b"]);
    let names = pollster::block_on(admin.sessions_of("ann", None)).unwrap().into_iter().map(|info| info.name.unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["id", "admin"]);
}

#[test]
fn a_limit_that_was_lowered_is_kept_from_the_next_login_on() {
    let rig = Rig::new(5, Excess::EndOldest);
    for label in ["a", "b", "c", "d", "e"] {
        rig.login("ann", label).unwrap();
    }
    let builder = Manager::builder(rig.shelf.clone()).clock(rig.clock.clone());
    let lowered = Rig { manager: builder.max_sessions(2, Excess::EndOldest).build().unwrap(), ..rig };
    lowered.login("ann", "f").unwrap();
    assert_eq!(lowered.live("ann"), ["e", "f"]);
}

#[test]
fn a_limit_that_cannot_be_kept_is_a_config_error() {
    let lists = || Manager::builder(Shelf::that_can(Capabilities::new().by_principal(true)));
    for (builder, part) in [
        (lists().max_sessions(0, Excess::Refuse), "is 0"),
        (Manager::builder(NullStore).max_sessions(1, Excess::Refuse), "lists by principal"),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(part), "{error}");
    }
}
