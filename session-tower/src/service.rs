//! The service: passes the request on, and commits when the handler has answered.

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
use session_http::{Caching, Committed, Exchange};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tower_service::Service;

use crate::layer::Config;
use crate::nested::Current;
use crate::{Error, headers};

/// What [`SessionLayer`](crate::SessionLayer) makes of a service. Its response's body is axum's, for it may be an error page.
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
        let exchange = Current::enter(&self.config.set, request.extensions_mut());
        let stage = Stage::Handling(Uncommitted(exchange));
        ResponseFuture { handler: self.inner.call(request), stage, config: self.config.clone() }
    }
}

pin_project! {
    /// The handler's response, and then the commit.
    ///
    /// Dropped while the handler runs, it commits nothing. Dropped later, the commit goes on to its end in a task of its own, as far as
    /// there is a tokio runtime and it is not shut down.
    pub struct ResponseFuture<F> {
        #[pin]
        handler: F,
        stage: Stage,
        config: Arc<Config>,
    }
}

enum Stage {
    Handling(Uncommitted),
    Committing { response: Response<Body>, commit: Commit },
    Done,
}

/// Forgets what was not committed when the handler's future is dropped or panics; otherwise each cancelled request would leave
/// a warning about lost changes. `None` where an outer layer is in charge.
struct Uncommitted(Option<Exchange>);

impl Drop for Uncommitted {
    fn drop(&mut self) {
        if let Some(exchange) = &self.0 {
            exchange.abandon();
        }
    }
}

/// A commit that nothing but the end of the runtime stops.
enum Commit {
    /// Not polled yet, or no runtime to detach it to.
    Here(Pin<Box<dyn Future<Output = Committed> + Send>>),
    Detached(JoinHandle<Committed>),
}

impl Commit {
    fn new(exchange: Exchange) -> Self {
        Self::Here(Box::pin(async move {
            let committed = exchange.commit().await;
            if committed.error.is_some() {
                // It will be reported; no second report about changes that were dropped.
                exchange.abandon();
            }
            committed
        }))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Committed> {
        if let Self::Here(commit) = self {
            // Most commits have nothing to wait for: no task for those.
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
            // Nobody but a runtime that shuts down cancels the task, and it polls no more futures after that.
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
            // Without a response no head leaves: an inner service's error stores nothing, as a panic does.
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
                    *this.stage = Stage::Committing { response, commit: Commit::new(exchange) };
                }
            }
        }
        let Stage::Committing { commit, .. } = this.stage else { panic!("polled after it was ready") };
        let committed = ready!(commit.poll(cx));
        let Stage::Committing { response, .. } = std::mem::replace(this.stage, Stage::Done) else { unreachable!() };
        Poll::Ready(Ok(with_commit(response, committed, this.config)))
    }
}

/// Asks `commit_when`.
fn give_up_unwanted(response: Response<Body>, exchange: &Exchange, config: &Config) -> Response<Body> {
    let Some(wanted) = &config.commit_when else { return response };
    let (head, body) = response.into_parts();
    if !wanted(&head) {
        exchange.abandon();
    }
    Response::from_parts(head, body)
}

/// A response for which no session was asked, or only by a handler that returned [`Error`] on its own account.
fn without_commit(mut response: Response<Body>, config: &Config) -> Response<Body> {
    if own_page(&mut response, config) {
        headers::finish(&mut response, Vec::new(), Caching::Never, true);
    }
    response
}

fn with_commit(mut response: Response<Body>, committed: Committed, config: &Config) -> Response<Body> {
    if let Some(error) = committed.error {
        // The handler's answer promises what was not stored.
        response = Error::from(error).into_response();
    }
    let failed = response.extensions().get::<Error>().is_some();
    own_page(&mut response, config);
    headers::finish(&mut response, committed.set_cookie, committed.caching, failed);
    response
}

/// Puts the application's page in place of an error's response, and answers whether it did. The error is taken out then,
/// so that no layer around this one does it again.
fn own_page(response: &mut Response<Body>, config: &Config) -> bool {
    let Some(page) = &config.on_error else { return false };
    let Some(error) = response.extensions_mut().remove::<Error>() else { return false };
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
