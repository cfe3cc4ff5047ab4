//! The extractors.

use std::fmt;
use std::ops::Deref;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::HeaderValue;
use http::header::COOKIE;
use http::request::Parts;
use session_http::{CookieOptions, Exchange};

use crate::nested::{Current, SEC_FETCH_DEST, cookie_lines, note_destination};
use crate::{Error, Result};

/// The session of the request: extracting it loads it, and everything [`session_core::Session`] does is here by `Deref`.
///
/// It is the first session of the innermost [`SessionLayer`](crate::SessionLayer); [`Sessions`] has the others.
/// Without a cookie there is no round trip to the store, and without a write nothing is stored.
/// What was written is stored when the handler has returned, before the response's head leaves.
///
/// `Option<Session>` is `None` where no layer has seen the request. An outage is an error even then.
///
/// ```
/// use session_tower::{Result, Session};
///
/// async fn sign_in(session: Session) -> Result<&'static str> {
///     // ... after checking the password:
///     session.login("ann")?;
///     session.flash("notice", "Welcome back")?;
///     Ok("signed in")
/// }
///
/// async fn greet(session: Option<Session>) -> String {
///     match session.and_then(|session| session.principal()) {
///         Some(who) => format!("Hello {}", who.as_str()),
///         None => "Hello stranger".to_owned(),
///     }
/// }
/// # let _ = (axum::routing::get::<_, _, ()>(sign_in), axum::routing::get::<_, _, ()>(greet));
/// ```
///
/// # Rejections
///
/// [`Error`]: 503 if the store is down, never a blank session instead; 500 if there is no layer, with an explanation in the log.
#[derive(Clone)]
pub struct Session {
    session: session_core::Session,
    exchange: Exchange,
    name: Name,
}

/// Which of the exchange's sessions it is.
#[derive(Clone)]
enum Name {
    First,
    Other(Box<str>),
}

impl Session {
    /// Changes how this response sends the session's cookie, if it sends it: all but its name.
    ///
    /// A cookie on another path or domain is a second one beside the usual, and is to be cleared with the same options.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if browsers would reject the cookie; see [`CookieOptions`].
    pub fn set_cookie_options(&self, change: impl FnOnce(CookieOptions) -> CookieOptions) -> Result<()> {
        let name = match &self.name {
            Name::First => self.exchange.set().names().next().unwrap_or_default(),
            Name::Other(name) => name,
        };
        Ok(self.exchange.set_cookie_options(name, change)?)
    }
}

impl Deref for Session {
    type Target = session_core::Session;

    fn deref(&self) -> &Self::Target {
        &self.session
    }
}

impl Drop for Session {
    /// A panic in the handler commits nothing, even where a layer inside of ours makes a response of it.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.exchange.abandon();
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.session, f)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        let exchange = Current::of(&parts.extensions)?.exchange.clone();
        let session = exchange.open_first(cookie_lines(&parts.headers)).await?;
        note_destination(&exchange, &session, || parts.headers.get(SEC_FETCH_DEST));
        Ok(Self { session, exchange, name: Name::First })
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Session {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>> {
        if parts.extensions.get::<Current>().is_none() {
            return Ok(None);
        }
        <Self as FromRequestParts<S>>::from_request_parts(parts, state).await.map(Some)
    }
}

/// All sessions of the request, by logical name. Extracting it loads none; [`get`](Self::get) does.
///
/// ```
/// use session_tower::{Result, Sessions};
///
/// async fn checkout(sessions: Sessions) -> Result<String> {
///     let cart = sessions.get("cart").await?;
///     let items: Option<Vec<u32>> = cart.get("items")?;
///     Ok(format!("{} items", items.unwrap_or_default().len()))
/// }
/// # let _ = axum::routing::get::<_, _, ()>(checkout);
/// ```
#[derive(Clone)]
pub struct Sessions {
    current: Current,
    /// Reference-counted by `http`, so no bytes are copied.
    cookies: Box<[HeaderValue]>,
    destination: Option<HeaderValue>,
}

impl Sessions {
    /// The session `name`, loaded at the first call.
    ///
    /// Where layers are nested the innermost that has the name serves it.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if no layer has a session `name`; what the store says if it does not answer.
    pub async fn get(&self, name: &str) -> Result<Session> {
        let Some(exchange) = self.current.serving(name).cloned() else {
            tracing::error!(name, "no layer has this session");
            return Err(UNKNOWN_NAME);
        };
        let session = exchange.open(name, self.cookies.iter().map(HeaderValue::as_bytes)).await?;
        note_destination(&exchange, &session, || self.destination.as_ref());
        Ok(Session { session, exchange, name: Name::Other(name.into()) })
    }

    /// The logical names, those of the innermost layer first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.current.chain().flat_map(|layer| layer.exchange.set().names())
    }
}

const UNKNOWN_NAME: Error = Error::usage(
    "no `SessionLayer` around this handler has a session of that name: add it with `SessionLayerBuilder::session`",
);

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Sessions {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        let current = Current::of(&parts.extensions)?.clone();
        Ok(Self {
            current,
            cookies: parts.headers.get_all(COOKIE).into_iter().cloned().collect(),
            destination: parts.headers.get(SEC_FETCH_DEST).cloned(),
        })
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Sessions {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>> {
        if parts.extensions.get::<Current>().is_none() {
            return Ok(None);
        }
        <Self as FromRequestParts<S>>::from_request_parts(parts, state).await.map(Some)
    }
}
