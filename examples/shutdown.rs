//! How do I remove expired sessions, and stop the server without losing what running requests have done?
//!
//! ```sh
//! cargo run -p examples --example shutdown # then open http://localhost:3000 and press Ctrl-C before the page is there
//! ```

use axum::Router;
use axum::routing::get;
use session_tower::{Manager, Result, Session, SessionLayer, minutes, seconds, store};
use tokio::net::TcpListener;

/// Takes five seconds, so that there is time to stop the server meanwhile.
async fn visits(session: Session) -> Result<String> {
    let visits = session.update("visits", |n: &mut u64| *n += 1)?;
    tokio::time::sleep(seconds(5)).await;
    Ok(format!("Visit number {visits}"))
}

/// Serves until `stop` is ready. Then no new request is accepted, and running requests end and store their changes.
pub(crate) async fn serve(
    listener: TcpListener,
    manager: Manager,
    routes: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    // An expired session opens nothing. This task only frees its space. A step that fails is logged and tried again.
    let purge = tokio::spawn(manager.purge_every(minutes(5), tokio::time::sleep));
    let sessions = manager.store().clone();
    let layer = SessionLayer::new(manager);
    let app = routes.layer(layer.clone());
    let served = axum::serve(listener, app).with_graceful_shutdown(stop).await;
    purge.abort();
    // The server does not wait for requests whose clients have gone. Their changes are still being stored.
    layer.drained().await;
    // The last step: SQLite's log is folded into the file, and a database loses no connection half-way.
    sessions.close().await.map_err(std::io::Error::other)?;
    served
}

/// Waits for Ctrl-C or, on Unix, for the signal by which service managers stop a process.
async fn told_to_stop() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminated = signal(SignalKind::terminate()).expect("the signal can be handled");
        tokio::select! { _ = interrupted => {}, _ = terminated.recv() => {} }
    }
    #[cfg(not(unix))]
    let _ = interrupted.await;
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let manager = Manager::new(store::connect("sqlite://sessions.db").await?);
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    let routes = Router::new().route("/", get(visits));
    Ok(serve(listener, manager, routes, told_to_stop()).await?)
}
