//! Promises of a session within one request, which need no store.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;
use session_core::{
    ErrorKind, Limits, Manager, ManualClock, NullStore, Opened, Session, Timestamp, days, hours, minutes,
};

fn session() -> Session {
    session_within(Limits::new())
}

fn session_within(limits: Limits) -> Session {
    let manager = Manager::builder(NullStore).limits(limits).build().unwrap();
    pollster::block_on(manager.open(None)).unwrap()
}

#[test]
fn a_value_that_is_not_of_the_type_asked_for_says_so_and_stays() {
    let session = session();
    session.insert("name", "top secret").unwrap();
    let error = session.get::<u32>("name").unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::WrongType, Some("name")));
    let text = r#"a session value is of another type: it is not a u32: invalid type: string, expected u32"#;
    assert!(error.to_string().starts_with(text), "{error}");
    assert!(!format!("{error} {error:?}").contains("secret"), "the value is shown: {error:?}");
    assert_eq!(session.take::<u32>("name").unwrap_err().kind(), ErrorKind::WrongType);
    assert_eq!(session.update("name", |n: &mut u32| *n += 1).unwrap_err().kind(), ErrorKind::WrongType);
    assert_eq!(session.get::<String>("name").unwrap().as_deref(), Some("top secret"));
}

#[test]
fn integers_and_floats_come_back_exactly() {
    let session = session();
    session.insert("max", &u64::MAX).unwrap();
    session.insert("min", &i64::MIN).unwrap();
    session.insert("float", &0.1_f64).unwrap();
    assert_eq!(session.get::<u64>("max").unwrap(), Some(u64::MAX));
    assert_eq!(session.get::<i64>("min").unwrap(), Some(i64::MIN));
    assert_eq!(session.get::<f64>("float").unwrap(), Some(0.1));
}

#[test]
fn a_key_is_whatever_prints() {
    let session = session();
    session.insert(42, "answer").unwrap();
    session.insert('x', &1).unwrap();
    session.insert(String::from("name"), "Ann").unwrap();
    session.insert(format_args!("draft/{}", 7), &2).unwrap();
    assert_eq!(session.keys(), ["42", "draft/7", "name", "x"]);
    assert_eq!(session.get::<String>("42").unwrap().as_deref(), Some("answer"));
    assert!(session.contains(42_u8));
    assert_eq!(session.update("x", |n: &mut u8| *n += 1).unwrap(), 2);
    session.require_unchanged(42).unwrap();
    assert_eq!(session.take::<u8>('x').unwrap(), Some(2));
    assert!(session.remove(42).unwrap());
    session.flash(7, "seven").unwrap();
    assert_eq!(session.flashes::<String>("7").unwrap(), ["seven"]);
    session.discard();
}

#[test]
fn a_key_that_does_not_print_is_an_error_and_has_no_value() {
    struct Broken;
    impl std::fmt::Display for Broken {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            Err(std::fmt::Error)
        }
    }
    let session = session();
    assert_eq!(session.insert(Broken, &1).unwrap_err().kind(), ErrorKind::Other);
    assert_eq!(session.get::<u8>(Broken).unwrap_err().kind(), ErrorKind::Other);
    assert!(!session.contains(Broken));
    assert!(!session.is_modified());
}

#[test]
fn take_gets_once() {
    let session = session();
    session.insert("token", &7).unwrap();
    assert_eq!(session.take::<u8>("token").unwrap(), Some(7));
    assert_eq!(session.take::<u8>("token").unwrap(), None);
}

#[test]
fn remove_says_whether_there_was_a_value() {
    let session = session();
    session.insert("a", &()).unwrap();
    assert!(session.remove("a").unwrap());
    assert!(!session.remove("a").unwrap());
    assert!(!session.contains("a"));
}

