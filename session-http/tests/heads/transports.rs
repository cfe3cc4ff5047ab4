//! Values of sessions in headers instead of cookies.

use pollster::block_on;
use session_core::{ErrorKind, Manager, NullStore, Opened, Session};
use session_crypto::KeyRing;
use session_http::{CommitReport, CookieOptions, CookieStore, SessionSet, Transport};
use session_store_memory::MemoryStore;

use crate::rig::Head;

const HEADER: Transport = Transport::Header("x-session");

fn set(transports: &[Transport]) -> SessionSet {
    build(Manager::new(MemoryStore::new()), CookieOptions::new(), transports)
}

fn build(manager: Manager, options: CookieOptions, transports: &[Transport]) -> SessionSet {
    let builder = SessionSet::builder().session(manager, options);
    transports.iter().fold(builder, |builder, one| builder.transport(*one)).build().unwrap()
}

fn request(set: &SessionSet, head: Head, act: impl FnOnce(&Session)) -> CommitReport {
    block_on(async {
        let exchange = set.begin();
        act(&exchange.open_first(head).await.unwrap());
        exchange.commit().await
    })
}

fn login(session: &Session) {
    session.login("ann").unwrap();
}

fn token(report: &CommitReport) -> (&'static str, String) {
    assert!(report.error.is_none() && report.set_cookie.is_empty(), "{report:?}");
    let [(name, token)] = &report.tokens[..] else { panic!("{report:?}") };
    (*name, token.as_str().to_owned())
}

#[test]
fn a_value_goes_out_and_comes_back_in_a_header() {
    let ring = KeyRing::new(&(0..32).collect::<Vec<u8>>()).unwrap();
    let signed = CookieOptions::new().signed(&ring);
    let sealed = || Manager::new(CookieStore::new(&ring));
    for (transport, response, prefix) in [(HEADER, "x-session", ""), (Transport::Bearer, "session-token", "Bearer ")] {
        for set in [
            set(&[transport]),
            build(Manager::new(MemoryStore::new()), signed.clone(), &[transport]),
            build(sealed(), CookieOptions::new(), &[transport]),
        ] {
            let (name, value) = token(&request(&set, Head::get(&[]), login));
            assert_eq!(name, response);
            let head = || Head::get(&[]).and(transport.request_header(), &format!("{prefix}{value}"));
            let read = request(&set, head(), |session| assert_eq!(session.opened(), Opened::Resumed));
            assert!(read.tokens.is_empty() && read.set_cookie.is_empty(), "the client has it: {read:?}");
            let ended = request(&set, head(), Session::logout);
            assert_eq!(token(&ended), (response, String::new()), "an ended session's value is empty");
        }
    }
}

#[test]
fn a_header_excludes_the_cookie_even_if_its_value_is_bad() {
    let set = set(&[Transport::Cookie, HEADER, Transport::Bearer]);
    let report = request(&set, Head::get(&[]), login);
    let cookie = report.set_cookie[0].pair().to_owned();
    let who = |head: Head| {
        let mut who = (Opened::New, false);
        let report = request(&set, head, |session| who = (session.opened(), session.principal().is_some()));
        assert!(report.set_cookie.is_empty() && report.tokens.is_empty());
        who
    };
    assert_eq!(who(Head::get(&[]).cookies(&cookie)), (Opened::Resumed, true));
    for (name, value) in
        [("x-session", ""), ("x-session", "junk"), ("authorization", "Bearer junk"), ("authorization", "Bearer")]
    {
        assert_eq!(who(Head::get(&[(name, value)]).cookies(&cookie)), (Opened::Undecodable, false), "{name}: {value}");
    }
    let value = cookie.split_once('=').unwrap().1;
    let twice = Head::get(&[("x-session", value), ("x-session", value)]);
    assert_eq!(who(twice), (Opened::Undecodable, false), "two values are one too many");
    // The scheme of a proxy in front says nothing about a session.
    assert_eq!(who(Head::get(&[("authorization", "Basic YTpi")]).cookies(&cookie)), (Opened::Resumed, true));
}

#[test]
fn a_new_value_goes_out_in_the_way_in_which_the_old_one_came() {
    let set = set(&[Transport::Cookie, HEADER]);
    let by_cookie = request(&set, Head::get(&[]), login);
    assert_eq!((by_cookie.set_cookie.len(), by_cookie.tokens.len()), (1, 0), "nothing came, so it is the cookie");
    let value = by_cookie.set_cookie[0].pair().split_once('=').unwrap().1.to_owned();
    let by_header = request(&set, Head::get(&[("x-session", &value)]), |session| session.rotate().unwrap());
    assert_ne!(token(&by_header).1, value);
}

