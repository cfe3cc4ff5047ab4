//! A click through the shop's pages, by their forms, without JavaScript.

use crate::common::backend::Backend;
use crate::common::browser::{Browser, FORM};

/// Returns the value of the hidden field `name` in the first form after `mark`.
fn hidden<'a>(page: &'a str, mark: &str, name: &str) -> &'a str {
    let after = &page[page.find(mark).unwrap_or_else(|| panic!("no {mark} in {page}"))..];
    let field = format!("name=\"{name}\" value=\"");
    let value =
        &after[after.find(&field).unwrap_or_else(|| panic!("no {name} after {mark} in {page}")) + field.len()..];
    value.split('"').next().unwrap()
}

#[test]
fn a_cart_is_filled_changed_and_ordered() {
    let server = Backend::memory().serve();
    let mut ann = Browser::new(&server.base);
    assert!(ann.get("/").expect(200).body.contains("Garden Mint"));

    let page = ann.submit("/cart", "tea=mint&from=shop&change=add");
    assert!(page.body.contains("Garden Mint is in your cart."));
    assert!(!ann.get("/").body.contains("is in your cart"), "a message is shown once");

    ann.submit("/cart", "tea=mint&from=shop&change=add");
    let page = ann.submit("/cart", "tea=assam&from=cart&change=add");
    assert!(page.body.contains("€ 21.70"), "{}", page.body);
    let page = ann.submit("/cart", "tea=mint&from=cart&change=less");
    assert!(page.body.contains("€ 15.30"), "{}", page.body);
    let page = ann.submit("/cart", "tea=assam&from=cart&change=drop");
    assert!(page.body.contains("Breakfast Assam is back on the shelf."));

    let page = ann.submit("/cart/check-out", "");
    assert!(page.body.contains("Thank you! Your order of € 6.40"));
    assert!(ann.get("/cart").body.contains("Nothing in it yet."));
    assert!(ann.submit("/cart/check-out", "").body.contains("There is nothing to order."));
    ann.send("POST", "/cart", &FORM, "tea=coffee&from=cart&change=add").expect(404);
    server.stop();
}

#[test]
fn signing_in_keeps_the_cart_and_signing_out_ends_it() {
    let server = Backend::memory().serve();
    let mut ann = Browser::new(&server.base);
    assert_eq!(ann.get("/account").expect(303).header("location"), Some("/sign-in"));
    ann.submit("/cart", "tea=mint&from=shop&change=add");
    let before = ann.cookie.clone();
    assert!(ann.submit("/sign-in", "name=++").body.contains("Please give a name"));

    let page = ann.submit("/sign-in", "name=Ann+%3Cb%3E");
    assert!(page.body.contains("Welcome, Ann &#60;b&#62;!"), "{}", page.body);
    assert_ne!(ann.cookie, before);
    assert!(ann.get("/cart").body.contains("Garden Mint"));
    assert!(ann.get("/account").body.contains("Firefox on Linux"));

    let page = ann.submit("/sign-out", "");
    assert!(page.body.contains("You are signed out."));
    assert!(ann.get("/cart").body.contains("Nothing in it yet."));
    server.stop();
}

#[test]
fn remembering_makes_the_cookie_outlive_the_browser() {
    let server = Backend::memory().serve();
    let mut ann = Browser::new(&server.base);
    let max_age = |answer: &crate::common::browser::Answer| {
        let line = answer.cookies().first().unwrap().clone();
        line.split("; ").find_map(|part| part.strip_prefix("Max-Age=").map(|n| n.parse::<u64>().unwrap()))
    };
    let answer = ann.send("POST", "/sign-in", &FORM, "name=ann").expect(303);
    assert_eq!(max_age(&answer), None);
    let answer = ann.send("POST", "/sign-in", &FORM, "name=ann&remember=yes").expect(303);
    let remembered = 14 * 86_400;
    assert!(max_age(&answer).is_some_and(|age| (remembered - 60..=remembered).contains(&age)), "{answer:?}");
    assert!(ann.get("/session").body.contains("remembered when the browser closes"));
    server.stop();
}

#[test]
fn sessions_elsewhere_can_be_ended() {
    let server = Backend::memory().serve();
    let mut here = Browser::new(&server.base);
    here.submit("/sign-in", "name=ann");
    let mut others: Vec<Browser> = (0..3).map(|_| Browser::new(&server.base)).collect();
    for other in &mut others {
        other.submit("/sign-in", "name=ann");
    }
    let mut bob = Browser::new(&server.base);
    bob.submit("/sign-in", "name=bob");

    let page = here.get("/account").expect(200).body;
    assert_eq!(page.matches("Firefox on Linux").count(), 4);
    assert_eq!(page.matches("this one").count(), 1);

    // Neither another user's handle nor an invalid one ends a session.
    let bobs = bob.get("/account").body;
    let form = format!("handle={}", hidden(&bobs, "this one", "handle"));
    assert!(here.submit("/account/end-one", &form).body.contains("over already"));
    assert!(here.submit("/account/end-one", "handle=x").body.contains("no such session"));
    bob.get("/account").expect(200);

    let page = others[0].get("/account").body;
    let form = format!("handle={}", hidden(&page, "this one", "handle"));
    assert!(here.submit("/account/end-one", &form).body.contains("That session is signed out."));
    others[0].get("/account").expect(303);
    others[1].get("/account").expect(200);

    assert!(here.submit("/account/end-others", "").body.contains("2 other sessions are signed out."));
    for other in &mut others {
        other.get("/account").expect(303);
    }
    here.get("/account").expect(200);
    bob.get("/account").expect(200);
    server.stop();
}

#[test]
fn the_session_page_shows_all_but_the_id() {
    let server = Backend::memory().serve();
    let mut ann = Browser::new(&server.base);
    let page = ann.get("/session").expect(200).body;
    assert!(page.contains("nothing is stored, no cookie is set") && page.contains("your browser sent no cookie"));

    ann.submit("/cart", "tea=mint&from=shop&change=add");
    let before = ann.cookie.clone().unwrap();
    let page = ann.get("/session").body;
    assert!(page.contains("found in the store by your cookie") && page.contains("<code>memory</code>"));
    assert!(page.contains("<code>cart</code>") && page.contains("mint"));
    assert!(!page.contains(&before), "the id is shown");

    let page = ann.submit("/session/new-id", "").body;
    assert!(page.contains("The session has a new id."));
    assert_ne!(ann.cookie.as_ref(), Some(&before));
    assert!(ann.get("/cart").body.contains("Garden Mint"));
    assert!(Browser::with_cookie(&server.base, &before).get("/session").body.contains("it goes on under another id"));

    ann.send("POST", "/session/end", &FORM, "").expect(303);
    assert_eq!(ann.cookie, None, "nothing is left to remember");
    server.stop();
}

#[test]
fn every_page_is_safe_to_show() {
    let server = Backend::memory().serve();
    let mut visitor = Browser::new(&server.base);
    for (path, status) in [("/", 200), ("/cart", 200), ("/sign-in", 200), ("/session", 200), ("/nowhere", 404)] {
        let answer = visitor.get(path).expect(status);
        assert!(answer.header("content-security-policy").unwrap().contains("default-src 'none'"), "{path}");
        assert!(!answer.body.contains("<script") && !answer.body.contains(" style="), "{path}");
    }
    let style = visitor.get("/style.css").expect(200);
    assert_eq!((style.header("vary"), style.header("cache-control")), (None, Some("public, max-age=300")));
    server.stop();
}