#[test]
fn clear_takes_values_and_flashes() {
    let session = session();
    session.insert("a", &1).unwrap();
    session.flash("info", "saved").unwrap();
    session.clear().unwrap();
    assert_eq!(session.keys(), Vec::<String>::new());
    assert_eq!(session.flashes::<String>("info").unwrap(), Vec::<String>::new());
}

#[test]
fn flashes_come_in_order_once_and_apart_from_values() {
    let session = session();
    session.insert("info", &1).unwrap();
    session.flash("info", "one").unwrap();
    session.flash("info", "two").unwrap();
    session.flash("error", "bad").unwrap();
    assert_eq!(session.flashes::<String>("info").unwrap(), ["one", "two"]);
    assert_eq!(session.flashes::<String>("info").unwrap(), Vec::<String>::new());
    assert_eq!(session.flashes::<String>("error").unwrap(), ["bad"]);
    assert_eq!(session.get::<i32>("info").unwrap(), Some(1));
}

#[test]
fn a_flash_of_another_type_is_dropped_and_fails_nothing() {
    let session = session();
    session.flash("n", &1).unwrap();
    session.flash("n", "two").unwrap();
    session.flash("n", &3).unwrap();
    assert_eq!(session.flashes::<u8>("n").unwrap(), [1, 3]);
    assert_eq!(session.flashes::<serde_json::Value>("n").unwrap().len(), 0);
    session.discard();
}

#[test]
fn the_oldest_flash_gives_way_to_the_newest() {
    let session = session_within(Limits::new().max_flashes(2));
    for n in 0..10_000 {
        session.flash(n % 3, &n).unwrap();
    }
    assert_eq!(session.flashes::<u32>(2).unwrap(), [9_998]);
    assert_eq!(session.flashes::<u32>(0).unwrap(), [9_999]);
    assert_eq!(session.flashes::<u32>(1).unwrap(), Vec::<u32>::new());
    session.discard();
}

#[test]
fn messages_of_one_key_can_be_dropped() {
    let session = session();
    session.flash("info", "one").unwrap();
    session.flash("error", "two").unwrap();
    session.clear_flashes("info").unwrap();
    session.clear_flashes("none").unwrap();
    assert_eq!(session.flashes::<String>("info").unwrap(), Vec::<String>::new());
    assert_eq!(session.flashes::<String>("error").unwrap(), ["two"]);
    session.discard();
}

#[test]
fn a_long_label_is_cut_at_a_character() {
    let session = session();
    session.set_label(&format!("{}ä", "x".repeat(254))).unwrap();
    assert_eq!(session.label().unwrap(), "x".repeat(254));
    session.discard();
}

#[test]
fn an_update_may_read_its_session_but_not_write_to_it() {
    let session = session();
    session.insert("step", &5_u64).unwrap();
    let inner = session.clone();
    let n = session.update("n", move |n: &mut u64| *n += inner.peek::<u64>("step").unwrap().unwrap()).unwrap();
    assert_eq!(n, 5);
    let inner = session.clone();
    session
        .update("n", move |n: &mut u64| {
            assert_eq!(inner.insert("other", &1).unwrap_err().kind(), ErrorKind::Other);
            assert_eq!(inner.update("other", |n: &mut u64| *n += 1).unwrap_err().kind(), ErrorKind::Other);
            assert_eq!(inner.login("ann").unwrap_err().kind(), ErrorKind::Other);
            *n += 1;
        })
        .unwrap();
    assert_eq!(session.get::<u64>("n").unwrap(), Some(6));
    assert!(!session.contains("other"));
    session.insert("other", &1).unwrap();
    session.discard();
}

#[test]
fn an_update_that_panics_leaves_the_session_usable() {
    let session = session();
    session.insert("n", &1).unwrap();
    let inner = session.clone();
    let thrown = catch_unwind(AssertUnwindSafe(|| inner.update("n", |_: &mut u64| panic!("no"))));
    assert!(thrown.is_err());
    assert_eq!(session.update("n", |n: &mut u64| *n += 1).unwrap(), 2);
    session.discard();
}

