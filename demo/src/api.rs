//! JSON interface to the shop's sessions, for scripts.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use session_tower::{ErrorKind, ErrorResponse, Opened, Principal, Result, Session};

use crate::app_state::AppState;
use crate::error_page;

/// Maximum of `?hold=`, in milliseconds.
const LONGEST_HOLD: u64 = 5_000;

pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/session", get(session))
        .route("/api/counter", post(counter))
        .route("/api/values/{key}", get(value).post(put).delete(remove))
        .route("/api/login", post(login))
        .route("/api/logout", post(logout))
        .route("/healthz", get(|| async { "ok" }))
}

/// Returns the answer to a script for a session error.
pub(crate) fn failed(error: &ErrorResponse) -> Response {
    let text = match error.kind() {
        ErrorKind::TooLarge => "too large for a session",
        ErrorKind::Conflict => "another request was faster",
        ErrorKind::Gone => "the session has ended or moved",
        ErrorKind::Unavailable => "the session store is unavailable",
        ErrorKind::Unsupported => "this session store cannot do that",
        _ => "internal error",
    };
    refused(error_page::status(error), text)
}

fn refused(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "error": text }))).into_response()
}

#[derive(Serialize)]
struct About {
    is_new: bool,
    opened: String,
    principal: Option<String>,
    values: BTreeMap<String, Box<RawValue>>,
    store: String,
}

async fn session(State(app): State<AppState>, session: Session) -> Result<Json<About>> {
    let mut values = BTreeMap::new();
    for key in session.keys() {
        if let Some(value) = session.peek(&key)? {
            values.insert(key, value);
        }
    }
    Ok(Json(About {
        is_new: session.opened() != Opened::Resumed,
        opened: format!("{:?}", session.opened()).to_lowercase(),
        principal: session.principal().map(|principal| principal.as_str().to_owned()),
        values,
        store: app.sessions.name,
    }))
}

#[derive(Deserialize)]
struct Hold {
    #[serde(default)]
    hold: u64,
}

/// Adds one to `visits`.
///
/// The body is ignored, but read after the session. So a client that sends `Expect: 100-continue` learns when the session has
/// been loaded, and can place other requests between loading and saving.
async fn counter(Query(Hold { hold }): Query<Hold>, session: Session, _body: Bytes) -> Result<Response> {
    if hold > LONGEST_HOLD {
        return Ok(refused(StatusCode::BAD_REQUEST, "hold is at most 5000"));
    }
    tokio::time::sleep(Duration::from_millis(hold)).await;
    let visits = session.update("visits", |visits: &mut u64| *visits = visits.saturating_add(1))?;
    // Saved here rather than by the layer, so that the answer is the stored value even if other requests were faster.
    // The layer sends the cookie of this save, too.
    let _ = session.save().await?;
    let stored = session.peek("visits")?.unwrap_or(visits);
    Ok(Json(json!({ "visits": stored })).into_response())
}

async fn value(Path(key): Path<String>, session: Session) -> Result<Response> {
    Ok(match session.peek::<Box<RawValue>>(&key)? {
        Some(value) => Json(value).into_response(),
        None => refused(StatusCode::NOT_FOUND, "no such value"),
    })
}

async fn put(Path(key): Path<String>, session: Session, body: Bytes) -> Result<Response> {
    let Ok(value) = serde_json::from_slice::<Box<RawValue>>(&body) else {
        return Ok(refused(StatusCode::BAD_REQUEST, "the body is no JSON"));
    };
    session.insert(&key, &value)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn remove(Path(key): Path<String>, session: Session) -> Result<Response> {
    // Looked up by `peek`, so that a concurrent change of the value is no conflict: the value is removed in any case.
    if session.peek::<Box<RawValue>>(&key)?.is_none() {
        return Ok(refused(StatusCode::NOT_FOUND, "no such value"));
    }
    session.remove(&key)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize)]
struct Login {
    user: String,
}

async fn login(session: Session, body: Bytes) -> Result<Response> {
    let Ok(Login { user }) = serde_json::from_slice(&body) else {
        return Ok(refused(StatusCode::BAD_REQUEST, "the body is not {\"user\": \"…\"}"));
    };
    let Ok(principal) = Principal::new(&user) else {
        return Ok(refused(StatusCode::BAD_REQUEST, "a user's name has 1 to 255 bytes and no NUL"));
    };
    session.login(principal.as_str())?;
    Ok(Json(json!({ "principal": user })).into_response())
}

async fn logout(session: Session) -> Response {
    session.logout();
    Json(json!({ "principal": null })).into_response()
}
