//! Session layer and its builder.

use std::fmt;
use std::sync::Arc;

use axum_core::response::IntoResponse;
use session_core::{Manager, Result};
use session_http::{CookieOptions, SessionSet, SessionSetBuilder, Transport};
use tower_layer::Layer;

use crate::config::{CommitWhen, Config, CookieFor, OnError};
use crate::drain::Drain;
use crate::{ErrorResponse, SessionService};

/// Layer that gives handlers access to one or more named sessions and commits them.
///
/// Call `.layer(sessions)` after adding the routes and the layers that use a session, because in axum the layer added last runs first.
/// All clones count as the same layer. If a request passes through the same layer twice, the outer one commits.
///
/// ```
/// use session_tower::{CookieOptions, Manager, NullStore, SameSite, SessionLayer, hours};
///
/// let sessions = SessionLayer::builder()
///     .session(Manager::new(NullStore), CookieOptions::new())
///     .session(
///         Manager::builder(NullStore).name("admin").absolute(hours(8)).build()?,
///         CookieOptions::new().same_site(SameSite::Strict),
///     )
///     .build()?;
/// let app: axum::Router = axum::Router::new().layer(sessions);
/// # Ok::<(), session_tower::Error>(())
/// ```
#[derive(Clone)]
pub struct SessionLayer {
    pub(crate) config: Arc<Config>,
}

impl SessionLayer {
    /// Creates a layer for one session with the default cookie.
    ///
    /// The cookie's name is `__Host-` followed by the manager's name.
    ///
    /// ```
    /// use session_tower::{Manager, NullStore, SessionLayer};
    ///
    /// let sessions = SessionLayer::new(Manager::new(NullStore));
    /// let app: axum::Router = axum::Router::new().layer(sessions); // after the routes
    /// ```
    pub fn new(manager: Manager) -> Self {
        let one = Self::builder().session(manager, CookieOptions::new());
        one.build().expect("every logical name makes a valid default cookie")
    }

    /// Returns a builder. Add at least one [`session`](SessionLayerBuilder::session).
    ///
    /// ```
    /// use session_tower::{CookieOptions, Manager, NullStore, SessionLayer};
    ///
    /// let sessions = SessionLayer::builder()
    ///     .session(Manager::new(NullStore), CookieOptions::new().persistent())
    ///     .build()?;
    /// # Ok::<(), session_tower::Error>(())
    /// ```
    pub fn builder() -> SessionLayerBuilder {
        SessionLayerBuilder { set: SessionSet::builder(), on_error: None, commit_when: None, cookie_for: None }
    }

    /// Manager of the session `name`, or `None` if the layer has no such session.
    ///
    /// ```
    /// use session_tower::{Manager, NullStore, SessionLayer};
    ///
    /// let sessions = SessionLayer::new(Manager::new(NullStore));
    /// let manager = sessions.manager("id").expect("it is the default name");
    /// assert_eq!(manager.name(), "id");
    /// assert!(sessions.manager("admin").is_none());
    /// ```
    pub fn manager(&self, name: &str) -> Option<&Manager> {
        self.config.set.manager(name)
    }

    /// Waits until no commit of this layer or its clones is in flight.
    ///
    /// A commit runs to its end in its own task if the client disconnects meanwhile. The server then no longer waits for it, so a process
    /// that ends would cut it off. Call this after the server has stopped and before the store is closed.
    /// A layer that is still in use may become idle and start again.
    ///
    /// ```no_run
    /// use session_tower::{Manager, NullStore, SessionLayer};
    ///
    /// # async fn serve(listener: tokio::net::TcpListener, stop: std::future::Ready<()>) -> std::io::Result<()> {
    /// let manager = Manager::new(NullStore);
    /// let sessions = SessionLayer::new(manager.clone());
    /// let app: axum::Router = axum::Router::new().layer(sessions.clone());
    /// axum::serve(listener, app).with_graceful_shutdown(stop).await?;
    /// sessions.drained().await;
    /// manager.store().close().await.map_err(std::io::Error::other)
    /// # }
    /// ```
    pub async fn drained(&self) {
        self.config.drain.drained().await;
    }

