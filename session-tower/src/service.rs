//! Service that passes a request to the handler and commits its sessions afterwards.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum_core::BoxError;
use axum_core::body::Body;
use axum_core::response::IntoResponse as _;
use http::{Request, Response};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use session_core::Bytes;
use session_http::{Caching, CommitReport, Exchange, SessionSet};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tower_service::Service;

use crate::context::RequestContext;
use crate::{ErrorResponse, caching};

/// Settings of a layer, shared by its services.
pub(crate) struct Config {
    pub(crate) set: SessionSet,
    pub(crate) on_error: Option<OnError>,
    pub(crate) commit_when: Option<CommitWhen>,
}

pub(crate) type OnError = Box<dyn Fn(&ErrorResponse) -> Response<Body> + Send + Sync>;
pub(crate) type CommitWhen = Box<dyn Fn(&http::response::Parts) -> bool + Send + Sync>;

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

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let exchange = RequestContext::enter(&self.config.set, request.extensions_mut());
        let stage = Stage::Handling(Uncommitted(exchange));
        ResponseFuture { handler: self.inner.call(request), stage, config: self.config.clone() }
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
        config: Arc<Config>,
    }
}

enum Stage {
    Handling(Uncommitted),
    Committing { response: Response<Body>, commit: DetachedCommit },
    Done,
}

/// Abandons the exchange when the handler's future is dropped or panics.
///
/// Otherwise each cancelled request would log a warning about lost changes. `None` if an outer layer commits.
struct Uncommitted(Option<Exchange>);

impl Drop for Uncommitted {
    fn drop(&mut self) {
        if let Some(exchange) = &self.0 {
            exchange.abandon();
        }
    }
}

/// Commit that only the end of the runtime can stop.
enum DetachedCommit {
    /// Polled by the response future: not polled yet, or there is no runtime for a task.
    Here(Pin<Box<dyn Future<Output = CommitReport> + Send>>),
    Detached(JoinHandle<CommitReport>),
}

impl DetachedCommit {
    fn new(exchange: Exchange) -> Self {
        Self::Here(Box::pin(async move {
            let committed = exchange.commit().await;
            if committed.error.is_some() {
                // The error is reported by the response, so the exchange must not warn about the lost changes as well.
                exchange.abandon();
            }
            committed
        }))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<CommitReport> {
        if let Self::Here(commit) = self {
            // Most commits finish at their first poll and need no task.
            if let Poll::Ready(committed) = commit.as_mut().poll(cx) {
                return Poll::Ready(committed);
            }
            let Ok(runtime) = Handle::try_current() else { return Poll::Pending };
            let waiting = std::mem::replace(commit, Box::pin(std::future::pending()));
            *self = Self::Detached(runtime.spawn(waiting));
        }
        let Self::Detached(task) = self else { return Poll::Pending };
        match ready!(Pin::new(task).poll(cx)) {
            Ok(committed) => Poll::Ready(committed),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // Only a runtime that shuts down cancels the task, and it polls no more futures after that.
            Err(_) => Poll::Pending,
        }
    }
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
            let touched = uncommitted.0.take().filter(|exchange| !exchange.is_untouched());
            match touched {
                None => {
                    *this.stage = Stage::Done;
                    return Poll::Ready(Ok(without_commit(response, this.config)));
                }
                Some(exchange) => {
                    let response = give_up_unwanted(response, &exchange, this.config);
                    if let Some(committed) = exchange.commit_at_once() {
                        *this.stage = Stage::Done;
                        return Poll::Ready(Ok(with_commit(response, committed, this.config)));
                    }
                    *this.stage = Stage::Committing { response, commit: DetachedCommit::new(exchange) };
                }
            }
        }
        let Stage::Committing { commit, .. } = this.stage else { panic!("polled after it was ready") };
        let committed = ready!(commit.poll(cx));
        let Stage::Committing { response, .. } = std::mem::replace(this.stage, Stage::Done) else { unreachable!() };
        Poll::Ready(Ok(with_commit(response, committed, this.config)))
    }
}

/// Drops the changes if `commit_when` rejects the response.
fn give_up_unwanted(response: Response<Body>, exchange: &Exchange, config: &Config) -> Response<Body> {
    let Some(wanted) = &config.commit_when else { return response };
    let (head, body) = response.into_parts();
    if !wanted(&head) {
        exchange.abandon();
    }
    Response::from_parts(head, body)
}

/// Finishes a response without a commit, because the request used no session or an outer layer commits it.
///
/// The handler may still have returned an [`ErrorResponse`].
fn without_commit(mut response: Response<Body>, config: &Config) -> Response<Body> {
    if own_page(&mut response, config) {
        caching::finish(&mut response, Vec::new(), Caching::Never, true);
    }
    response
}

/// Finishes a response after the commit.
fn with_commit(mut response: Response<Body>, committed: CommitReport, config: &Config) -> Response<Body> {
    if let Some(error) = committed.error {
        // The handler's response must not be sent, because it would promise changes that were not stored.
        response = ErrorResponse::from(error).into_response();
    }
    let failed = response.extensions().get::<ErrorResponse>().is_some();
    own_page(&mut response, config);
    caching::finish(&mut response, committed.set_cookie, committed.caching, failed);
    response
}

/// Replaces an error's response with the application's page, and returns whether it did.
///
/// It also removes the error from the response, so that no outer layer replaces the page again.
fn own_page(response: &mut Response<Body>, config: &Config) -> bool {
    let Some(page) = &config.on_error else { return false };
    let Some(error) = response.extensions_mut().remove::<ErrorResponse>() else { return false };
    *response = page(&error);
    true
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
