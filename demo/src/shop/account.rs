//! Signing in and out, and ending a user's other sessions.

use axum::Form;
use axum::extract::State;
use axum::http::header::{HeaderMap, USER_AGENT};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use session_tower::{ErrorKind, Handle, Manager, Result, Session, SessionInfo};

use super::cart::tins_in_cart;
use crate::app_state::AppState;
use crate::format;
use crate::page::{Frame, Page, redirect};

/// Maximum length of a name, in characters, so that it fits into the page's header.
const LONGEST_NAME: usize = 40;

#[derive(askama::Template)]
#[template(path = "sign_in.html")]
pub(super) struct SignInPage {
    frame: Frame,
}

pub(super) async fn sign_in_page(session: Session) -> Result<Response> {
    if session.principal().is_some() {
        return Ok(Redirect::to("/account").into_response());
    }
    Ok(Page(SignInPage { frame: Frame::of(&session, "account", tins_in_cart(&session)?)? }).into_response())
}

#[derive(Debug, Deserialize)]
pub(super) struct SignInForm {
    name: String,
    /// Present if the box is checked.
    remember: Option<String>,
}

pub(super) async fn sign_in(session: Session, headers: HeaderMap, Form(form): Form<SignInForm>) -> Result<Redirect> {
    let name = form.name.trim();
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        return redirect(&session, "/sign-in", "Please give a name of 1 to 40 characters.");
    }
    session.login(name)?;
    let user_agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    session.set_label(&format::browser(user_agent))?;
    if form.remember.is_some() {
        session.remember()?;
    }
    redirect(&session, "/", &format!("Welcome, {name}!"))
}

/// Signs out. The notice is written after the logout, so it starts a fresh session.
pub(super) async fn sign_out(session: Session) -> Result<Redirect> {
    session.logout();
    redirect(&session, "/", "You are signed out. See you soon!")
}

#[derive(askama::Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: Frame,
    /// `None` if the store cannot list a user's sessions.
    devices: Option<Vec<Device>>,
}

impl AccountPage {
    fn others(&self) -> bool {
        self.devices.as_ref().is_some_and(|devices| devices.iter().any(|device| !device.current))
    }
}

/// A session of the user, as listed on the page.
struct Device {
    handle: String,
    label: String,
    since: String,
    until: String,
    current: bool,
}

impl Device {
    fn new(manager: &Manager, info: SessionInfo) -> Self {
        Self {
            handle: info.handle.to_string(),
            label: info.label.unwrap_or_else(|| "A program".into()),
            since: format::seen_from(manager.now(), info.auth_time.unwrap_or(info.created_at)),
            until: format::seen_from(manager.now(), info.expires_at),
            current: info.current,
        }
    }
}

pub(super) async fn show(State(app): State<AppState>, session: Session) -> Result<Response> {
    if session.principal().is_none() {
        return Ok(Redirect::to("/sign-in").into_response());
    }
    let devices = match session.sessions().await {
        Ok(list) => Some(list.into_iter().map(|info| Device::new(&app.manager, info)).collect()),
        Err(error) if error.kind() == ErrorKind::Unsupported => None,
        Err(error) => return Err(error.into()),
    };
    Ok(Page(AccountPage { frame: Frame::of(&session, "account", tins_in_cart(&session)?)?, devices }).into_response())
}

#[derive(Debug, Deserialize)]
pub(super) struct EndForm {
    handle: String,
}

pub(super) async fn end_one(
    State(app): State<AppState>,
    session: Session,
    Form(form): Form<EndForm>,
) -> Result<Redirect> {
    let Some(principal) = session.principal() else { return Ok(Redirect::to("/sign-in")) };
    let Ok(handle) = form.handle.parse::<Handle>() else {
        return redirect(&session, "/account", "There is no such session.");
    };
    if session.handle() == Some(handle) {
        return sign_out(session).await;
    }
    // `revoke` checks that the session is this user's, because the handle comes from the client.
    let notice = if app.manager.revoke(&principal, &handle).await? {
        "That session is signed out."
    } else {
        "That session was over already."
    };
    redirect(&session, "/account", notice)
}

pub(super) async fn end_others(session: Session) -> Result<Redirect> {
    if session.principal().is_none() {
        return Ok(Redirect::to("/sign-in"));
    }
    let notice = match session.revoke_others().await? {
        0 => "You are signed in nowhere else.".to_owned(),
        1 => "One other session is signed out.".to_owned(),
        n => format!("{n} other sessions are signed out."),
    };
    redirect(&session, "/account", &notice)
}