    pub(crate) fn set(&self) -> &SessionSet {
        &self.config.set
    }
}

impl fmt::Debug for SessionLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionLayer").field(&self.config.set).finish()
    }
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService::new(inner, self.config.clone())
    }
}

/// Builds a [`SessionLayer`].
#[must_use]
pub struct SessionLayerBuilder {
    set: SessionSetBuilder,
    on_error: Option<OnError>,
    commit_when: Option<CommitWhen>,
    cookie_for: Option<CookieFor>,
}

impl SessionLayerBuilder {
    /// Adds a session under the manager's logical name.
    ///
    /// The extractor [`Session`](crate::Session) returns the session that was added first.
    ///
    /// ```
    /// use session_tower::{CookieOptions, Manager, NullStore, SessionLayer, days};
    ///
    /// let carts = Manager::builder(NullStore).name("cart").idle(days(30)).absolute(days(90)).build()?;
    /// let sessions = SessionLayer::builder()
    ///     .session(Manager::new(NullStore), CookieOptions::new())
    ///     .session(carts, CookieOptions::new().persistent())
    ///     .build()?;
    /// # Ok::<(), session_tower::Error>(())
    /// ```
    pub fn session(mut self, manager: Manager, options: CookieOptions) -> Self {
        self.set = self.set.session(manager, options);
        self
    }

    /// Sets how clients send the value of the first session: in its cookie, in a header or as a bearer token. The default is the cookie.
    ///
    /// The first call replaces the default, each further call adds a transport. A header that a request has excludes the cookie, even if
    /// its value is bad. A new value goes out in the way in which the old one came: in `Set-Cookie` or in the response header that
    /// [`Transport`] names. A handler can also return it: [`Session::token`](crate::Session::token).
    /// Scripts of other origins see the response header only if CORS exposes it. A value in a query is never read.
    ///
    /// ```
    /// # use session_tower::{CookieOptions, Manager, NullStore, SessionLayer, Transport};
    /// let api = SessionLayer::builder()
    ///     .session(Manager::new(NullStore), CookieOptions::new())
    ///     .transport(Transport::Bearer)
    ///     .build()?;
    /// # Ok::<(), session_tower::Error>(())
    /// ```
    pub fn transport(mut self, transport: Transport) -> Self {
        self.set = self.set.transport(transport);
        self
    }

    /// Sets the page for sessions that could not be loaded or stored, and for handlers that return [`ErrorResponse`].
    ///
    /// `page` gets the error and the head of the request, as it was when it reached the layer.
    /// It chooses its own status; [`ErrorResponse::status`] is the status of the default response. The layer adds
    /// `Cache-Control: no-store` and the cookies of the sessions that were stored. The error is already in the log.
    ///
    /// The page takes the place of the handler's response. Headers of inner layers stay, such as `Set-Cookie` and those of CORS, unless
    /// they describe the body: `Content-*`, `ETag`, `Last-Modified`, `Location`, `Refresh`, `Accept-Ranges`, `Transfer-Encoding`,
    /// `Trailer` and digests. `Content-Security-Policy` stays as well.
    ///
    /// ```
    /// # use session_tower::{CookieOptions, Manager, NullStore, SessionLayer};
    /// let sessions = SessionLayer::builder()
    ///     .session(Manager::new(NullStore), CookieOptions::new())
    ///     .on_error(|error, request| {
    ///         let text = if request.uri.path().starts_with("/api/") { "{}" } else { "<h1>Please come back in a minute</h1>" };
    ///         (error.status(), axum::response::Html(text))
    ///     })
    ///     .build()?;
    /// # Ok::<(), session_tower::Error>(())
    /// ```
    pub fn on_error<R: IntoResponse>(
        mut self,
        page: impl Fn(&ErrorResponse, &http::request::Parts) -> R + Send + Sync + 'static,
    ) -> Self {
        self.on_error = Some(Box::new(move |error, request| page(error, request).into_response()));
        self
    }

