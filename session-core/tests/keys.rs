//! Keys with a type, and calls that infer it.

mod common;

use session_core::{Commit, Error, ErrorKind, Key, Manager, Session};

use common::Shelf;

const CART: Key<Vec<u64>> = Key::new("cart");
const CREDIT: Key<u64> = Key::new("credit");

fn session() -> Session {
    pollster::block_on(Manager::new(Shelf::default()).open(None)).unwrap()
}

/// Returns two requests on one stored session with a credit of 10.
fn two_requests() -> [Session; 2] {
    let manager = Manager::new(Shelf::default());
    let session = pollster::block_on(manager.open(None)).unwrap();
    session.insert(CREDIT, &10).unwrap();
    let Commit::Issue(cookie) = pollster::block_on(manager.close(&session)).unwrap() else { panic!("no cookie") };
    [(); 2].map(|()| pollster::block_on(manager.open(Some(cookie.value.as_str()))).unwrap())
}

fn save(session: &Session) -> Result<(), Error> {
    pollster::block_on(session.save()).map(drop)
}

#[test]
fn a_typed_key_infers_every_type_and_names_the_same_value_as_its_text() {
    let session = session();
    session.insert(CART, &vec![1]).unwrap();
    session.update(CART, |cart| cart.push(2)).unwrap();
    assert_eq!(session.get("cart").unwrap(), Some(vec![1, 2]));
    assert_eq!(session.get::<Vec<u64>>("cart").unwrap(), session.peek(CART).unwrap());
    assert!(session.contains(CART) && session.contains("cart"));
    session.require_unchanged(CART).unwrap();
    assert_eq!(session.take(CART).unwrap(), Some(vec![1, 2]));
    session.flash(CREDIT, &7).unwrap();
    assert_eq!(session.flashes(CREDIT).unwrap(), [7]);
    session.flash(CREDIT, &7).unwrap();
    session.clear_flashes(CREDIT).unwrap();
    assert!(!session.remove(CREDIT).unwrap());
    session.discard();
}

#[test]
fn a_login_keeps_values_by_typed_keys_and_by_names() {
    let session = session();
    session.insert(CART, &vec![1]).unwrap();
    session.insert(CREDIT, &1).unwrap();
    session.insert("draft", "text").unwrap();
    session.login_keeping("ann", [CART.name(), CREDIT.name()]).unwrap();
    assert_eq!(session.keys(), ["cart", "credit"]);
    session.login_keeping("ann", [CART]).unwrap();
    assert_eq!(session.keys(), ["cart"]);
    session.login_keeping("ann", [0; 0]).unwrap();
    assert_eq!(session.keys(), [""; 0]);
    session.discard();
}

#[test]
fn an_update_that_fails_changes_nothing_and_counts_as_a_read() {
    let [one, other] = two_requests();
    let failed = one.try_update(CREDIT, |credit| {
        *credit = 0;
        Err(Error::new(ErrorKind::Other, "not allowed"))
    });
    assert_eq!(failed.unwrap_err().to_string(), "session error: not allowed");
    assert_eq!(one.peek(CREDIT).unwrap(), Some(10));
    assert!(!one.is_modified());
    other.insert(CREDIT, &5).unwrap();
    save(&other).unwrap();
    one.insert(CREDIT, &11).unwrap();
    assert_eq!(save(&one).unwrap_err().key(), Some("credit"));
}

#[test]
fn an_update_that_fails_in_a_replay_is_a_conflict_that_names_the_key() {
    let [one, other] = two_requests();
    for session in [&one, &other] {
        let left = session.try_update(CREDIT, |credit| {
            *credit = credit.checked_sub(7).ok_or(Error::from(ErrorKind::Other))?;
            Ok::<(), Error>(())
        });
        assert_eq!(left.unwrap(), 3);
    }
    save(&one).unwrap();
    let error = save(&other).unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::Conflict, Some("credit")));
    pollster::block_on(other.reload()).unwrap();
    assert_eq!(other.get(CREDIT).unwrap(), Some(3));
}

#[test]
fn updates_that_may_fail_all_count() {
    let [one, other] = two_requests();
    for session in [&one, &other] {
        session
            .try_update(CREDIT, |credit| {
                *credit += 1;
                Ok::<(), Error>(())
            })
            .unwrap();
    }
    save(&one).unwrap();
    save(&other).unwrap();
    assert_eq!(other.get(CREDIT).unwrap(), Some(12));
}

#[test]
fn a_missing_value_that_two_requests_insert_is_the_one_that_was_returned_or_a_conflict() {
    const TOKEN: Key<String> = Key::new("token");
    let [one, other] = two_requests();
    assert_eq!(one.get_or_insert_with(TOKEN, || "a".to_owned()).unwrap(), "a");
    assert_eq!(other.get_or_insert_with(TOKEN, || "b".to_owned()).unwrap(), "b");
    assert_eq!(other.get_or_insert_with(TOKEN, || unreachable!()).unwrap(), "b");
    save(&one).unwrap();
    let error = save(&other).unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::Conflict, Some("token")));
    pollster::block_on(other.reload()).unwrap();
    assert_eq!(other.get_or_insert_with(TOKEN, || unreachable!()).unwrap(), "a");
}
