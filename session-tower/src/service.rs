//! Service that passes a request to the handler and commits its sessions afterwards.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum_core::BoxError;
use axum_core::body::Body;
use http::{Request, Response, StatusCode, request, response};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use session_core::Bytes;
use session_http::{CookieOptions, Exchange, SessionSet};
use tower_service::Service;

use crate::context::{RequestContext, mark_cookies};
use crate::detached::{DetachedCommit, Uncommitted};
use crate::drain::Drain;
use crate::head::Head;
use crate::{ErrorResponse, finish};

/// Settings of a layer, shared by its services.
pub(crate) struct Config {
    pub(crate) set: SessionSet,
    pub(crate) on_error: Option<OnError>,
    pub(crate) commit_when: Option<CommitWhen>,
    pub(crate) cookie_for: Option<CookieFor>,
    pub(crate) drain: Drain,
}

impl Config {
    /// Whether a function of the application sees the request when its response is there.
    fn sees_request(&self) -> bool {
        self.commit_when.is_some() || self.on_error.is_some()
    }

    /// Applies the application's cookie options for this request. Nothing is loaded for that.
    fn choose_cookies(&self, head: &request::Parts, exchange: &Exchange) {
        let Some(cookie_for) = &self.cookie_for else { return };
        exchange.describe(&Head(head));
        for name in self.set.names() {
            if let Err(error) = exchange.set_cookie_options(name, |options| cookie_for(head, options)) {
                exchange.refuse(error);
            }
        }
    }
}

pub(crate) type OnError = Box<dyn Fn(&ErrorResponse, &request::Parts) -> Response<Body> + Send + Sync>;
pub(crate) type CommitWhen = Box<dyn Fn(&request::Parts, &response::Parts) -> bool + Send + Sync>;

pub(crate) type CookieFor = Box<dyn Fn(&request::Parts, CookieOptions) -> CookieOptions + Send + Sync>;

/// Whether changes are stored with a response of this status, unless `commit_when` decides.
///
/// 5xx and 408 (RFC 9110, 15.6 and 15.5.9) mean that the handler failed or did not end in time. Any other status is its answer.
fn commits_by_default(status: StatusCode) -> bool {
    !status.is_server_error() && status != StatusCode::REQUEST_TIMEOUT
}

/// Service wrapped by [`SessionLayer`](crate::SessionLayer).
///
/// The response's body has axum's type, because the layer may replace it with an error page.
#[derive(Clone)]
pub struct SessionService<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> SessionService<S> {
    pub(crate) fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config }
    }
}

impl<S: fmt::Debug> fmt::Debug for SessionService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionService").field("inner", &self.inner).field("set", &self.config.set).finish()
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for SessionService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: HttpBody<Data = Bytes> + Send + 'static,
    ResBody::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        mark_cookies(&mut head.headers);
        // Only the application's functions look at the request later, so other requests are not copied.
        let kept = self.config.sees_request().then(|| Box::new(head.clone()));
        let exchange = RequestContext::enter(&self.config.set, &mut head.extensions);
        if let Some(exchange) = &exchange {
            self.config.choose_cookies(&head, exchange);
        }
        let stage = Stage::Handling(Uncommitted::new(exchange, &self.config.drain));
        let handler = self.inner.call(Request::from_parts(head, body));
        ResponseFuture { handler, stage, request: kept, config: self.config.clone() }
    }
}

pin_project! {
    /// Future of [`SessionService`]: runs the handler, then commits its sessions.
    ///
    /// If it is dropped while the handler runs, nothing is committed. If it is dropped during the commit, the commit finishes in its own
    /// task. This needs a tokio runtime that is not shut down meanwhile.
    pub struct ResponseFuture<F> {
        #[pin]
        handler: F,
        stage: Stage,
        // Head of the request, if a function of the application will see it.
        request: Option<Box<request::Parts>>,
        config: Arc<Config>,
    }
}

enum Stage {
    Handling(Uncommitted),
    Committing { response: Response<Body>, commit: DetachedCommit },
    Done,
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Stage::Handling(uncommitted) = this.stage {
            // An error of the inner service stores nothing, like a panic, because there is no response.
            let response = ready!(this.handler.poll(cx))?.map(Body::new);
            let touched = uncommitted.take().filter(|exchange| !exchange.is_untouched());
            match touched {
                None => {
                    *this.stage = Stage::Done;
                    return Poll::Ready(Ok(finish::without_commit(response, this.request.as_deref(), this.config)));
                }
                Some(exchange) => {
                    let response = give_up_unwanted(response, this.request.as_deref(), &exchange, this.config);
                    if let Some(committed) = exchange.commit_at_once() {
                        *this.stage = Stage::Done;
                        return Poll::Ready(Ok(finish::with_commit(
                            response,
                            committed,
                            this.request.as_deref(),
                            this.config,
                        )));
                    }
                    *this.stage =
                        Stage::Committing { response, commit: DetachedCommit::new(exchange, &this.config.drain) };
                }
            }
        }
        let Stage::Committing { commit, .. } = this.stage else { panic!("polled after it was ready") };
        let committed = ready!(commit.poll(cx));
        let Stage::Committing { response, .. } = std::mem::replace(this.stage, Stage::Done) else { unreachable!() };
        Poll::Ready(Ok(finish::with_commit(response, committed, this.request.as_deref(), this.config)))
    }
}

/// Drops the changes if they must not be stored with this response.
fn give_up_unwanted(
    response: Response<Body>,
    request: Option<&request::Parts>,
    exchange: &Exchange,
    config: &Config,
) -> Response<Body> {
    let status = response.status();
    let (wanted, response) = match (&config.commit_when, request) {
        (Some(wanted), Some(request)) => {
            let (head, body) = response.into_parts();
            (wanted(request, &head), Response::from_parts(head, body))
        }
        _ => (commits_by_default(status), response),
    };
    if !wanted {
        exchange.abandon_because(&format!("a request was answered with status {}", status.as_u16()));
    }
    response
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Handling(_) => "handling",
            Stage::Committing { .. } => "committing",
            Stage::Done => "done",
        };
        f.debug_struct("ResponseFuture").field("stage", &stage).finish_non_exhaustive()
    }
}
