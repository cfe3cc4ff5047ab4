//! Extractors for one session and for all sessions of a request.

use std::fmt;
use std::ops::Deref;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use session_core::{Error, ErrorKind};
use session_http::{CookieOptions, Exchange, Token};

use crate::context::RequestContext;
use crate::head::{Head, KeptHead};
use crate::{ErrorResponse, Result};

/// Session of the request, loaded when it is extracted.
///
/// Its methods are those of [`session_core::Session`], to which it dereferences. Functions of the application take `&Session`.
///
/// This is the first session of the innermost [`SessionLayer`](crate::SessionLayer). Use [`Sessions`] to get the others.
/// Extracting it needs no round trip to the store if the client sent no cookie.
/// Changes are stored after the handler has returned and before the response's head is sent. If nothing changed, nothing is stored.
///
/// `Option<Session>` is `None` only if no layer has seen the request. If the store is down, extracting it fails as well.
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
/// [`ErrorResponse`] with status 503 if the store is down: a blank session never takes the place of one that cannot be loaded.
/// Status 500 if there is no layer; the log says how to add it.
#[derive(Clone)]
pub struct Session {
    session: session_core::Session,
    exchange: Exchange,
    name: Name,
}

/// Name of a session in its exchange.
#[derive(Clone)]
pub(crate) enum Name {
    First,
    Other(Box<str>),
}

impl Session {
    pub(crate) fn new(session: session_core::Session, exchange: Exchange, name: Name) -> Self {
        Self { session, exchange, name }
    }

    /// Present instant, by the clock of the session's manager.
    pub(crate) fn now(&self) -> session_core::Timestamp {
        let manager = self.exchange.set().manager(self.logical_name());
        manager.map_or(session_core::Timestamp::MAX, session_core::Manager::now)
    }

    fn logical_name(&self) -> &str {
        match &self.name {
            Name::First => self.exchange.set().names().next().unwrap_or_default(),
            Name::Other(name) => name,
        }
    }

    /// Stores the session and returns the value that opens it, for a client that keeps it itself, such as a native application.
    ///
    /// The client sends it by a [`Transport`](crate::Transport) of the layer. The response sends this value in no header as well.
    /// It is a secret: put it into the body of a response over TLS, and never into an address.
    ///
    /// ```
    /// use session_tower::{Result, Session};
    ///
    /// async fn sign_in(session: Session) -> Result<String> {
    ///     // ... after checking the password:
    ///     session.login("ann")?;
    ///     Ok(session.token().await?.into_string())
    /// }
    /// # let _ = axum::routing::post::<_, _, ()>(sign_in);
    /// ```
    ///
    /// # Errors
    /// The errors of [`save`](session_core::Session::save), and [`ErrorKind::Other`](crate::ErrorKind::Other) if nothing was written
    /// to the session, or the request is [quiet](session_core::Session::keep_expiry).
    pub async fn token(&self) -> Result<Token, Error> {
        self.exchange.token(self.logical_name()).await
    }

    /// Changes the cookie's options for this response only. It has no effect if the response sends no cookie.
    ///
    /// Every option can change except the cookie's name. A cookie on another path or domain is a second cookie beside the usual one.
    /// Use the same options again to clear it.
    ///
    /// ```
    /// use session_tower::{CookieOptions, Result, Session};
    ///
    /// async fn sign_in(session: Session) -> Result<&'static str> {
    ///     session.login("ann")?;
    ///     session.set_cookie_options(CookieOptions::persistent)?; // Ann wants to be remembered
    ///     Ok("signed in")
    /// }
    /// # let _ = axum::routing::get::<_, _, ()>(sign_in);
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if browsers would reject the cookie; see [`CookieOptions`].
    pub fn set_cookie_options(&self, change: impl FnOnce(CookieOptions) -> CookieOptions) -> Result<(), Error> {
        self.exchange.set_cookie_options(self.logical_name(), change)
    }
}

impl Deref for Session {
    type Target = session_core::Session;

    fn deref(&self) -> &Self::Target {
        &self.session
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.session, f)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        let exchange = RequestContext::of(&parts.extensions)?.exchange.clone();
        let session = exchange.open_first(Head(parts)).await?;
        Ok(Self::new(session, exchange, Name::First))
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Session {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>> {
        if parts.extensions.get::<RequestContext>().is_none() {
            return Ok(None);
        }
        <Self as FromRequestParts<S>>::from_request_parts(parts, state).await.map(Some)
    }
}

/// All sessions of the request, by logical name. Extracting it loads nothing; [`get`](Self::get) loads a session.
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
    context: RequestContext,
    head: KeptHead,
}

impl Sessions {
    /// Returns the session `name`, which the first call loads.
    ///
    /// If layers are nested, the innermost layer with a session of this name serves it.
    ///
    /// ```
    /// use session_tower::{Result, Sessions};
    ///
    /// async fn panel(sessions: Sessions) -> Result<String> {
    ///     let admin = sessions.get("admin").await?;
    ///     Ok(format!("signed in: {}", admin.principal().is_some()))
    /// }
    /// # let _ = axum::routing::get::<_, _, ()>(panel);
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if no layer has a session `name`, or the store's error if loading fails.
    pub async fn get(&self, name: &str) -> Result<Session, Error> {
        let Some(exchange) = self.context.serving(name).cloned() else {
            tracing::error!(name, "no layer has this session");
            return Err(UNKNOWN_NAME);
        };
        let session = exchange.open(name, &self.head).await?;
        Ok(Session::new(session, exchange, Name::Other(name.into())))
    }

    /// Logical names of all sessions, starting with the innermost layer.
    ///
    /// ```
    /// use session_tower::Sessions;
    ///
    /// async fn list(sessions: Sessions) -> String {
    ///     sessions.names().collect::<Vec<_>>().join(", ") // such as `id, admin`
    /// }
    /// # let _ = axum::routing::get::<_, _, ()>(list);
    /// ```
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.context.chain().flat_map(|layer| layer.exchange.set().names())
    }
}

const UNKNOWN_NAME: Error = Error::fixed(
    ErrorKind::Config,
    "no `SessionLayer` of the request has a session of this name: add it with `SessionLayerBuilder::session`",
);

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Sessions {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        let context = RequestContext::of(&parts.extensions)?.clone();
        // Later only a part of the head is there, so all that it tells is noted now.
        context.chain().for_each(|layer| layer.exchange.describe(&Head(parts)));
        let transports = context.chain().flat_map(|layer| layer.exchange.set().transports().iter().copied());
        let head = KeptHead::of(parts, transports);
        Ok(Self { context, head })
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Sessions {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>> {
        if parts.extensions.get::<RequestContext>().is_none() {
            return Ok(None);
        }
        <Self as FromRequestParts<S>>::from_request_parts(parts, state).await.map(Some)
    }
}
