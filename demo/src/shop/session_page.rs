//! Page that shows users their own session.

use axum::extract::State;
use axum::response::Redirect;
use session_tower::{Opened, Result, Session, Timestamp};

use super::page::{Frame, Page, redirect};
use crate::serve::Served;
use crate::words;

#[derive(askama::Template)]
#[template(path = "session.html")]
pub(super) struct SessionPage {
    frame: Frame,
    opened: &'static str,
    /// The handle that operators see; `None` while nothing is stored.
    handle: Option<String>,
    created: String,
    expires: String,
    signed_in: Option<String>,
    label: Option<String>,
    persistent: bool,
    store: String,
    abilities: Vec<&'static str>,
    values: Vec<(String, String)>,
}

pub(super) async fn show(State(served): State<Served>, session: Session) -> Result<Page<SessionPage>> {
    let now = served.manager.now();
    let when = |at: Timestamp| format!("{} ({})", words::instant(at), words::seen_from(now, at));
    // Read before the frame takes its messages, so that they are shown, too.
    let mut values = Vec::new();
    for key in session.keys() {
        let value = session.peek::<Box<serde_json::value::RawValue>>(&key)?;
        values.push((key, value.map(|value| value.get().to_owned()).unwrap_or_default()));
    }
    let can = served.place.store.capabilities();
    let abilities = [
        (can.durable, "outlives the program"),
        (can.shared, "is shared by several programs"),
        (can.by_principal, "knows where you are signed in"),
        (can.scan, "can be listed by an operator"),
    ];
    Ok(Page(SessionPage {
        opened: opened(session.opened()),
        handle: session.handle().map(|handle| format!("{}…", &handle.to_string()[..12])),
        created: when(session.created_at()),
        expires: when(session.expires_at()),
        signed_in: session.auth_time().map(when),
        label: session.label(),
        persistent: session.is_persistent(),
        store: served.place.name,
        abilities: abilities.into_iter().filter_map(|(can, what)| can.then_some(what)).collect(),
        values,
        frame: Frame::of(&session, "session")?,
    }))
}

const fn opened(opened: Opened) -> &'static str {
    match opened {
        Opened::New => "new: your browser sent no cookie",
        Opened::Resumed => "resumed: found in the store by your cookie",
        Opened::Unknown => "new: your cookie's session has expired or never was",
        Opened::Expired => "new: yours had reached its absolute time limit",
        Opened::Undecodable => "new: your cookie is no session id",
        Opened::Moved => "moved: it goes on under another id",
        Opened::Ended => "ended: you signed out a moment ago",
        _ => "new",
    }
}

pub(super) async fn new_id(session: Session) -> Result<Redirect> {
    if session.is_new() {
        return redirect(&session, "/session", "Nothing was stored before, so the id is new anyway.");
    }
    session.rotate()?;
    redirect(&session, "/session", "The session has a new id. The old one opens nothing any more.")
}

/// Ends the session. Nothing is written afterwards, so the cookie is cleared and nothing is stored.
pub(super) async fn end(session: Session) -> Redirect {
    session.logout();
    Redirect::to("/session")
}
