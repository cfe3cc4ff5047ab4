//! How does a WebSocket use the session of its page, and close when the user signs out?
//!
//! ```sh
//! cargo run -p examples --example websocket # then open http://localhost:3000 in two tabs
//! ```

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{CloseCode, CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::header::{HOST, HeaderMap, ORIGIN};
use axum::http::{HeaderName, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{any, get, post};
use session_tower::{Commit, Error, ErrorKind, Key, Manager, Result, Session, SessionLayer, SignedIn, store};
use tower_http::csrf::CsrfLayer;

const NOTES: Key<Vec<String>> = Key::new("notes");

/// Opens a socket, and shows the notes that come by it.
const PAGE: &str = "<input onchange='socket.send(value); value = \"\"'><pre></pre>
    <form method=post action=/clear><button>Clear</button></form>
    <form method=post action=/sign-out><button>Sign out</button></form>
    <script>
        const socket = new WebSocket(location.origin.replace('http', 'ws') + '/notes')
        const show = text => document.querySelector('pre').textContent = text
        socket.onmessage = message => show(message.data)
        socket.onclose = end => show('Closed: ' + end.reason)
    </script>";

async fn page(session: Session) -> Html<&'static str> {
    Html(match session.principal() {
        Some(_) => PAGE,
        None => "<form method=post action=/sign-in><button>Sign in as Ann</button></form>",
    })
}

async fn sign_in(session: Session) -> Result<Redirect> {
    session.login("ann")?;
    Ok(Redirect::to("/"))
}

async fn clear(session: Session) -> Result<Redirect> {
    session.remove(NOTES)?;
    Ok(Redirect::to("/"))
}

async fn sign_out(session: Session) -> Redirect {
    session.logout();
    Redirect::to("/")
}

/// Opens the socket. The user is signed in, else this is a 401 and no upgrade.
async fn connect(
    user: SignedIn,
    headers: HeaderMap,
    State(pause): State<Duration>,
    upgrade: WebSocketUpgrade,
) -> Response {
    if !is_own(&headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    upgrade.max_message_size(1_000).on_upgrade(async move |socket| talk(socket, user.session, pause).await)
}

/// Whether a page of this host opens the socket. A browser lets any page do so and may send the cookie, and `CsrfLayer` lets each GET pass.
/// A page by plain HTTP could be anybody's, except on this machine. Behind a proxy that changes `Host`, and for HTTP/2, which has no
/// such header, compare with a fixed origin.
fn is_own(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let is_local = |host: &str| matches!(host.rsplit_once(':'), Some(("localhost" | "127.0.0.1", _)));
    let origin = text(ORIGIN).and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(scheme, host)| Some(host) == text(HOST) && (scheme == "https" || is_local(host)))
}

/// Talks until the client leaves or the session ends. After the upgrade the layer commits nothing: this handle loads and saves.
async fn talk(mut socket: WebSocket, session: Session, pause: Duration) {
    let mut clock = tokio::time::interval(pause);
    let mut shown = None;
    let error = loop {
        let note = tokio::select! {
            message = socket.recv() => match message {
                Some(Ok(Message::Text(note))) => Some(note.to_string()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                _ => return,
            },
            // Whatever other tabs do is seen a pause later. That is not a use of the session, so it does not prolong it.
            _ = clock.tick() => None,
        };
        match exchange(&session, note).await {
            Ok(notes) if shown.as_ref() == Some(&notes) => {}
            Ok(notes) => {
                if socket.send(notes.clone().into()).await.is_err() {
                    return;
                }
                shown = Some(notes);
            }
            Err(error) => break error,
        }
    };
    let (code, reason): (CloseCode, _) = match error.kind() {
        ErrorKind::Gone => (close_code::POLICY, "signed out"),
        _ => (close_code::AGAIN, "try again later"),
    };
    // The client may have gone, too.
    drop(socket.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await);
}

/// Adds a note to the session as it is stored now, and returns all of them. It is `Gone` if the session has ended, here or elsewhere.
async fn exchange(session: &Session, note: Option<String>) -> Result<String, Error> {
    session.reload().await?;
    if let Some(note) = note {
        session.update(NOTES, move |notes| notes.push(note.clone()))?;
        // A save keeps the id, so there is no cookie to send. Only a login or a rotation changes it.
        let _: Commit = session.save().await?;
    }
    Ok(session.get(NOTES)?.unwrap_or_default().join("\n"))
}

/// Returns the application. A socket looks after `pause` whether its session has changed or ended.
pub(crate) async fn app(pause: Duration) -> Result<Router, Error> {
    let sessions = SessionLayer::new(Manager::new(store::connect("memory:").await?));
    let routes = Router::new()
        .route("/", get(page))
        .route("/notes", any(connect).with_state(pause))
        .route("/clear", post(clear))
        .route("/sign-in", post(sign_in))
        .route("/sign-out", post(sign_out));
    Ok(routes.layer(sessions).layer(CsrfLayer::new()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app(Duration::from_secs(5)).await?).await?)
}