#[test]
fn updates_from_many_threads_all_count() {
    let session = session();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..100).for_each(|_| assert!(session.update("n", |n: &mut u64| *n += 1).unwrap() > 0)));
        }
    });
    assert_eq!(session.get::<u64>("n").unwrap(), Some(400));
    session.discard();
}

#[test]
fn what_is_too_large_is_refused_at_once_and_changes_nothing() {
    let limits = Limits::new().max_data_len(100).max_keys(2).max_flashes(1).max_depth(2);
    let session = session_within(limits);
    let too_large = |result: session_core::Result<()>| assert_eq!(result.unwrap_err().kind(), ErrorKind::TooLarge);
    too_large(session.insert("a", &"x".repeat(100)));
    too_large(session.insert("a", &[[[1]]]));
    session.insert("a", &[[1]]).unwrap();
    session.insert("b", &2).unwrap();
    too_large(session.insert("c", &3));
    too_large(session.update("c", |_: &mut u64| ()).map(drop));
    too_large(session.update("b", |s: &mut serde_json::Value| *s = "x".repeat(100).into()).map(drop));
    session.insert("b", &3).unwrap();
    session.flash("x", &1).unwrap();
    assert_eq!(session.keys(), ["a", "b"]);
    session.discard();
}

#[test]
fn discard_forgets_what_was_not_saved() {
    let session = session();
    session.insert("a", &1).unwrap();
    session.login("ann").unwrap();
    session.discard();
    assert!(!session.is_modified());
    assert_eq!((session.principal(), session.keys()), (None, vec![]));
}

