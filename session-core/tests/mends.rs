//! Errors that name the limit or the setting that they are about, and how to mend it.

mod common;

use session_core::{Capabilities, Error, ErrorKind, Limits, Manager, NullStore, Session, days};

use common::Shelf;

fn session(limits: Limits, store: Shelf) -> Session {
    pollster::block_on(Manager::builder(store).limits(limits).build().unwrap().open(None)).unwrap()
}

fn check(error: &Error, kind: ErrorKind, key: Option<&str>, parts: &[&str]) {
    assert_eq!((error.kind(), error.key()), (kind, key), "{error}");
    let text = error.to_string();
    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
}

#[test]
fn an_error_over_a_limit_names_the_key_the_limit_and_the_setting() {
    let limits = Limits::new().max_data_len(1_000).max_keys(2).max_depth(2);
    let session = session(limits, Shelf::default());
    let too_large = |result: Result<(), Error>, parts: &[&str]| {
        check(&result.unwrap_err(), ErrorKind::TooLarge, Some("cart"), parts);
    };
    let long = "x".repeat(1_000);
    let size = ["1002 bytes", "1000 bytes", "`Limits::max_data_len`"];
    too_large(session.insert("cart", &long), &size);
    too_large(session.flash("cart", &long), &size);
    too_large(session.update("cart", |text: &mut String| *text = "x".repeat(1_000)).map(drop), &size);
    too_large(session.insert("cart", &[[[1]]]), &["2 levels", "`Limits::max_depth`"]);
    session.insert("a", &"x".repeat(400)).unwrap();
    session.insert("b", &1).unwrap();
    too_large(session.insert("cart", &1), &["2 values", "`Limits::max_keys`"]);
    session.remove("b").unwrap();
    session.insert("cart", &"x".repeat(600)).unwrap();
    // Together they are too long. The largest is named.
    too_large(
        pollster::block_on(session.save()).map(drop),
        &["session has 10", "1000 bytes", "`Limits::max_data_len`"],
    );
    session.discard();
}

#[test]
fn a_limit_of_the_store_is_named_as_the_stores() {
    let store = || Shelf::that_can(Capabilities::new().max_data_len(Some(500)));
    let long = "x".repeat(600);
    let session = session(Limits::new(), store());
    check(
        &session.insert("cart", &long).unwrap_err(),
        ErrorKind::TooLarge,
        Some("cart"),
        &["500 bytes", "the store's limit"],
    );
    let session = self::session(Limits::new().max_data_len(400), store());
    check(
        &session.insert("cart", &long).unwrap_err(),
        ErrorKind::TooLarge,
        Some("cart"),
        &["400 bytes", "`Limits::max_data_len`"],
    );
}

#[test]
fn a_value_that_cannot_be_encoded_is_named() {
    let session = session(Limits::new(), Shelf::default());
    check(&session.insert("cart", &f64::NAN).unwrap_err(), ErrorKind::Other, Some("cart"), &["not finite"]);
}

#[test]
fn a_time_out_over_the_maximum_names_both() {
    let manager = Manager::builder(NullStore).max_idle(days(14)).max_absolute(days(90)).build().unwrap();
    let session = pollster::block_on(manager.open(None)).unwrap();
    let error = session.set_idle(Some(days(15))).unwrap_err();
    check(&error, ErrorKind::Config, None, &["15 days", "14 days", "`ManagerBuilder::max_idle`"]);
    let error = session.set_absolute(Some(days(91))).unwrap_err();
    check(&error, ErrorKind::Config, None, &["91 days", "90 days", "`ManagerBuilder::max_absolute`"]);
}

#[test]
fn what_needs_a_principal_is_unauthenticated_without_one() {
    let session = session(Limits::new(), Shelf::default());
    let handle = "0".repeat(64).parse().unwrap();
    let errors = [
        session.reauthenticate().unwrap_err(),
        pollster::block_on(session.sessions()).unwrap_err(),
        pollster::block_on(session.revoke_others()).unwrap_err(),
        pollster::block_on(session.revoke(&handle)).unwrap_err(),
    ];
    for error in errors {
        check(&error, ErrorKind::Unauthenticated, None, &["not signed in", "call `login` first"]);
    }
}
