//! How do I test pages that need a session?
//!
//! ```sh
//! cargo test -p examples --example testing
//! cargo run -p examples --example testing # then open http://localhost:3000
//! ```

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use session_tower::{Manager, Result, Session, SessionLayer, store};

async fn orders(session: Session) -> Result<Response> {
    let Some(user) = session.principal() else {
        return Ok(StatusCode::UNAUTHORIZED.into_response());
    };
    let cart: Vec<String> = session.get("cart")?.unwrap_or_default();
    Ok(format!("{} orders {}", user.as_str(), cart.join(", ")).into_response())
}

/// Returns the application. A test makes the layer, because it prepares sessions with it.
pub(crate) fn app(sessions: SessionLayer) -> Router {
    Router::new().route("/orders", get(orders)).layer(sessions)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sessions = SessionLayer::new(Manager::new(store::connect("memory:").await?));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app(sessions)).await?)
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::{HeaderValue, Request};
    use session_tower::{Manager, SessionLayer, store, testing};
    use tower::ServiceExt as _;

    async fn sessions() -> SessionLayer {
        SessionLayer::new(Manager::new(store::connect("memory:").await.unwrap()))
    }

    /// Requests the orders with this `Cookie` header, and returns status and text.
    async fn orders(sessions: SessionLayer, cookie: Option<HeaderValue>) -> (u16, String) {
        let mut request = Request::get("/orders").body(Body::empty()).unwrap();
        request.headers_mut().extend(cookie.map(|cookie| (axum::http::header::COOKIE, cookie)));
        let response = super::app(sessions).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_stranger_sees_no_orders() {
        assert_eq!(orders(sessions().await, None).await.0, 401);
    }

    #[tokio::test]
    async fn a_signed_in_user_sees_orders() {
        let sessions = sessions().await;
        let ann = testing::signed_in(&sessions, "ann").await;
        assert_eq!(orders(sessions, Some(ann)).await, (200, "ann orders ".to_owned()));
    }

    #[tokio::test]
    async fn the_cart_is_ordered() {
        let sessions = sessions().await;
        let ann = testing::prepared(&sessions, |session| {
            session.login("ann")?;
            session.insert("cart", &["tea", "milk"])
        });
        let ann = ann.await;
        assert_eq!(orders(sessions, Some(ann)).await, (200, "ann orders tea, milk".to_owned()));
    }
}
