//! Session layer and its builder.

use std::fmt;
use std::sync::Arc;

use axum_core::response::IntoResponse;
use session_core::{Manager, Result};
use session_http::{CookieOptions, SessionSet, SessionSetBuilder};
use tower_layer::Layer;

use crate::service::{CommitWhen, Config, OnError};
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
        SessionLayerBuilder { set: SessionSet::builder(), on_error: None, commit_when: None }
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

    /// Sets the page for sessions that could not be loaded or stored, and for handlers that return [`ErrorResponse`].
    ///
    /// The page chooses its own status; [`ErrorResponse::status`] is the status of the default response. The layer adds
    /// `Cache-Control: no-store` and the cookies of the sessions that were stored. The error is already in the log.
    ///
    /// ```
    /// # use session_tower::{CookieOptions, Manager, NullStore, SessionLayer};
    /// let sessions = SessionLayer::builder()
    ///     .session(Manager::new(NullStore), CookieOptions::new())
    ///     .on_error(|error| (error.status(), axum::response::Html("<h1>Please come back in a minute</h1>")))
    ///     .build()?;
    /// # Ok::<(), session_tower::Error>(())
    /// ```
    pub fn on_error<R: IntoResponse>(mut self, page: impl Fn(&ErrorResponse) -> R + Send + Sync + 'static) -> Self {
        self.on_error = Some(Box::new(move |error| page(error).into_response()));
        self
    }

    /// Stores changes only if `wanted` returns `true` for the response's head. By default they are stored whatever the status.
    ///
    /// If `wanted` returns `false`, the changes are dropped. Changes that the handler saved explicitly stay stored, and a logout still
    /// ends the session.
    ///
    /// ```
    /// # use session_tower::{CookieOptions, Manager, NullStore, SessionLayer};
    /// let sessions = SessionLayer::builder()
    ///     .session(Manager::new(NullStore), CookieOptions::new())
    ///     .commit_when(|head| !head.status.is_server_error())
    ///     .build()?;
    /// # Ok::<(), session_tower::Error>(())
    /// ```
    pub fn commit_when(mut self, wanted: impl Fn(&http::response::Parts) -> bool + Send + Sync + 'static) -> Self {
        self.commit_when = Some(Box::new(wanted));
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
        let config = Config { set: self.set.build()?, on_error: self.on_error, commit_when: self.commit_when };
        Ok(SessionLayer { config: Arc::new(config) })
    }
}

impl fmt::Debug for SessionLayerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayerBuilder")
            .field("set", &self.set)
            .field("on_error", &self.on_error.is_some())
            .field("commit_when", &self.commit_when.is_some())
            .finish()
    }
}
