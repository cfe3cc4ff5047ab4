//! Sessions that are remembered.

mod common;

use session_core::{
    Clock as _, Commit, CookieUpdate, ErrorKind, Manager, ManagerBuilder, ManualClock, Opened, Session, Timestamp,
    days, hours, seconds,
};

use common::Shelf;

struct Rig {
    clock: ManualClock,
    shelf: Shelf,
    manager: Manager,
}

impl Rig {
    fn new() -> Self {
        let clock = ManualClock::new(Timestamp::from_millis(1_800_000_000_000).unwrap());
        let shelf = Shelf::default();
        let manager = builder(&shelf, &clock).remember(days(30)).build().unwrap();
        Self { clock, shelf, manager }
    }

    fn open(&self, id: Option<&str>) -> Session {
        pollster::block_on(self.manager.open(id)).unwrap()
    }

    fn close(&self, session: &Session) -> CookieUpdate {
        match pollster::block_on(self.manager.close(session)).unwrap() {
            Commit::Issue(cookie) => cookie,
            other => panic!("no cookie: {other:?}"),
        }
    }
}

fn builder(shelf: &Shelf, clock: &ManualClock) -> ManagerBuilder {
    Manager::builder(shelf.clone()).clock(clock.clone()).idle(hours(1)).absolute(hours(24))
}

#[test]
fn a_remembered_session_lasts_the_time_from_the_login_however_it_is_used() {
    for before in [true, false] {
        let rig = Rig::new();
        let session = rig.open(None);
        session.insert("basket", &1).unwrap();
        let guest = rig.close(&session);
        rig.clock.advance(seconds(1_000));
        let session = rig.open(Some(guest.value.as_str()));
        if before {
            session.remember().unwrap();
        }
        session.login("ann").unwrap();
        if !before {
            session.remember().unwrap();
        }
        let cookie = rig.close(&session);
        assert_eq!((cookie.persistent, cookie.max_age), (true, days(30)), "before: {before}");
        let id = cookie.value.as_str();
        // Without a use it lasts 30 days, and with one it lasts no longer.
        rig.clock.advance(days(30) - seconds(1));
        let session = rig.open(Some(id));
        assert_eq!((session.opened(), session.is_persistent()), (Opened::Resumed, true));
        let _told = pollster::block_on(rig.manager.close(&session)).unwrap();
        rig.clock.advance(seconds(1));
        assert_ne!(rig.open(Some(id)).opened(), Opened::Resumed);
    }
}

#[test]
fn a_later_login_a_logout_and_a_cookie_for_the_browsers_life_forget_it() {
    let forget: [fn(&Session); 3] = [
        |session| session.login("ann").unwrap(),
        |session| {
            session.logout();
            session.login("bob").unwrap();
        },
        |session| session.set_persistent(false).unwrap(),
    ];
    for forget in forget {
        let rig = Rig::new();
        let session = rig.open(None);
        session.remember().unwrap();
        session.login("ann").unwrap();
        let session = rig.open(Some(rig.close(&session).value.as_str()));
        assert!(session.is_persistent());
        forget(&session);
        assert_eq!((session.is_persistent(), rig.close(&session).persistent), (false, false));
        assert!(session.expires_at() <= rig.clock.now().plus(hours(1)));
    }
}

#[test]
fn the_managers_time_applies_to_sessions_that_are_remembered_already() {
    let rig = Rig::new();
    let session = rig.open(None);
    session.login("ann").unwrap();
    session.remember().unwrap();
    let id = rig.close(&session).value.as_str().to_owned();
    let lasts = |manager: &Manager| {
        let session = pollster::block_on(manager.open(Some(&id))).unwrap();
        (session.expires_at().since(rig.clock.now()), session.is_persistent())
    };
    assert_eq!(lasts(&rig.manager), (days(30), true));
    assert_eq!(lasts(&builder(&rig.shelf, &rig.clock).remember(days(7)).build().unwrap()), (days(7), true));
    assert_eq!(lasts(&builder(&rig.shelf, &rig.clock).build().unwrap()), (hours(1), false));
}

#[test]
fn a_manager_that_remembers_nothing_says_so() {
    let rig = Rig::new();
    let manager = builder(&rig.shelf, &rig.clock).build().unwrap();
    let session = pollster::block_on(manager.open(None)).unwrap();
    let error = session.remember().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("`ManagerBuilder::remember`"), "{error}");
    assert!(!session.is_modified());
}
