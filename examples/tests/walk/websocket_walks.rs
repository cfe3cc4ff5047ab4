//! Walks through WebSockets.

use std::net::TcpStream;
use std::time::Duration;

use tungstenite::client::IntoClientRequest as _;
use tungstenite::handshake::HandshakeError;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket};

use crate::browser::{Browser, serve};

type Socket = WebSocket<TcpStream>;

/// Time after which a socket of these tests looks at its session again.
const PAUSE: Duration = Duration::from_millis(20);

fn site(pause: Duration) -> String {
    serve(async move { crate::websocket::app(pause).await.unwrap() })
}

/// Opens the socket with a page of `origin`. The error is the status of the refusal.
fn open(browser: &Browser, base: &str, origin: Option<&str>) -> Result<Socket, u16> {
    let host = base.strip_prefix("http://").unwrap();
    let mut request = format!("ws://{host}/notes").into_client_request().unwrap();
    let mut add = |name, value: &str| drop(request.headers_mut().insert(name, value.parse().unwrap()));
    add("cookie", &browser.cookie_header(|_| true));
    if let Some(origin) = origin {
        add("origin", origin);
    }
    let stream = TcpStream::connect(host).unwrap();
    // A socket that never answers fails the test.
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    match tungstenite::client(request, stream) {
        Ok((socket, _)) => Ok(socket),
        Err(HandshakeError::Failure(Error::Http(refusal))) => Err(refusal.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
fn says(socket: &mut Socket, notes: &str) {
    assert_eq!(socket.read().unwrap(), Message::text(notes));
}

#[track_caller]
fn is_closed(socket: &mut Socket) {
    let Message::Close(Some(CloseFrame { code, reason })) = socket.read().unwrap() else { panic!("it is open") };
    assert_eq!((code, reason.as_str()), (CloseCode::Policy, "signed out"));
    assert!(matches!(socket.read(), Err(Error::ConnectionClosed)));
}

#[test]
fn only_a_page_of_the_same_site_opens_a_socket_and_only_for_a_user() {
    let base = site(PAUSE);
    let mut ann = Browser::new(&base);
    assert_eq!(open(&ann, &base, Some(&base)).err(), Some(401));
    ann.get("/").shows("Sign in as Ann");
    ann.post("/sign-in", "").leads_to("/");
    ann.get("/").shows("WebSocket");
    let sibling = base.replace("127.0.0.1", "evil.127.0.0.1");
    for origin in ["https://evil.example", "null", &sibling, &format!("{base}.evil.example"), ""] {
        assert_eq!(open(&ann, &base, Some(origin)).err(), Some(403), "{origin}");
    }
    assert_eq!(open(&ann, &base, None).err(), Some(403));
    says(&mut open(&ann, &base, Some(&base)).unwrap(), "");
}

#[test]
fn sockets_and_pages_share_the_values_of_the_session() {
    let base = site(PAUSE);
    let mut ann = Browser::new(&base);
    ann.post("/sign-in", "").leads_to("/");
    let [mut here, mut there] = [(); 2].map(|()| open(&ann, &base, Some(&base)).unwrap());
    says(&mut here, "");
    says(&mut there, "");
    here.send(Message::text("tea")).unwrap();
    says(&mut here, "tea");
    says(&mut there, "tea");
    there.send(Message::text("cake")).unwrap();
    says(&mut there, "tea\ncake");
    says(&mut here, "tea\ncake");
    // Another tab changes the session by a page.
    ann.post("/clear", "").leads_to("/");
    says(&mut here, "");
    says(&mut there, "");
}

#[test]
fn a_socket_closes_when_the_user_signs_out_in_another_tab() {
    let base = site(PAUSE);
    let mut ann = Browser::new(&base);
    ann.post("/sign-in", "").leads_to("/");
    let mut socket = open(&ann, &base, Some(&base)).unwrap();
    says(&mut socket, "");
    ann.post("/sign-out", "").leads_to("/");
    is_closed(&mut socket);
}

#[test]
fn what_a_socket_of_an_ended_session_sends_is_not_stored() {
    // So long a pause that only the message makes the socket look.
    let base = site(Duration::from_secs(3600));
    let mut ann = Browser::new(&base);
    ann.post("/sign-in", "").leads_to("/");
    let mut socket = open(&ann, &base, Some(&base)).unwrap();
    says(&mut socket, "");
    ann.post("/sign-out", "").leads_to("/");
    ann.post("/sign-in", "").leads_to("/");
    socket.send(Message::text("tea")).unwrap();
    is_closed(&mut socket);
    says(&mut open(&ann, &base, Some(&base)).unwrap(), "");
}
