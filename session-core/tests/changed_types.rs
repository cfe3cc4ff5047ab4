//! Values whose type differs between two releases of an application.

mod common;

use serde::{Deserialize, Serialize};
use session_core::{Commit, ErrorKind, Manager, Result, Session};

use common::Shelf;

#[derive(Serialize, Deserialize, Default, Debug, PartialEq)]
struct Cart {
    items: Vec<u64>,
}

/// Returns the cart. Earlier releases stored a list of products, which is migrated.
fn cart(session: &Session) -> Result<Cart> {
    match session.get("cart") {
        Err(error) if error.kind() == ErrorKind::WrongType => {
            let items = session.get("cart")?.unwrap_or_default();
            let cart = Cart { items };
            session.insert("cart", &cart)?;
            Ok(cart)
        }
        cart => Ok(cart?.unwrap_or_default()),
    }
}

#[test]
fn a_value_is_migrated_and_an_older_release_does_not_undo_it() {
    let manager = Manager::new(Shelf::default());
    let session = pollster::block_on(manager.open(None)).unwrap();
    session.insert("cart", &[1, 2]).unwrap();
    let Commit::Issue(cookie) = pollster::block_on(manager.close(&session)).unwrap() else { panic!("no cookie") };
    let open = || pollster::block_on(manager.open(Some(cookie.value.as_str()))).unwrap();

    let newer = open();
    assert_eq!(cart(&newer).unwrap().items, [1, 2]);
    let _told = pollster::block_on(manager.close(&newer)).unwrap();

    let older = open();
    for error in [
        older.get::<Vec<u64>>("cart").unwrap_err(),
        older.update("cart", |cart: &mut Vec<u64>| cart.push(3)).unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.key()), (ErrorKind::WrongType, Some("cart")));
        assert!(error.to_string().contains("invalid type: map, expected a sequence"), "{error}");
    }
    older.insert("seen", &true).unwrap();
    let _told = pollster::block_on(manager.close(&older)).unwrap();
    assert_eq!(cart(&open()).unwrap().items, [1, 2]);
}
