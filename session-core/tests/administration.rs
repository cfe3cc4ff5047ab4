//! Lists and revocations by criteria.

mod common;

use session_core::{
    Capabilities, Clock as _, Commit, ErrorKind, Filter, Handle, Key, Manager, ManualClock, Principal, Session,
    Timestamp, hours, minutes,
};

use common::Shelf;

const SID: Key<u64> = Key::new("sid");

/// A manager over a store with some sessions.
struct Rig {
    clock: ManualClock,
    shelf: Shelf,
    manager: Manager,
}

impl Rig {
    fn new(can: Capabilities) -> Self {
        let clock = ManualClock::new(Timestamp::from_millis(1_800_000_000_000).unwrap());
        let shelf = Shelf::that_can(can);
        let manager = Manager::builder(shelf.clone()).clock(clock.clone()).idle(hours(2)).build().unwrap();
        Self { clock, shelf, manager }
    }

    /// Stores a session and returns it with its id.
    fn store(&self, fill: impl FnOnce(&Session)) -> (Session, String) {
        let session = pollster::block_on(self.manager.open(None)).unwrap();
        fill(&session);
        let id = match pollster::block_on(self.manager.close(&session)).unwrap() {
            Commit::Issue(cookie) => cookie.value.as_str().to_owned(),
            other => panic!("no cookie: {other:?}"),
        };
        self.clock.advance(minutes(1));
        (session, id)
    }

    /// Stores five sessions: ann's on a kiosk, two others of ann's, bob's on a kiosk, and a guest's. Their `sid` are 0 to 4.
    fn filled(can: Capabilities) -> Self {
        let rig = Self::new(can);
        for (sid, who, label) in [(0, "ann", "kiosk"), (1, "ann", ""), (2, "ann", ""), (3, "bob", "kiosk"), (4, "", "")]
        {
            rig.store(|session| {
                session.insert(SID, &sid).unwrap();
                session.insert_for("short", &sid, minutes(30)).unwrap();
                if !who.is_empty() {
                    session.login(who).unwrap();
                }
                if !label.is_empty() {
                    session.set_label(label).unwrap();
                }
            });
        }
        rig
    }

    /// Returns who is in a list: principals and labels, newest first.
    fn list(&self, filter: Filter) -> Vec<String> {
        let list = pollster::block_on(self.manager.list(filter)).unwrap();
        list.into_iter()
            .map(|info| {
                format!(
                    "{}/{}",
                    info.principal.map_or("-".into(), |who| who.to_string()),
                    info.label.unwrap_or_default()
                )
            })
            .collect()
    }

    fn revoke(&self, filter: Filter) -> u64 {
        pollster::block_on(self.manager.revoke_where(filter)).unwrap()
    }
}

fn scans() -> Capabilities {
    Capabilities::new().scan(true)
}

fn lists() -> Capabilities {
    Capabilities::new().by_principal(true)
}

#[test]
fn each_criterion_narrows_a_list_and_the_newest_is_first() {
    let rig = Rig::filled(scans());
    assert_eq!(rig.list(Filter::all()), ["-/", "bob/kiosk", "ann/", "ann/", "ann/kiosk"]);
    assert_eq!(rig.list(Filter::all().label("kiosk")), ["bob/kiosk", "ann/kiosk"]);
    assert_eq!(rig.list(Filter::all().principal("ann").label("kiosk")), ["ann/kiosk"]);
    assert_eq!(rig.list(Filter::all().value(SID, &3)), ["bob/kiosk"]);
    assert_eq!(rig.list(Filter::all().value(SID, &3).value("sid", &2)), [""; 0]);
    // They were used 5, 4, 3, 2 and 1 minutes ago.
    assert_eq!(rig.list(Filter::all().idle(minutes(4))), ["ann/", "ann/kiosk"]);
    assert_eq!(rig.list(Filter::all().value("short", &4)), ["-/"]);
    rig.clock.advance(minutes(29));
    assert_eq!(rig.list(Filter::all().value("short", &4)), [""; 0], "its deadline has passed");
    rig.clock.advance(hours(2));
    assert_eq!(rig.list(Filter::all()), [""; 0], "all have ended");
}

