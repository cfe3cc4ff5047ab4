//! Two releases of the shop, side by side on one database. The later one has a shorter idle time-out and another type of cart.

mod common;

use std::time::Duration;

use common::backend::Backend;
use common::browser::{Browser, FORM};
use common::server::Server;
use rusqlite::Connection;
use session_tower::{days, hours, minutes};

/// Both releases on one database in a file.
struct Shops {
    backend: Backend,
    /// Previous release: twelve hours of idle time, and a cart that is a list.
    before: Server,
    /// Current release: one hour of idle time, and a cart that is a map.
    now: Server,
}

impl Shops {
    fn open() -> Self {
        let backend = Backend::sqlite();
        let before = Server::start_before(&["--listen", "127.0.0.1:0", "--store", &backend.url]);
        let now = backend.serve();
        Self { backend, before, now }
    }

    /// Returns one browser as a client of each release, as if a load balancer sent its requests to both.
    fn visitor(&self, cookie: Option<&str>) -> [Browser; 2] {
        [&self.before, &self.now].map(|server| {
            cookie.map_or_else(|| Browser::new(&server.base), |cookie| Browser::with_cookie(&server.base, cookie))
        })
    }

    /// Makes all sessions older, as if they had not been used for `unused`.
    fn age(&self, unused: Duration) {
        let file = self.backend.folder.as_ref().unwrap().path().join("sessions.db");
        let database = Connection::open(file).unwrap();
        database.busy_timeout(Duration::from_secs(10)).unwrap();
        let millis = i64::try_from(unused.as_millis()).unwrap();
        let aged = database.execute("update sessions set expires_at = expires_at - ?1", [millis]).unwrap();
        assert!(aged > 0, "there is a session");
    }

    fn close(self) {
        for server in [self.before, self.now] {
            server.stop();
        }
    }
}

/// Returns the user who is signed in, by the browser's session.
fn user(browser: &mut Browser) -> Option<String> {
    browser.get("/api/session").expect(200).json()["principal"].as_str().map(str::to_owned)
}

/// Signs in, and returns the cookie.
fn sign_in(browser: &mut Browser, form: &str) -> String {
    browser.submit("/sign-in", form);
    browser.cookie.clone().unwrap()
}

#[test]
fn a_shorter_time_out_signs_out_only_users_who_were_away_for_longer() {
    let shops = Shops::open();
    let [mut before, mut now] = shops.visitor(None);
    let ann = sign_in(&mut before, "name=ann");
    let carol = sign_in(&mut now, "name=carol&remember=on");

    shops.age(minutes(50));
    for cookie in [&ann, &carol] {
        let [mut before, mut now] = shops.visitor(Some(cookie));
        assert!(user(&mut before).is_some() && user(&mut now).is_some(), "used within the hour");
    }

    shops.age(hours(2));
    let [mut before, mut now] = shops.visitor(Some(&ann));
    assert_eq!(user(&mut now), None, "the release of today goes by its own time-out");
    let [mut before_carol, mut now_carol] = shops.visitor(Some(&carol));
    assert_eq!(user(&mut before_carol).as_deref(), Some("carol"), "remembered for 14 days");
    assert_eq!(user(&mut now_carol).as_deref(), Some("carol"));
    assert_eq!(user(&mut before), None, "her last visit was at the release of today, so it counts for both");

    let [mut before, mut now] = shops.visitor(None);
    let bob = sign_in(&mut before, "name=bob");
    shops.age(hours(2));
    assert_eq!(user(&mut shops.visitor(Some(&bob))[1]), None);
    assert_eq!(user(&mut shops.visitor(Some(&bob))[0]).as_deref(), Some("bob"), "he used only the release before");
    sign_in(&mut now, "name=dan");
    shops.age(days(1));
    for mut browser in shops.visitor(now.cookie.as_deref()).into_iter().chain(shops.visitor(Some(&bob))) {
        assert_eq!(user(&mut browser), None, "unused for longer than both allow");
    }
    shops.close();
}

#[test]
fn a_cart_of_the_release_before_is_read_and_what_is_made_of_it_is_not_undone() {
    let shops = Shops::open();
    let [mut before, _] = shops.visitor(None);
    before.submit("/cart", "tea=mint&from=shop&change=add");
    before.submit("/cart", "tea=mint&from=shop&change=add");
    let cookie = before.cookie.clone().unwrap();
    let [mut before, mut now] = shops.visitor(Some(&cookie));
    assert!(now.get("/cart").expect(200).body.contains("€ 12.80"), "two tins");
    assert!(before.get("/cart").expect(200).body.contains("€ 12.80"), "reading changes nothing");

    assert!(now.submit("/cart", "tea=assam&from=cart&change=add").body.contains("€ 21.70"));
    assert!(before.get("/cart").expect(200).body.contains("Nothing in it yet."));
    let refused = before.send("POST", "/cart", &FORM, "tea=mint&from=cart&change=add").expect(500);
    assert!(refused.body.contains("Nothing is lost"), "{}", refused.body);
    before.send("POST", "/cart/check-out", &FORM, "").expect(500);
    before.post("/api/counter", "").expect(200);

    assert!(now.get("/cart").expect(200).body.contains("€ 21.70"), "the release before undoes nothing");
    assert_eq!(now.get("/api/session").json()["values"]["visits"], 1, "and its own keys are kept");
    shops.close();
}
