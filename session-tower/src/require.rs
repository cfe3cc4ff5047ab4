//! Layer that lets only certain sessions pass.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum_core::BoxError;
use axum_core::body::Body;
use axum_core::extract::FromRequestParts as _;
use axum_core::response::IntoResponse as _;
use http::header::{ACCEPT, CACHE_CONTROL, LOCATION, VARY, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::Body as HttpBody;
use session_core::Bytes;
use tower_layer::Layer;
use tower_service::Service;

use crate::{ErrorResponse, Session, way_back};

/// Returns a layer that lets every session pass, until its methods say what is required.
///
/// Add it inside of the [`SessionLayer`](crate::SessionLayer), to the routes that need it. It looks at the request's first session.
///
/// A request that does not pass is answered so:
///
/// | request | response |
/// |---|---|
/// | a navigation, if there is a [`redirect`](Require::redirect) | 303 to that page, for GET with the way back: [`Next`](crate::Next) |
/// | any other, without a signed-in user | 401 |
/// | any other, whose login is not [`fresh`](Require::fresh) | 401 with `insufficient_user_authentication` (RFC 9470) |
/// | any other, of a signed-in user whom [`when`](Require::when) refuses | 403 |
///
/// A navigation has `Sec-Fetch-Mode: navigate` or, without that header, `text/html` in `Accept`.
///
/// ```
/// use axum::{Router, routing::get};
/// use session_tower::{Manager, NullStore, SessionLayer, minutes, require};
///
/// let account = Router::new().route("/account", get(async || "…")).layer(require().login().redirect("/sign-in"));
/// let password = Router::new().route("/password", get(async || "…")).layer(require().fresh(minutes(5)).redirect("/sign-in"));
/// let admin = Router::new()
///     .route("/admin", get(async || "…"))
///     .layer(require().login().when(|session| session.get("role").ok().flatten() == Some("admin".to_owned())));
/// let app: Router = account.merge(password).merge(admin).layer(SessionLayer::new(Manager::new(NullStore)));
/// ```
pub fn require() -> Require {
    Require(Arc::new(Rules { login: false, fresh: None, when: Vec::new(), redirect: None }))
}

/// Layer that lets only certain sessions pass; see [`require`].
#[derive(Clone)]
#[must_use]
pub struct Require(Arc<Rules>);

#[derive(Clone)]
struct Rules {
    login: bool,
    fresh: Option<Duration>,
    when: Vec<Arc<Passes>>,
    redirect: Option<Box<str>>,
}

type Passes = dyn Fn(&Session) -> bool + Send + Sync;

/// What a session lacks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lack {
    User,
    Fresh(Duration),
    Right,
}

impl Require {
    /// Requires a signed-in user.
    ///
    /// ```
    /// let layer = session_tower::require().login();
    /// ```
    pub fn login(self) -> Self {
        self.with(|rules| rules.login = true)
    }

    /// Requires a signed-in user who has authenticated within the last `limit`, by
    /// [`auth_time`](session_core::Session::auth_time): for a page that changes a password, for example (OWASP ASVS 5.0, 7.5.1).
    ///
    /// ```
    /// use session_tower::{minutes, require};
    ///
    /// let layer = require().fresh(minutes(5)).redirect("/sign-in");
    /// ```
    pub fn fresh(self, limit: Duration) -> Self {
        self.with(|rules| rules.fresh = Some(limit))
    }

    /// Requires that `passes` returns `true` for the session. It can be called several times; then all must pass.
    ///
    /// ```
    /// let layer = session_tower::require().login().when(|session| session.contains("second-factor")).redirect("/second-factor");
    /// ```
    pub fn when(self, passes: impl Fn(&Session) -> bool + Send + Sync + 'static) -> Self {
        self.with(|rules| rules.when.push(Arc::new(passes)))
    }

    /// Sends navigations to `page`, such as `/sign-in`, instead of an error.
    ///
    /// The way back is added as the query parameter `next`, which the extractor [`Next`](crate::Next) reads and checks. A request for `page` itself is
    /// not sent there again.
    ///
    /// ```
    /// let layer = session_tower::require().login().redirect("/sign-in");
    /// ```
    ///
    /// # Panics
    /// If `page` is not visible ASCII, as in an address.
    pub fn redirect(self, page: &str) -> Self {
        assert!(page.bytes().all(|b| b.is_ascii_graphic()), "the page is an address: percent-encode it");
        self.with(|rules| rules.redirect = Some(page.into()))
    }

