//! Starts the server from its settings, and stops it.

use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use session_tower::{CookieOptions, Error, KeyRing, Manager, SessionLayer, hours, minutes};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::app_state::{AppState, REMEMBERED};
use crate::store::{self, NamedStore};
use crate::{api, error_page, keys, release, security, shop};

/// Time that running requests have to end.
const GRACE: Duration = Duration::from_secs(10);

/// Approximate interval at which expired sessions are removed.
const SWEEP: Duration = minutes(5);

/// A setting that does not work, described in one line.
#[derive(Debug)]
pub(crate) struct Wrong(String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Serves on `listen` until the process is told to stop.
pub(crate) async fn run(listen: &str, store_url: &str) -> Result<(), Wrong> {
    // First, because it leaves no trace: if the port is taken, no database file is made.
    let (listener, address) = bind(listen).await?;
    let keys = keys::given().map_err(|error| Wrong(format!("the session keys: {}", line(&error))))?;
    keys::register(keys.clone()).map_err(|error| Wrong(line(&error)))?;
    let sessions =
        store::connect(store_url).await.map_err(|error| Wrong(format!("the sessions' store: {}", line(&error))))?;
    let wrong = |error: Error| Wrong(format!("the sessions: {error}"));
    let manager = manager(&sessions).map_err(wrong)?;
    let cookie = cookie(address, &sessions, keys.as_ref());
    let store = sessions.store.clone();
    let (app, layer) = app(AppState { manager: manager.clone(), sessions }, cookie).map_err(wrong)?;
    tokio::spawn(manager.purge_every(SWEEP, tokio::time::sleep));
    println!("listening on http://{address}");

    let (sender, stop) = watch::channel(false);
    tokio::spawn(async move {
        stop_signal().await;
        tracing::info!("stopping: running requests may take {} s to end", GRACE.as_secs());
        sender.send_replace(true);
    });
    let graceful = axum::serve(listener, app).with_graceful_shutdown(stopped(stop.clone()));
    let served = tokio::select! {
        served = async { let served = graceful.await; layer.drained().await; served } => {
            served.map_err(|error| Wrong(format!("cannot serve on {address}: {error}")))
        }
        () = async { stopped(stop).await; tokio::time::sleep(GRACE).await } => {
            tracing::warn!("some requests did not end in time");
            Ok(())
        }
    };
    store.close().await.map_err(|error| Wrong(format!("the sessions' store: {}", line(&error))))?;
    served
}

async fn bind(listen: &str) -> Result<(TcpListener, SocketAddr), Wrong> {
    let bound = async {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound.await.map_err(|error: std::io::Error| {
        let why = match error.kind() {
            ErrorKind::AddrInUse => "the port is taken".to_owned(),
            ErrorKind::PermissionDenied => "the port needs special rights: choose one above 1023".to_owned(),
            ErrorKind::InvalidInput => "this is no address and port, such as 127.0.0.1:3000".to_owned(),
            _ => error.to_string(),
        };
        Wrong(format!("cannot listen on {listen}: {why}"))
    })
}

/// Formats an error and its causes in one line.
fn line(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text.replace('\n', " ")
}

fn manager(sessions: &NamedStore) -> Result<Manager, Error> {
    Manager::builder(sessions.store.clone()).idle(release::IDLE).absolute(hours(24)).remember(REMEMBERED).build()
}

fn cookie(address: SocketAddr, sessions: &NamedStore, keys: Option<&KeyRing>) -> CookieOptions {
    // Browsers other than Safari accept `Secure` cookies from http://localhost, but none is sure to do so from http://127.0.0.1.
    let cookie = if address.ip().is_loopback() { CookieOptions::new().insecure() } else { CookieOptions::new() };
    match keys {
        // A session inside its cookie is sealed, so it needs no signature.
        Some(keys) if sessions.name != "cookie" => cookie.signed(keys),
        _ => cookie,
    }
}

fn app(state: AppState, cookie: CookieOptions) -> Result<(Router, SessionLayer), Error> {
    let sessions = SessionLayer::builder().session(state.manager.clone(), cookie).on_error(security::failed).build()?;
    let app =
        Router::new().merge(shop::routes()).merge(api::routes()).fallback(error_page::not_found).with_state(state);
    Ok((security::around(app.layer(sessions.clone())), sessions))
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // The sender sends before it is dropped, so an error means the same.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Waits for Ctrl-C or SIGTERM.
async fn stop_signal() {
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminated = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut signals) => {
                signals.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        () = interrupted => {}
        () = terminated => {}
    }
}
