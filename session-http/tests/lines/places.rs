//! Whether lines remove a cookie from its former place, and from no other.

use super::app::{App, pair};
use super::cookie::{Cookie, Place};
use super::request::{Request, SETTER};
use super::{Jar, Knowledge};

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
                assert_eq!(of(&moved.name, &sent).len(), both, "{:?} {:?} {sent:?}", moved.before, moved.now);
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
                assert_eq!(of(&moved.name, &left), expected, "logout: {logout}, {what}");
            }
        }
    }
}

/// Checks that responses clear a session that another host has planted, in every place, and leave the cookie's own place.
pub(crate) fn of_planted_cookies_are_cleared(jar: &mut dyn Jar) {
    let knows = jar.knows();
    let places = Place::all();
    let pairs = places.iter().flat_map(|own| places.iter().map(move |planted| (*own, *planted)));
    let pairs: Vec<_> = pairs.filter(|(own, planted)| own.differs(planted, knows)).collect();
    let at_root = |(own, planted): &&(Place, Place)| own.path == "/" && planted.path == "/";
    are_cleared(jar, &Request::AT_ROOT, pairs.iter().filter(at_root));
    // With a longer path, there are more places than one response clears. It leaves those that some jars take for the own one.
    let is_other =
        |(own, planted): &&(Place, Place)| own.differs(planted, Knowledge { hosts: false, partitions: false, ..knows });
    are_cleared(jar, &Request::AT_SETTER, pairs.iter().filter(is_other));
}

fn are_cleared<'p>(jar: &mut dyn Jar, request: &Request, pairs: impl Iterator<Item = &'p (Place, Place)>) {
    let url = format!("https:{SETTER}");
    let planted = pairs.enumerate().map(|(number, (own, planted))| Planted::new(*own, *planted, number));
    for all in planted.collect::<Vec<_>>().chunks(AT_ONCE) {
        jar.clear();
        jar.receive(&url, &all.iter().flat_map(|planted| planted.issued.clone()).collect::<Vec<_>>());
        // Two responses clear what one cannot.
        for round in 0..3 {
            let sent = jar.sent(request);
            let several: Vec<_> = all.iter().filter(|planted| of(&planted.name, &sent).len() > 1).collect();
            assert!(round > 0 || several.len() == all.len(), "the jar has two cookies of each name: {sent:?}");
            assert!(round < 2 || several.is_empty(), "{request:?} {:?} {sent:?}", several[0].places);
            let header = sent.join("; ");
            let is_new = |session: &session_core::Session| assert!(session.is_new());
            let lines = several.iter().flat_map(|planted| planted.app.answer(request, &header, is_new));
            jar.receive(&url, &lines.collect::<Vec<_>>());
        }
        let left = jar.sent(request);
        for Planted { name, issued: [mine, _], places: [own, planted], .. } in all {
            let left = of(name, &left);
            // A jar that takes two places for one may lose the own cookie, too. Its user signs in again.
            let is_lost = left.is_empty() && !(jar.knows().partitions && jar.knows().hosts);
            assert!(is_lost || left == [pair(mine)], "{request:?} {own:?} {planted:?} {left:?}");
        }
    }
}

/// A cookie, in a jar that also holds a cookie of another visitor at another place.
struct Planted {
    name: String,
    /// The cookie's own place, and that of the planted one.
    places: [Place; 2],
    app: App,
    /// The session at the cookie's own place, and the planted one.
    issued: [String; 2],
}

impl Planted {
    fn new(place: Place, planted: Place, number: usize) -> Self {
        let cookie = Cookie::at(place, number);
        let app = App::new(cookie.options());
        let issued = [app.issue(1), app.with(Cookie::at(planted, number).options()).issue(2)];
        Self { name: cookie.name(), places: [place, planted], app, issued }
    }
}

/// Returns those of the `pairs` that have this name.
fn of<'p>(name: &str, pairs: &'p [String]) -> Vec<&'p str> {
    pairs.iter().map(String::as_str).filter(|pair| pair.split('=').next() == Some(name)).collect()
}
