//! A connection to a server: how it is made, and how requests are sent on it.
//!
//! The driver would connect again by itself, and then send what was waiting, for callers that have long been told `Unavailable`.
//! So each connection has a client of its own, whose second login is refused here. What waits in it ends with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_nats::{
    AuthError, Client, ConnectErrorKind, ConnectOptions, Event, HeaderMap, Request, RequestError, RequestErrorKind,
    ServerError, ServerInfo, StatusCode,
};
use bytes::Bytes;
use session_core::{Error, ErrorKind, Result};
use session_store_kit::TIMED_OUT;
use tokio::sync::watch;
use tokio::time::{self, Instant};

use crate::address::Address;
use crate::error;
use crate::login::Login;
use crate::security::Authorities;

/// Time after which a silent connection is asked whether it lives. Calls find out much earlier, by their time-out.
const PING: Duration = Duration::from_secs(20);

/// How connections to all servers are made.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) login: Login,
    pub(crate) tls: bool,
    pub(crate) authorities: Authorities,
}

/// A connection, until it breaks for the first time.
pub(crate) struct Connection {
    client: Client,
    trouble: watch::Receiver<Trouble>,
    opened: Instant,
    /// Milliseconds from `opened` to the last reply.
    replied: AtomicU64,
}

/// What has happened to a connection.
#[derive(Clone, Debug, Default)]
enum Trouble {
    #[default]
    None,
    /// The server has refused something, in these words.
    Refused(Arc<str>),
    Ended,
}

/// Why a request has no reply.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The connection broke. The request may have been carried out.
    Lost,
    /// No server is responsible: there is no leader, or no JetStream. The request was not carried out.
    NoResponder,
    /// The user may not send to this subject. The request was not carried out.
    Forbidden,
    /// The request is longer than the server takes.
    TooLarge,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Lost => error::LOST,
            Failure::NoResponder => error::NO_LEADER,
            Failure::Forbidden => error::REFUSED,
            Failure::TooLarge => error::TOO_LARGE,
        }
    }
}

impl Connection {
    /// Connects to a server and logs in, within `limit`.
    pub(crate) async fn open(address: &Address, options: &Options, limit: Duration) -> Result<Self> {
        let (tell, trouble) = watch::channel(Trouble::None);
        let (login, used) = (options.login.clone(), AtomicBool::new(false));
        let driver = ConnectOptions::with_auth_callback(move |nonce| {
            let again = used.swap(true, Ordering::SeqCst);
            let proof = if again { Err(AuthError::new("a connection is made once")) } else { login.proof(&nonce) };
            async move { proof }
        });
        let driver = driver
            .name("session-store-nats")
            .max_reconnects(1)
            .ignore_discovered_servers()
            .connection_timeout(limit)
            .request_timeout(None)
            .ping_interval(PING)
            .require_tls(options.tls)
            .tls_client_config(options.authorities.config()?)
            .event_callback(move |event| {
                match event {
                    Event::Disconnected | Event::Closed => drop(tell.send(Trouble::Ended)),
                    Event::ServerError(ServerError::Other(text)) => {
                        // The end of a connection is final.
                        tell.send_if_modified(|trouble| {
                            let ended = matches!(trouble, Trouble::Ended);
                            if !ended {
                                *trouble = Trouble::Refused(text.into());
                            }
                            !ended
                        });
                    }
                    _ => {}
                }
                async {}
            });
        let connected = time::timeout(limit, driver.connect(address.server()?)).await;
        match connected {
            Ok(Ok(client)) => Ok(Self { client, trouble, opened: Instant::now(), replied: AtomicU64::new(0) }),
            Ok(Err(error)) if error.kind() == ConnectErrorKind::TimedOut => Err(TIMED_OUT),
            Ok(Err(error)) => Err(error::not_connected(&error)),
            Err(_) => Err(TIMED_OUT),
        }
    }

    /// Returns what the server has said of itself.
    pub(crate) fn server(&self) -> ServerInfo {
        self.client.server_info()
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(*self.trouble.borrow(), Trouble::Ended)
    }

    /// Whether the connection is older than `instant`, and no reply has come since then.
    pub(crate) fn is_silent_since(&self, instant: Instant) -> bool {
        self.opened + Duration::from_millis(self.replied.load(Ordering::Relaxed)) < instant
    }

    /// Sends a request and returns the reply. The caller limits the time.
    pub(crate) async fn request(
        &self,
        subject: &str,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<Bytes, Failure> {
        let mut request = Request::new().payload(payload).timeout(None);
        request.headers = headers;
        let mut trouble = self.trouble.clone();
        let refused = async {
            let said = trouble.wait_for(|trouble| match trouble {
                Trouble::None => false,
                // `Permissions Violation for Publish to "$JS.API.…"`, or for the subscription that brings all replies
                Trouble::Refused(text) => {
                    text.contains(&format!("\"{subject}\"")) || text.contains("Violation for Subscription")
                }
                Trouble::Ended => true,
            });
            match said.await.as_deref() {
                Ok(Trouble::Refused(_)) => Failure::Forbidden,
                _ => Failure::Lost,
            }
        };
        tokio::select! {
            biased;
            reply = self.client.send_request(subject.to_owned(), request) => match reply {
                Ok(reply) if reply.status == Some(StatusCode::NO_RESPONDERS) => Err(Failure::NoResponder),
                Ok(reply) => {
                    let since = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
                    self.replied.fetch_max(since, Ordering::Relaxed);
                    Ok(reply.payload)
                }
                Err(error) => Err(failure(&error)),
            },
            failure = refused => Err(failure),
        }
    }
}

fn failure(error: &RequestError) -> Failure {
    match error.kind() {
        RequestErrorKind::NoResponders => Failure::NoResponder,
        RequestErrorKind::MaxPayloadExceeded => Failure::TooLarge,
        _ => Failure::Lost,
    }
}

impl Failure {
    /// Returns the error of opening a store.
    pub(crate) fn on_open(self, what: &str) -> Error {
        match self {
            Self::Forbidden => Error::new(
                ErrorKind::Config,
                format!("the server does not permit the user {what}; the README lists the rights that a store needs"),
            ),
            other => other.into(),
        }
    }
}
