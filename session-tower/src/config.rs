//! Settings of a layer.

use axum_core::body::Body;
use http::{Response, StatusCode, request, response};
use session_http::{CookieOptions, Exchange, SessionSet};

use crate::ErrorResponse;
use crate::drain::Drain;
use crate::head::Head;

/// Settings of a layer, shared by its services.
pub(crate) struct Config {
    pub(crate) set: SessionSet,
    pub(crate) on_error: Option<OnError>,
    pub(crate) commit_when: Option<CommitWhen>,
    pub(crate) cookie_for: Option<CookieFor>,
    pub(crate) drain: Drain,
}

impl Config {
    /// Whether changes are stored with this response.
    ///
    /// 5xx and 408 (RFC 9110, 15.6 and 15.5.9) mean that the handler failed or did not end in time. Any other status is its answer.
    pub(crate) fn commits(&self, request: Option<&request::Parts>, response: &mut Response<Body>) -> bool {
        let (Some(wanted), Some(request)) = (&self.commit_when, request) else {
            return !response.status().is_server_error() && response.status() != StatusCode::REQUEST_TIMEOUT;
        };
        let (head, body) = std::mem::take(response).into_parts();
        let commits = wanted(request, &head);
        *response = Response::from_parts(head, body);
        commits
    }

    /// Whether a function of the application sees the request when its response is there.
    pub(crate) fn sees_request(&self) -> bool {
        self.commit_when.is_some() || self.on_error.is_some()
    }

    /// Applies the application's cookie options for this request. Nothing is loaded for that.
    pub(crate) fn choose_cookies(&self, head: &request::Parts, exchange: &Exchange) {
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
