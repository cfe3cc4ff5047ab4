//! Whether lines remove a cookie from its former place, and from no other.

use super::Jar;
use super::app::{App, pair};
use super::cookie::{Cookie, Place};
use super::request::{Request, SETTER};

/// Number of names in the jar at once, each at two places.
const AT_ONCE: usize = 50;

/// A cookie whose place was changed, in a jar that holds it at both places.
struct Moved {
    name: String,
    before: Place,
    now: Place,
    app: App,
    /// The session at today's place, and the newer one at the former place.
    issued: [String; 2],
}

impl Moved {
    fn new(before: Place, now: Place, number: usize) -> Self {
        let (old, new) = (Cookie::at(before, number), Cookie::at(now, number));
        let app = App::new(new.options().formerly(old.options()));
        let issued = [app.issue(1), app.with(old.options()).issue(2)];
        Self { name: new.name(), before, now, app, issued }
    }

    /// Returns those of the `pairs` that have the cookie's name.
    fn of<'p>(&self, pairs: &'p [String]) -> Vec<&'p str> {
        let is_own = |pair: &&str| pair.split('=').next() == Some(&self.name);
        pairs.iter().map(String::as_str).filter(is_own).collect()
    }
}

/// Checks that one request moves the newer session to today's place and clears the former one, and that a logout clears both.
pub(crate) fn are_left(jar: &mut dyn Jar) {
    let url = format!("https:{SETTER}");
    let places = Place::all();
    let pairs = places.iter().flat_map(|before| places.iter().map(move |now| (*before, *now)));
    let pairs: Vec<_> = pairs.filter(|(before, now)| before != now).enumerate().collect();
    for batch in pairs.chunks(AT_ONCE) {
        let all: Vec<_> = batch.iter().map(|(number, (before, now))| Moved::new(*before, *now, *number)).collect();
        let issued: Vec<String> = all.iter().flat_map(|moved| moved.issued.clone()).collect();
        for logout in [false, true] {
            jar.clear();
            jar.receive(&url, &issued);
            let sent = jar.sent(&Request::AT_SETTER);
            let header = sent.join("; ");
            let mut lines = Vec::new();
            for moved in &all {
                let both = if moved.before.differs(&moved.now, jar.knows()) { 2 } else { 1 };
                assert_eq!(moved.of(&sent).len(), both, "{:?} {:?} {sent:?}", moved.before, moved.now);
                lines.extend(moved.app.answer(&Request::AT_SETTER, &header, |session| {
                    assert_eq!(session.get("n").unwrap(), Some(2), "the newer one is used");
                    if logout {
                        session.logout();
                    }
                }));
            }
            jar.receive(&url, &lines);
            let left = jar.sent(&Request::AT_SETTER);
            for moved in &all {
                let expected = if logout { vec![] } else { vec![pair(&moved.issued[1])] };
                let what = format!("{:?} to {:?}: {lines:?}", moved.before, moved.now);
                assert_eq!(moved.of(&left), expected, "logout: {logout}, {what}");
            }
        }
    }
}

/// Checks that a request with two sessions, one of which another host has planted, leaves at most the one at the cookie's own place.
pub(crate) fn of_planted_cookies_are_cleared(jar: &mut dyn Jar) {
    let (url, knows) = (format!("https:{SETTER}"), jar.knows());
    let places: Vec<_> = Place::all().into_iter().filter(|place| place.path == "/").collect();
    let pairs = places.iter().flat_map(|own| places.iter().map(move |planted| (*own, *planted)));
    for (number, (own, planted)) in pairs.filter(|(own, planted)| own.differs(planted, knows)).enumerate() {
        let cookie = Cookie::at(own, number);
        let app = App::new(cookie.options());
        let mine = app.issue(1);
        let theirs = app.with(Cookie::at(planted, number).options()).issue(2);
        jar.clear();
        jar.receive(&url, &[mine.clone(), theirs]);
        let sent = jar.sent(&Request::AT_ROOT);
        assert_eq!(sent.len(), 2, "{own:?} {planted:?} {sent:?}");
        let lines = app.answer(&Request::AT_ROOT, &sent.join("; "), |session| assert!(session.is_new()));
        jar.receive(&url, &lines);
        let left = jar.sent(&Request::AT_ROOT);
        // A jar that takes two of these places for one loses the own cookie, too. Its user signs in again.
        let expected = if knows.partitions { vec![pair(&mine)] } else { vec![] };
        assert_eq!(left, expected, "{own:?} {planted:?} {lines:?}");
    }
}
