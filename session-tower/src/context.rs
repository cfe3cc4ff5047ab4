//! Request extension of the session layers, which may be nested.

use std::sync::Arc;

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, header::COOKIE};
use session_core::{Error, ErrorKind, Opened, Result, Session};
use session_http::{Exchange, SessionSet};

/// Request extension with the sessions of the innermost layer and of the layers around it.
#[derive(Clone)]
pub(crate) struct RequestContext {
    pub(crate) exchange: Exchange,
    outer: Option<Arc<RequestContext>>,
    clash: bool,
}

impl RequestContext {
    /// Registers a layer that serves `set`. Returns the exchange that this layer must commit.
    ///
    /// Returns `None` if an outer layer already serves the same set, because that layer commits it.
    pub(crate) fn enter(set: &SessionSet, extensions: &mut Extensions) -> Option<Exchange> {
        let Some(outer) = extensions.remove::<Self>().map(Arc::new) else {
            let exchange = set.begin();
            extensions.insert(Self { exchange: exchange.clone(), outer: None, clash: false });
            return Some(exchange);
        };
        let same = outer.chain().find(|layer| layer.exchange.set().same(set));
        if let Some((exchange, clash)) = same.map(|layer| (layer.exchange.clone(), layer.clash)) {
            extensions.insert(Self { exchange, outer: Some(outer), clash });
            return None;
        }
        let exchange = set.begin();
        let clash = outer.chain().any(|layer| layer.exchange.set().shares_a_cookie_with(set));
        extensions.insert(Self { exchange: exchange.clone(), outer: Some(outer), clash });
        Some(exchange)
    }

    /// Returns the extension that the layers left on the request, or an error that says how to add the layer.
    pub(crate) fn of(extensions: &Extensions) -> Result<&Self> {
        let context = extensions.get::<Self>().ok_or(NO_LAYER)?;
        if context.clash { Err(CLASH) } else { Ok(context) }
    }

    /// Exchange of the innermost layer that has a session `name`.
    pub(crate) fn serving(&self, name: &str) -> Option<&Exchange> {
        let mut serving = self.chain().filter(|layer| layer.exchange.set().manager(name).is_some());
        serving.next().map(|layer| &layer.exchange)
    }

    pub(crate) fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |layer| layer.outer.as_deref())
    }
}

const NO_LAYER: Error = Error::fixed(
    ErrorKind::Config,
    "no `SessionLayer` has seen the request: call `.layer(sessions)` below the routes and below every layer that uses a session, \
     because axum runs the layer added last first (in a `tower::ServiceBuilder`, add it above them); \
     routes added after `.layer(…)` are not covered",
);

const CLASH: Error = Error::fixed(
    ErrorKind::Config,
    "two nested `SessionLayer`s serve a cookie of the same name: build the layer once and add clones of it, or rename one \
     of the cookies with `CookieOptions::name`",
);

/// Passes the request's destination to the exchange if a logout has ended the session.
pub(crate) fn note_destination<'h>(
    exchange: &Exchange,
    session: &Session,
    destination: impl FnOnce() -> Option<&'h HeaderValue>,
) {
    if session.opened() == Opened::Ended {
        exchange.note_destination(session, destination().map(HeaderValue::as_bytes));
    }
}

/// Header that gives the destination of a request, such as a document or an image (W3C Fetch Metadata).
pub(crate) const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Lines of the request's `Cookie` headers. HTTP/2 may send several (RFC 9113, 8.2.3).
pub(crate) fn cookie_lines(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(COOKIE).into_iter().map(|line| line.as_bytes())
}