#[test]
fn own_time_outs_stay_within_the_managers() {
    let clock = ManualClock::new(Timestamp::from_millis(1_000_000).unwrap());
    let manager = Manager::builder(NullStore)
        .idle(hours(1))
        .anonymous_idle(minutes(10))
        .absolute(hours(8))
        .max_idle(days(7))
        .max_absolute(days(30))
        .clock(clock.clone())
        .build()
        .unwrap();
    let session = pollster::block_on(manager.open(None)).unwrap();
    let lasts = || session.expires_at().since(manager.now());
    assert_eq!(lasts(), minutes(10));
    session.login(42).unwrap();
    assert_eq!(lasts(), hours(1));
    assert_eq!(session.set_idle(Some(days(8))).unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(session.set_absolute(Some(days(31))).unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(session.set_idle(Some(days(0))).unwrap_err().kind(), ErrorKind::Config);
    session.set_idle(Some(days(7))).unwrap();
    assert_eq!(lasts(), hours(8), "the absolute time-out still ends it");
    session.set_absolute(Some(days(30))).unwrap();
    assert_eq!(lasts(), days(7));
    session.discard();
}

#[test]
fn a_manager_that_makes_no_sense_is_a_config_error() {
    let kind = |builder: session_core::ManagerBuilder| builder.build().unwrap_err().kind();
    let builder = || Manager::builder(NullStore);
    for wrong in [
        builder().name(""),
        builder().name("a\0b"),
        builder().name("x".repeat(65)),
        builder().idle(hours(0)),
        builder().absolute(hours(0)),
        builder().anonymous_idle(hours(0)),
        builder().max_idle(minutes(1)),
        builder().max_absolute(minutes(1)),
    ] {
        assert_eq!(kind(wrong), ErrorKind::Config);
    }
}

#[test]
fn time_outs_that_contradict_each_other_are_named() {
    let builder = || Manager::builder(NullStore);
    for (wrong, names) in [
        (builder().max_idle(minutes(1)), ["`idle`", "`max_idle`"]),
        (builder().anonymous_idle(hours(3)).max_idle(hours(2)), ["`anonymous_idle`", "`max_idle`"]),
        (builder().max_absolute(hours(1)), ["`absolute`", "`max_absolute`"]),
        (builder().max_idle(days(30)), ["`max_idle`", "`max_absolute`"]),
    ] {
        let error = wrong.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(names.iter().all(|name| error.to_string().contains(name)), "{error}");
    }
    for right in [
        builder().anonymous_idle(days(30)).absolute(days(30)),
        builder().anonymous_idle(hours(2)).max_idle(hours(2)),
        builder().absolute(minutes(10)),
        builder().max_idle(days(30)).max_absolute(days(30)),
    ] {
        assert!(right.build().is_ok());
    }
}

#[test]
fn reauthenticating_without_a_principal_is_an_error() {
    let session = session();
    assert_eq!(session.reauthenticate().unwrap_err().kind(), ErrorKind::Unauthenticated);
}

#[test]
fn a_login_keeps_an_anonymous_carts_values_and_drops_another_persons() {
    let session = session();
    session.insert("cart", &1).unwrap();
    session.insert("draft", &2).unwrap();
    session.login_keeping("ann", &["cart"]).unwrap();
    assert_eq!(session.keys(), ["cart"]);
    session.login("ann").unwrap();
    assert_eq!(session.keys(), ["cart"], "the same person's values stay");
    session.login("bob").unwrap();
    assert_eq!(session.keys(), Vec::<String>::new());
    session.discard();
}

#[test]
fn what_the_client_sends_is_never_an_error_or_a_panic() {
    let manager = Manager::new(NullStore);
    let open = |value: &str| pollster::block_on(manager.open(Some(value))).unwrap();
    for value in ["", "x", "\u{2000}", &"A".repeat(44), &"é".repeat(22), "../../etc/passwd"] {
        assert_eq!(open(value).opened(), Opened::Undecodable);
    }
    assert_eq!(open(&"A".repeat(43)).opened(), Opened::Unknown);
}

#[test]
fn debug_shows_no_value_and_no_principal() {
    let session = session();
    session.insert("key", "hidden-value").unwrap();
    session.login("hidden-person").unwrap();
    let shown = format!("{session:?} {session:#?}");
    assert!(!shown.contains("hidden"), "{shown}");
    session.discard();
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u8, u16),
    Remove(u8),
    Update(u8),
    Take(u8),
    Clear,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<(u8, u16)>().prop_map(|(key, value)| Step::Insert(key % 6, value)),
        2 => any::<u8>().prop_map(|key| Step::Remove(key % 6)),
        4 => any::<u8>().prop_map(|key| Step::Update(key % 6)),
        2 => any::<u8>().prop_map(|key| Step::Take(key % 6)),
        1 => Just(Step::Clear),
    ]
}

proptest! {
    #[test]
    fn a_session_is_a_map(steps in proptest::collection::vec(any_step(), 0..60)) {
        let session = session();
        let mut model = BTreeMap::<String, u16>::new();
        for step in steps {
            match step {
                Step::Insert(key, value) => {
                    session.insert(key, &value).unwrap();
                    model.insert(key.to_string(), value);
                }
                Step::Remove(key) => {
                    let there = model.remove(&key.to_string()).is_some();
                    prop_assert_eq!(session.remove(key).unwrap(), there);
                }
                Step::Update(key) => {
                    let value = model.entry(key.to_string()).or_default();
                    *value = value.wrapping_mul(3).wrapping_add(1);
                    let new = session.update(key, |n: &mut u16| *n = n.wrapping_mul(3).wrapping_add(1));
                    prop_assert_eq!(new.unwrap(), *value);
                }
                Step::Take(key) => {
                    let value = model.remove(&key.to_string());
                    prop_assert_eq!(session.take::<u16>(key).unwrap(), value);
                }
                Step::Clear => {
                    model.clear();
                    session.clear().unwrap();
                }
            }
            prop_assert_eq!(session.keys(), model.keys().cloned().collect::<Vec<_>>());
        }
        session.discard();
    }
}
