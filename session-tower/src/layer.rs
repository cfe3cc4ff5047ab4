//! The layer and what can be set on it.

use std::fmt;
use std::sync::Arc;

use axum_core::response::{IntoResponse, Response};
use session_core::Manager;
use session_http::{CookieOptions, SessionSet, SessionSetBuilder};
use tower_layer::Layer;

use crate::{Error, Result, SessionService};

/// Serves one or several named sessions to the handlers beneath it.
///
/// Of axum's layers the one added last runs first: add it below the routes and below the layers that use a session.
/// Clones are the same layer. Where a request passes the same one twice, the outer one does the work.
///
/// ```
/// use session_core::NullStore; // any store
/// use session_tower::{CookieOptions, Manager, SameSite, SessionLayer, hours};
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

pub(crate) struct Config {
    pub(crate) set: SessionSet,
    pub(crate) on_error: Option<OnError>,
    pub(crate) commit_when: Option<CommitWhen>,
}

type OnError = Box<dyn Fn(&Error) -> Response + Send + Sync>;
type CommitWhen = Box<dyn Fn(&http::response::Parts) -> bool + Send + Sync>;

impl SessionLayer {
    /// One session with the default cookie, which is called `__Host-` and the manager's name.
    pub fn new(manager: Manager) -> Self {
        let one = Self::builder().session(manager, CookieOptions::new());
        one.build().expect("every logical name makes a valid default cookie")
    }

    /// Begins a layer; at least one [`session`](SessionLayerBuilder::session) is to be added.
    pub fn builder() -> SessionLayerBuilder {
        SessionLayerBuilder { set: SessionSet::builder(), on_error: None, commit_when: None }
    }

    /// The sessions it serves.
    pub fn set(&self) -> &SessionSet {
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
    /// Adds a session, by the manager's logical name. The first is what the extractor [`Session`](crate::Session) gives.
    pub fn session(mut self, manager: Manager, options: CookieOptions) -> Self {
        self.set = self.set.session(manager, options);
        self
    }

    /// Shows a page of the application's own when a session could not be loaded or stored, and when a handler returns [`Error`].
    ///
    /// The status is the page's own; [`Error::status`] is what it would have been. Cookies of sessions that were stored and
    /// `Cache-Control: no-store` are added to it. The error has been logged already.
    ///
    /// ```
    /// # use session_core::NullStore;
    /// # use session_tower::{CookieOptions, Manager, SessionLayer};
    /// let sessions = SessionLayer::builder()
    ///     .session(Manager::new(NullStore), CookieOptions::new())
    ///     .on_error(|error| (error.status(), axum::response::Html("<h1>Please come back in a minute</h1>")))
    ///     .build()?;
    /// # Ok::<(), session_tower::Error>(())
    /// ```
    pub fn on_error<R: IntoResponse>(mut self, page: impl Fn(&Error) -> R + Send + Sync + 'static) -> Self {
        self.on_error = Some(Box::new(move |error| page(error).into_response()));
        self
    }

    /// Stores what changed only if `wanted` says so of the response's head. Without it everything is stored, whatever the status.
    ///
    /// What is not wanted is forgotten; what the handler saved itself stays saved.
    ///
    /// ```
    /// # use session_core::NullStore;
    /// # use session_tower::{CookieOptions, Manager, SessionLayer};
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

    /// Checks it all.
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
