//! How do users sign in by OpenID Connect, and how does a logout at the provider end their sessions here?
//!
//! The provider knows this application by `CLIENT_ID`, and these addresses of it: `/callback` for answers, `/back-channel-logout`
//! for logouts, and `/` after a sign-out. `RESPONSE_MODE=form_post` has the answers come as forms instead of in an address.
//!
//! ```sh
//! ISSUER=https://login.example.com CLIENT_ID=shop CLIENT_SECRET=… SESSION_SECRET=$(openssl rand -base64 32) \
//!     cargo run -p examples --example oidc # then open http://localhost:3000
//! ```
//!
//! | file | what is in it |
//! |---|---|
//! | `main.rs` | the pages |
//! | `attempt.rs` | a sign-in under way, in a cookie of its own |
//! | `answer.rs` | the provider's answer to it |
//! | `provider.rs` | requests to the provider, and its keys |
//! | `tokens.rs` | the checks of an id token and of a logout token |
//! | `back_channel.rs` | sessions that the provider ends |
//! | `signatures.rs` | `ring` for the library that reads tokens |

mod answer;
mod attempt;
mod back_channel;
mod failure;
mod provider;
mod signatures;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::{Method, Uri};
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use session_tower::{
    CookieOptions, CookieStore, Error, KeyRing, Manager, Next, Result, SameSite, Session, SessionLayer, Sessions,
    SignedIn, minutes, require, store,
};
use tower_http::csrf::CsrfLayer;

use answer::{Answer, User};
use attempt::Attempt;
use back_channel::BackChannel;
use failure::Failure;
use provider::Provider;
pub(crate) use provider::{ResponseMode, Settings};

async fn home(session: Session) -> Result<Html<String>> {
    let visits = session.update("visits", |n: &mut u64| *n += 1)?;
    let account = match session.principal() {
        Some(_) => "<a href=/account>Account</a> <form method=post action=/sign-out><button>Sign out</button></form>",
        None => "<a href=/sign-in>Sign in</a>",
    };
    Ok(Html(format!("<p>Visit number {visits}</p>{account}")))
}

/// Plain text needs no escaping. The name comes from the provider.
async fn account(user: SignedIn) -> String {
    format!("Account of {}", user.principal)
}

/// Begins a sign-in, after the user has pressed a button: another site that merely links here signs no user in.
async fn begin(State(provider): State<Arc<Provider>>, sessions: Sessions, next: Next) -> Result<Redirect> {
    let attempt = Attempt::new(&next);
    attempt.keep(&sessions.get(attempt::COOKIE).await?)?;
    Ok(Redirect::to(&provider.sign_in_url(&attempt)))
}

/// The provider's answer in the address of this page.
async fn callback(
    State(provider): State<Arc<Provider>>,
    sessions: Sessions,
    session: Session,
    Query(answer): Query<Answer>,
) -> Result<Redirect, Failure> {
    let attempts = sessions.get(attempt::COOKIE).await?;
    let user = answer::finish(&attempts, &provider, answer).await?;
    attempts.logout();
    Ok(sign_in(&session, &user)?)
}

/// The provider's answer as a form. The session's cookie is `Lax`, so the browser withholds it from this form of another site.
/// A login here would begin a new session and lose the guest's values. So the user is kept until the next page, which gets both cookies.
async fn form_callback(
    State(provider): State<Arc<Provider>>,
    sessions: Sessions,
    Form(answer): Form<Answer>,
) -> Result<Redirect, Failure> {
    let attempts = sessions.get(attempt::COOKIE).await?;
    answer::finish(&attempts, &provider, answer).await?.keep(&attempts)?;
    Ok(Redirect::to("/signed-in"))
}

async fn signed_in(sessions: Sessions, session: Session) -> Result<Redirect, Failure> {
    let attempts = sessions.get(attempt::COOKIE).await?;
    let user = User::kept(&attempts)?;
    attempts.logout();
    Ok(sign_in(&session, &user)?)
}

/// Signs in. `sub` is unique and stays the same for one issuer, unlike a name or an address of mail.
/// With several providers, the principal has to name the issuer, too.
fn sign_in(session: &Session, user: &User) -> Result<Redirect, Error> {
    session.login(&user.sub)?;
    match &user.sid {
        Some(sid) => session.insert(back_channel::SID, sid)?,
        None => drop(session.remove(back_channel::SID)?),
    }
    Ok(Redirect::to(&user.next))
}

/// Ends the session here, and leads to the provider, which ends its own (OpenID Connect RP-Initiated Logout 1.0).
async fn sign_out(State(provider): State<Arc<Provider>>, session: Session) -> Redirect {
    session.logout();
    Redirect::to(&provider.sign_out_url())
}

/// Returns the application. The provider is asked for its addresses and keys first.
pub(crate) async fn app(
    settings: Settings,
    keys: &KeyRing,
    manager: Manager,
) -> Result<Router, Box<dyn std::error::Error + Send + Sync>> {
    let mode = settings.response_mode;
    let provider = Arc::new(Provider::discover(settings).await?);
    let back_channel = BackChannel::new(provider.clone(), manager.clone());
    let attempts = Manager::builder(CookieStore::new(keys)).name(attempt::COOKIE).idle(minutes(10)).build()?;
    let attempt_cookie = CookieOptions::new().same_site(match mode {
        ResponseMode::Query => SameSite::Lax,
        // A form of another site brings no other cookie.
        ResponseMode::FormPost => SameSite::None,
    });
    let sessions =
        SessionLayer::builder().session(manager, CookieOptions::new()).session(attempts, attempt_cookie).build()?;
    let button = Html("<form method=post><button>Sign in at the provider</button></form>");
    let answers = match mode {
        ResponseMode::Query => Router::new().route("/callback", get(callback)),
        ResponseMode::FormPost => {
            Router::new().route("/callback", post(form_callback)).route("/signed-in", get(signed_in))
        }
    };
    // `state` protects the callback from other sites, and nothing else is let through.
    let is_callback = |method: &Method, uri: &Uri| method == Method::POST && uri.path() == "/callback";
    let csrf = match mode {
        ResponseMode::Query => CsrfLayer::new(),
        ResponseMode::FormPost => CsrfLayer::new().with_insecure_bypass(is_callback),
    };
    let pages = answers
        .route("/account", get(account).layer(require().login().redirect("/sign-in")))
        .route("/", get(home))
        .route("/sign-in", get(button).post(begin))
        .route("/sign-out", post(sign_out))
        .with_state(provider)
        .layer(sessions)
        .layer(csrf);
    // The provider itself sends these requests. They have no cookies.
    Ok(pages.route("/back-channel-logout", post(back_channel::log_out).with_state(back_channel)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let manager = Manager::new(store::connect("memory:").await?);
    let app = app(Settings::from_env()?, &KeyRing::from_env()?, manager).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app).await?)
}
