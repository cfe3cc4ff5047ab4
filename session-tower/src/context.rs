//! Request extension of the session layers, which may be nested.

use std::sync::Arc;

use http::header::COOKIE;
use http::{Extensions, HeaderMap, HeaderName};
use session_core::{Error, ErrorKind};
use session_http::{Exchange, SessionSet, Transport};

use crate::{ErrorResponse, Result};

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
        let context = extensions.get::<Self>().ok_or(ErrorResponse::setup(NO_LAYER))?;
        if context.clash { Err(ErrorResponse::setup(CLASH)) } else { Ok(context) }
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

/// Marks the values of the request's headers that may hold ids as sensitive, so that logs and HPACK tables leave them out (RFC 7541, 7.1.3).
pub(crate) fn mark_ids(headers: &mut HeaderMap, transports: &[Transport]) {
    mark(headers, &COOKIE);
    for transport in transports.iter().filter(|transport| **transport != Transport::Cookie) {
        mark(headers, &HeaderName::from_static(transport.request_header()));
    }
}

fn mark(headers: &mut HeaderMap, name: &HeaderName) {
    // One look at each of a request's few headers takes less time than hashing the name.
    headers.iter_mut().filter(|(own, _)| *own == name).for_each(|(_, value)| value.set_sensitive(true));
}
