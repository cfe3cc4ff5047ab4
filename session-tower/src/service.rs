//! Service that passes a request to the handler and commits its sessions afterwards.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum_core::BoxError;
use axum_core::body::Body;
use http::{Request, Response, request};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use session_core::Bytes;
use tower_service::Service;

use crate::config::Config;
use crate::context::{RequestContext, mark_ids};
use crate::detached::{DetachedCommit, Uncommitted};
use crate::finish;

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
        mark_ids(&mut head.headers, self.config.set.transports());
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
                    let mut response = response;
                    if !this.config.commits(this.request.as_deref(), &mut response) {
                        let status = response.status().as_u16();
                        exchange.abandon_because(&format!("a request was answered with status {status}"));
                    }
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