#[test]
fn a_store_with_an_index_is_asked_for_one_principal_and_no_other() {
    let rig = Rig::filled(lists());
    assert_eq!(rig.list(Filter::all().principal("ann").value(SID, &1)), ["ann/"]);
    let ann = Principal::new("ann").unwrap();
    assert_eq!(rig.list(Filter::all().principal(&ann)).len(), 3);
    for filter in [Filter::all(), Filter::all().label("kiosk")] {
        assert_eq!(pollster::block_on(rig.manager.list(filter.clone())).unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!(pollster::block_on(rig.manager.revoke_where(filter)).unwrap_err().kind(), ErrorKind::Unsupported);
    }
    let rig = Rig::filled(Capabilities::new());
    let error = pollster::block_on(rig.manager.list(Filter::all().principal("ann"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn a_revocation_ends_what_a_list_shows_and_a_dry_run_only_counts() {
    for can in [scans(), lists(), scans().by_principal(true)] {
        let rig = Rig::filled(can);
        for (filter, count) in [
            (Filter::all().principal("ann").value(SID, &1), 1),
            (Filter::all().principal("ann").label("kiosk").idle(minutes(5)), 1),
            (Filter::all().principal("ann"), 1),
        ] {
            let before = rig.shelf.sessions();
            assert_eq!(rig.revoke(filter.clone().dry_run()), count);
            assert_eq!(rig.shelf.sessions(), before);
            assert_eq!(rig.revoke(filter.clone()), count);
            assert_eq!(rig.shelf.sessions() as u64, before as u64 - count);
            assert_eq!(rig.revoke(filter), 0);
        }
        if can.scan {
            assert_eq!(rig.revoke(Filter::all()), 2);
            assert_eq!(rig.shelf.sessions(), 0);
        }
    }
}

#[test]
fn a_session_that_moves_during_a_revocation_ends_at_its_new_place() {
    let rig = Rig::new(scans());
    let (_, id) = rig.store(|session| session.insert(SID, &7).unwrap());
    let session = pollster::block_on(rig.manager.open(Some(&id))).unwrap();
    session.rotate().unwrap();
    let _told = pollster::block_on(session.save()).unwrap();
    assert_eq!(rig.shelf.sessions(), 1);
    assert_eq!(rig.revoke(Filter::all().value(SID, &7)), 1);
    assert_eq!(rig.shelf.sessions(), 0);
}

#[test]
fn sessions_beyond_a_page_and_beyond_the_length_of_a_list_are_found() {
    for can in [scans(), lists()] {
        let rig = Rig::new(can);
        for n in 0..1_203_u64 {
            rig.store(|session| {
                session.login("ann").unwrap();
                session.insert(SID, &(n % 2)).unwrap();
            });
            rig.clock.set(Timestamp::from_millis(1_800_000_000_000 + i64::try_from(n).unwrap()).unwrap());
        }
        let list = pollster::block_on(rig.manager.list(Filter::all().principal("ann"))).unwrap();
        assert_eq!(list.len(), 1_000);
        assert!(list.is_sorted_by_key(|info| std::cmp::Reverse(info.created_at)));
        assert_eq!(rig.revoke(Filter::all().principal("ann").value(SID, &1)), 601);
        assert_eq!(rig.revoke(Filter::all().principal("ann")), 602);
    }
}

#[test]
fn a_wrong_criterion_is_an_error_and_ends_nothing() {
    let rig = Rig::filled(scans());
    let bad: [(Filter, ErrorKind); 3] = [
        (Filter::all().principal(""), ErrorKind::Config),
        (Filter::all().principal("x".repeat(256)), ErrorKind::TooLarge),
        (Filter::all().value("n", &f64::NAN), ErrorKind::Other),
    ];
    for (filter, kind) in bad {
        let error = pollster::block_on(rig.manager.revoke_where(filter.clone().principal("ann"))).unwrap_err();
        assert_eq!(error.kind(), kind);
        assert_eq!(pollster::block_on(rig.manager.list(filter)).unwrap_err().kind(), kind);
    }
    assert_eq!(rig.shelf.sessions(), 5);
    assert!(!format!("{:?}", Filter::all().value("n", &4711)).contains("4711"));
}

#[test]
fn records_that_do_not_decode_end_with_all_but_match_no_criterion() {
    let rig = Rig::filled(scans());
    rig.shelf.replace(b"no envelope at all");
    assert_eq!(rig.list(Filter::all()), [""; 0]);
    assert_eq!(rig.revoke(Filter::all().label("kiosk")), 0);
    assert_eq!(rig.revoke(Filter::all().principal("ann")), 3);
    assert_eq!(rig.revoke(Filter::all()), 2);
}

#[test]
fn own_sessions_end_by_their_handles_and_no_others() {
    let rig = Rig::new(lists());
    let (ann, id) = rig.store(|session| session.login("ann").unwrap());
    let (other, _) = rig.store(|session| session.login("ann").unwrap());
    let (bob, _) = rig.store(|session| session.login("bob").unwrap());
    let handle = |session: &Session| session.handle().unwrap();
    assert!(!pollster::block_on(ann.revoke(&handle(&bob))).unwrap());
    assert!(pollster::block_on(ann.revoke(&handle(&other))).unwrap());
    assert!(!pollster::block_on(ann.revoke(&handle(&other))).unwrap());
    let session = pollster::block_on(rig.manager.open(Some(&id))).unwrap();
    assert!(pollster::block_on(session.revoke(&handle(&ann))).unwrap());
    session.flash("notice", "Goodbye").unwrap(); // as after a logout
    assert!(matches!(pollster::block_on(rig.manager.close(&session)).unwrap(), Commit::Issue(_)));
    assert_eq!(rig.list_of("ann"), 0);
    assert_eq!(pollster::block_on(rig.manager.revoke_all("bob")).unwrap(), 1);
}

impl Rig {
    fn list_of(&self, who: &str) -> usize {
        pollster::block_on(self.manager.sessions_of(who, None)).unwrap().len()
    }
}

#[test]
fn a_list_serializes_as_text() {
    let rig = Rig::new(lists());
    let (session, _) = rig.store(|session| {
        session.login(7).unwrap();
        session.set_label("Firefox").unwrap();
    });
    let list = pollster::block_on(rig.manager.sessions_of(7, session.handle().as_ref())).unwrap();
    let json = serde_json::to_value(&list).unwrap();
    let expected = serde_json::json!([{
        "handle": session.handle().unwrap().to_string(),
        "name": "id",
        "principal": "7",
        "created_at": "2027-01-15T08:00:00.000Z",
        "last_used": "2027-01-15T08:00:00.000Z",
        "expires_at": "2027-01-15T10:00:00.000Z",
        "auth_time": "2027-01-15T08:00:00.000Z",
        "label": "Firefox",
        "current": true,
    }]);
    assert_eq!(json, expected);
    let handle: Handle = serde_json::from_value(json[0]["handle"].clone()).unwrap();
    assert_eq!(Some(handle), session.handle());
    assert_eq!(rig.clock.now().to_string(), "2027-01-15T08:01:00.000Z");
}