    fn with(mut self, change: impl FnOnce(&mut Rules)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

impl fmt::Debug for Require {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Require")
            .field("login", &self.0.login)
            .field("fresh", &self.0.fresh)
            .field("when", &self.0.when.len())
            .field("redirect", &self.0.redirect)
            .finish()
    }
}

impl<S> Layer<S> for Require {
    type Service = RequireService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequireService { inner, rules: self.0.clone() }
    }
}

/// Service wrapped by [`Require`].
#[derive(Clone)]
pub struct RequireService<S> {
    inner: S,
    rules: Arc<Rules>,
}

impl<S: fmt::Debug> fmt::Debug for RequireService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for RequireService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send,
    ReqBody: Send + 'static,
    ResBody: HttpBody<Data = Bytes> + Send + 'static,
    ResBody::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        // The service that is ready is used, and its clone takes its place.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let rules = self.rules.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let session = match Session::from_request_parts(&mut parts, &()).await {
                Ok(session) => session,
                Err(rejection) => return Ok(ErrorResponse::into_response(rejection)),
            };
            match rules.lack(&session) {
                Some(lack) => Ok(rules.refuse(lack, &parts)),
                None => Ok(inner.call(Request::from_parts(parts, body)).await?.map(Body::new)),
            }
        })
    }
}

impl Rules {
    fn lack(&self, session: &Session) -> Option<Lack> {
        let has_user = session.principal().is_some();
        if !has_user && (self.login || self.fresh.is_some()) {
            return Some(Lack::User);
        }
        if let Some(limit) = self.fresh {
            let age = session.auth_time().map(|at| session.now().since(at));
            if age.is_none_or(|age| age > limit) {
                return Some(Lack::Fresh(limit));
            }
        }
        match self.when.iter().all(|passes| passes(session)) {
            true => None,
            false if has_user => Some(Lack::Right),
            false => Some(Lack::User),
        }
    }

    /// Returns the response for a request that does not pass.
    fn refuse(&self, lack: Lack, parts: &Parts) -> Response<Body> {
        let page = self.redirect.as_deref().filter(|page| is_navigation(parts) && !way_back::is_for(parts, page));
        let mut response = match page.and_then(|page| HeaderValue::try_from(way_back::with_next(page, parts)).ok()) {
            Some(location) => (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response(),
            None => lack.into_response(),
        };
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.redirect.is_some() {
            headers.append(VARY, HeaderValue::from_static("Accept, Sec-Fetch-Mode"));
        }
        response
    }
}

impl Lack {
    fn into_response(self) -> Response<Body> {
        // A 401 names a scheme (RFC 9110, 15.5.2). Browsers ask for no password on seeing this one (RFC 6750).
        let (status, challenge, text) = match self {
            Self::User => (StatusCode::UNAUTHORIZED, Some("Bearer".to_owned()), "Please sign in."),
            Self::Fresh(limit) => {
                let challenge = format!(
                    "Bearer error=\"insufficient_user_authentication\", \
                     error_description=\"More recent authentication is required\", max_age=\"{}\"",
                    limit.as_secs()
                );
                (StatusCode::UNAUTHORIZED, Some(challenge), "Please sign in again.")
            }
            Self::Right => (StatusCode::FORBIDDEN, None, "This is not for you."),
        };
        let mut response = (status, text).into_response();
        if let Some(challenge) = challenge.and_then(|challenge| HeaderValue::try_from(challenge).ok()) {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Whether the browser shows the response as a page (W3C Fetch Metadata; browsers before 2023 only say that they accept HTML).
fn is_navigation(parts: &Parts) -> bool {
    match parts.headers.get(SEC_FETCH_MODE) {
        Some(mode) => mode == "navigate",
        None => parts.headers.get_all(ACCEPT).iter().any(|accept| {
            let types = accept.to_str().unwrap_or_default().split(',');
            types
                .map(|one| one.split(';').next().unwrap_or_default().trim())
                .any(|one| one.eq_ignore_ascii_case("text/html"))
        }),
    }
}
