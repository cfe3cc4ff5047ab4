//! Writes of a request to a session that an earlier logout has ended.

use pollster::block_on;
use session_core::{ErrorKind, Manager, ManualClock, Opened, Session, Timestamp, seconds};
use session_http::{CommitReport, CookieOptions, SessionSet};
use session_store_memory::MemoryStore;

struct Browser {
    clock: ManualClock,
    set: SessionSet,
    /// Cookie of a session that was ended by a logout whose response was lost.
    cookie: String,
}

impl Browser {
    fn signed_out() -> Self {
        let clock = ManualClock::new(Timestamp::from_millis(1_000_000).unwrap());
        let manager = Manager::builder(MemoryStore::new()).clock(clock.clone()).build().unwrap();
        let set = SessionSet::new(manager, CookieOptions::new()).unwrap();
        let mut browser = Self { clock, set, cookie: String::new() };
        let login = browser.request(None, |session| session.login("ann").unwrap());
        browser.cookie = login.set_cookie[0].pair().to_owned();
        let lost = browser.request(Some("empty"), Session::logout);
        assert_eq!(lost.set_cookie.len(), 1, "it clears the cookie");
        browser
    }

    /// Makes a request for `destination`, whose handler runs `act`.
    fn request(&self, destination: Option<&str>, act: impl FnOnce(&Session)) -> CommitReport {
        let exchange = self.set.begin();
        block_on(async {
            let session = exchange.open_first([self.cookie.as_bytes()]).await.unwrap();
            if session.opened() == Opened::Ended {
                exchange.note_destination(&session, destination.map(str::as_bytes));
            }
            act(&session);
            exchange.commit().await
        })
    }

    fn write(&self, destination: Option<&str>) -> Result<CommitReport, ErrorKind> {
        let mut written = Ok(());
        let committed = self.request(destination, |session| written = session.insert("token", &7));
        written.map(|()| committed).map_err(|error| error.kind())
    }
}

#[test]
fn a_page_begins_a_new_session_once_the_logout_is_ten_seconds_old() {
    let browser = Browser::signed_out();
    browser.clock.advance(seconds(9));
    assert_eq!(browser.write(Some("document")).err(), Some(ErrorKind::Gone));
    browser.clock.advance(seconds(1));
    let page = browser.write(Some("document")).unwrap();
    assert!(page.error.is_none());
    assert_eq!(page.set_cookie.len(), 1, "a new session has a new cookie");
    assert_ne!(page.set_cookie[0].pair(), browser.cookie);
}

#[test]
fn what_is_not_for_a_document_may_come_from_the_page_that_signed_out() {
    let browser = Browser::signed_out();
    browser.clock.advance(seconds(59));
    for destination in [None, Some("empty"), Some("image"), Some("iframe"), Some("Document")] {
        assert_eq!(browser.write(destination).err(), Some(ErrorKind::Gone), "{destination:?}");
    }
    browser.clock.advance(seconds(1));
    assert!(browser.write(Some("empty")).is_ok(), "after a minute the id is unknown");
}

#[test]
fn a_page_that_only_reads_sets_no_cookie() {
    let browser = Browser::signed_out();
    browser.clock.advance(seconds(10));
    let page = browser.request(Some("document"), |session| assert_eq!(session.opened(), Opened::Unknown));
    assert!(page.set_cookie.is_empty() && page.error.is_none());
}

#[test]
fn a_login_needs_no_page_and_no_time() {
    let browser = Browser::signed_out();
    let login = browser.request(Some("empty"), |session| {
        assert_eq!(session.opened(), Opened::Ended);
        session.login("bob").unwrap();
        session.insert("theme", "dark").unwrap();
    });
    assert!(login.error.is_none());
    assert_eq!(login.set_cookie.len(), 1);
}

#[test]
fn what_moved_stays_moved() {
    let mut browser = Browser::signed_out();
    browser.cookie.clear();
    let first = browser.request(None, |session| session.insert("n", &1).unwrap());
    browser.cookie = first.set_cookie[0].pair().to_owned();
    let _moved = browser.request(None, |session| session.rotate().unwrap());
    browser.clock.advance(seconds(30));
    let page = browser.set.begin();
    let session = block_on(page.open_first([browser.cookie.as_bytes()])).unwrap();
    assert_eq!(session.opened(), Opened::Moved);
    page.note_destination(&session, Some(b"document"));
    assert_eq!(session.opened(), Opened::Moved);
    assert_eq!(session.insert("n", &2).unwrap_err().kind(), ErrorKind::Gone);
}
