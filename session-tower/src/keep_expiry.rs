//! Layer for routes that keep no session alive.

use std::task::{Context, Poll};

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use crate::context::RequestContext;

/// Returns a layer for routes that a page asks by itself, such as every minute. Their requests keep no session alive.
///
/// They move no expiry, renew no cookie and take no flash message; see
/// [`Session::keep_expiry`](session_core::Session::keep_expiry). Add it inside of the [`SessionLayer`](crate::SessionLayer).
///
/// ```
/// use axum::{Router, routing::get};
/// use session_tower::{Manager, NullStore, Session, SessionLayer, keep_expiry};
///
/// async fn unread(session: Session) -> String {
///     session.principal().map_or_else(String::new, |who| format!("no messages for {}", who.as_str()))
/// }
///
/// let polled = Router::new().route("/unread", get(unread)).layer(keep_expiry());
/// let app: Router = polled.layer(SessionLayer::new(Manager::new(NullStore)));
/// ```
pub const fn keep_expiry() -> KeepExpiry {
    KeepExpiry(())
}

/// Layer for routes that keep no session alive; see [`keep_expiry`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct KeepExpiry(());

impl<S> Layer<S> for KeepExpiry {
    type Service = KeepExpiryService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        KeepExpiryService(inner)
    }
}

/// Service wrapped by [`KeepExpiry`].
#[derive(Clone, Debug)]
pub struct KeepExpiryService<S>(S);

impl<S: Service<Request<B>>, B> Service<Request<B>> for KeepExpiryService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match RequestContext::of(request.extensions()) {
            Ok(context) => context.chain().for_each(|layer| layer.exchange.keep_expiry()),
            // Without the session layer there is no session. An extractor says so.
            Err(_) => tracing::debug!("`keep_expiry` has no `SessionLayer` around it"),
        }
        self.0.call(request)
    }
}