#[test]
fn without_the_cookie_as_a_transport_it_is_neither_read_nor_set() {
    let both = set(&[Transport::Cookie, HEADER]);
    let header_only = build(both.manager("id").unwrap().clone(), CookieOptions::new(), &[HEADER]);
    let cookie = request(&both, Head::get(&[]), login).set_cookie[0].pair().to_owned();
    let report = request(&header_only, Head::get(&[]).cookies(&cookie), |session| {
        assert_eq!(session.opened(), Opened::New);
        session.insert("n", &1).unwrap();
    });
    assert_eq!(token(&report).0, "x-session");
}

#[test]
fn vary_names_the_headers_that_were_looked_at_and_no_other() {
    let vary = |transports: &[Transport], head: Head| request(&set(transports), head, |_| ()).vary;
    assert_eq!(vary(&[], Head::get(&[])), ["Cookie"]);
    assert_eq!(vary(&[HEADER], Head::get(&[])), ["x-session"]);
    assert_eq!(vary(&[Transport::Cookie, Transport::Bearer], Head::get(&[])), ["Authorization", "Cookie"]);
    assert_eq!(
        vary(&[Transport::Cookie, Transport::Bearer], Head::get(&[("authorization", "Bearer x")])),
        ["Authorization"]
    );
    let all = [HEADER, Transport::Bearer, Transport::Cookie];
    assert_eq!(vary(&all, Head::get(&[("authorization", "Bearer x")])), ["x-session", "Authorization"]);
    let untouched = block_on(set(&all).begin().commit());
    assert!(untouched.vary.is_empty());
}

#[test]
fn a_handler_gets_the_token_and_the_response_repeats_it_in_no_header() {
    for transports in [&[Transport::Bearer][..], &[Transport::Cookie, Transport::Bearer]] {
        let set = set(transports);
        let (value, report) = block_on(async {
            let exchange = set.begin();
            login(&exchange.open_first(Head::get(&[])).await.unwrap());
            let token = exchange.token("id").await.unwrap();
            (token.into_string(), exchange.commit().await)
        });
        assert!(report.tokens.is_empty() && report.set_cookie.is_empty() && report.error.is_none(), "{report:?}");
        let bearer = Head::get(&[("authorization", &format!("Bearer {value}"))]);
        request(&set, bearer.clone(), |session| assert_eq!(session.principal().unwrap().as_str(), "ann"));
        // A client that has it already can be told again, and a change of the id after that goes out.
        let (again, report) = block_on(async {
            let exchange = set.begin();
            let session = exchange.open_first(bearer).await.unwrap();
            let again = exchange.token("id").await.unwrap().into_string();
            session.rotate().unwrap();
            (again, exchange.commit().await)
        });
        assert_eq!(again, value);
        assert_ne!(token(&report).1, value);
    }
}

#[test]
fn there_is_no_token_of_nothing() {
    let set = set(&[Transport::Bearer]);
    block_on(async {
        let exchange = set.begin();
        assert_eq!(exchange.token("id").await.unwrap_err().kind(), ErrorKind::Config, "it was not opened");
        exchange.open_first(Head::get(&[])).await.unwrap();
        assert_eq!(exchange.token("id").await.unwrap_err().kind(), ErrorKind::Other);
        assert_eq!(exchange.token("other").await.unwrap_err().kind(), ErrorKind::Config);
        assert!(exchange.commit().await.error.is_none());
    });
}

#[test]
fn a_cross_site_request_by_a_header_is_stored() {
    let set = set(&[HEADER]);
    let cross = Head::of("POST", &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "cors")]);
    let report = request(&set, cross, |session| session.insert("n", &1).unwrap());
    assert_eq!(token(&report).0, "x-session", "no cookie is replaced");
}

#[test]
fn a_header_that_others_need_is_refused() {
    for name in ["cookie", "authorization", "X-Session", ""] {
        let builder = SessionSet::builder().session(Manager::new(NullStore), CookieOptions::new());
        let error = builder.transport(Transport::Header(name)).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{name}");
    }
}

#[test]
fn nothing_shows_a_token() {
    let report = request(&set(&[HEADER]), Head::get(&[]), login);
    let value = token(&report).1;
    assert!(!format!("{report:?}").contains(&value));
}