    /// Stores changes only if `wanted` returns `true` for the heads of the request and of the response.
    ///
    /// By default changes are stored unless the status is 5xx or 408, because a handler that failed must not sign anyone in
    /// (RFC 9110, 15.6 and 15.5.9). Only the status counts: a handler that returns an `Err` with status 422 is committed.
    /// A layer inside of this one that turns a panic into a response answers 500, so the changes are dropped.
    ///
    /// If changes are dropped, one warning event says so. Three things are not undone:
    ///
    /// - A logout ends the session, whatever the status.
    /// - What the handler [saved](session_core::Session::save) explicitly stays stored, and its cookie is sent.
    /// - A flash message that was shown on the error page is shown again on the next page.
    ///
    /// ```
    /// # use session_tower::{CookieOptions, Manager, NullStore, SessionLayer};
    /// let sessions = SessionLayer::builder()
    ///     .session(Manager::new(NullStore), CookieOptions::new())
    ///     .commit_when(|request, response| request.uri.path() != "/health" && response.status.is_success())
    ///     .build()?;
    /// # Ok::<(), session_tower::Error>(())
    /// ```
    pub fn commit_when(
        mut self,
        wanted: impl Fn(&http::request::Parts, &http::response::Parts) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.commit_when = Some(Box::new(wanted));
        self
    }

    /// Chooses the options of each session's cookie for each request, such as by its host, client or path.
    ///
    /// `choose` gets the request's head and the session's options, and returns those for this request. It is called when the request
    /// arrives, for each session of the layer. It loads nothing, so a request that uses no session stays as it is.
    /// Every option can change except the cookie's name. A handler may change them again with
    /// [`set_cookie_options`](crate::Session::set_cookie_options).
    /// For requests by plain HTTP, use [`CookieOptions::secure_when`].
    ///
    /// If browsers would reject the cookie, the sessions of the request are refused as [`ErrorKind::Config`](crate::ErrorKind::Config).
    ///
    /// ```
    /// # use session_tower::{CookieOptions, Manager, NullStore, SameSite, SessionLayer};
    /// let sessions = SessionLayer::builder()
    ///     .session(Manager::new(NullStore), CookieOptions::new())
    ///     .cookie_for(|request, options| {
    ///         let embedded = request.uri.path().starts_with("/widget/");
    ///         if embedded { options.same_site(SameSite::None).partitioned(true) } else { options }
    ///     })
    ///     .build()?;
    /// # Ok::<(), session_tower::Error>(())
    /// ```
    pub fn cookie_for(
        mut self,
        choose: impl Fn(&http::request::Parts, CookieOptions) -> CookieOptions + Send + Sync + 'static,
    ) -> Self {
        self.cookie_for = Some(Box::new(choose));
        self
    }

    /// Checks the sessions and their cookies, and builds the layer.
    ///
    /// ```
    /// use session_tower::{CookieOptions, ErrorKind, Manager, NullStore, SessionLayer};
    ///
    /// let layer = SessionLayer::builder().session(Manager::new(NullStore), CookieOptions::new().path("/app"));
    /// let error = layer.build().unwrap_err(); // browsers drop a `__Host-` cookie with another path than `/`
    /// assert_eq!(error.kind(), ErrorKind::Config);
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if there is no session, if two have the same logical name or cookie, or if
    /// browsers would reject a cookie; see [`CookieOptions`].
    pub fn build(self) -> Result<SessionLayer> {
        let config = Config {
            set: self.set.build()?,
            on_error: self.on_error,
            commit_when: self.commit_when,
            cookie_for: self.cookie_for,
            drain: Drain::default(),
        };
        Ok(SessionLayer { config: Arc::new(config) })
    }
}

impl fmt::Debug for SessionLayerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayerBuilder")
            .field("set", &self.set)
            .field("on_error", &self.on_error.is_some())
            .field("commit_when", &self.commit_when.is_some())
            .field("cookie_for", &self.cookie_for.is_some())
            .finish()
    }
}
