//! Serves one kind of request many times in process, for a program that counts instructions.
//!
//! `instructions <layer> <request> <number>`: the layer is `none`, `session-tower` or `tower-sessions`; the request is `untouched`, `read`
//! or `write`. Two runs with different numbers tell what one request takes, because everything else is the same.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

mod bare;
mod ours;
#[cfg(feature = "peer")]
mod peer;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [layer, request, number] = &arguments[..] else { bail!("usage: instructions <layer> <request> <number>") };
    let application = match &**layer {
        "none" => bare::application(),
        "session-tower" => ours::application()?,
        #[cfg(feature = "peer")]
        "tower-sessions" => peer::application(),
        _ => bail!("`{layer}` is no layer: use `none`, `session-tower` or `tower-sessions`"),
    };
    ensure!(
        ["untouched", "read", "write"].contains(&&**request),
        "`{request}` is no request: use `untouched`, `read` or `write`"
    );
    let number = number.parse().context("the number of requests")?;
    tokio::runtime::Builder::new_current_thread().build()?.block_on(serve(application, &format!("/{request}"), number))
}

/// Signs a client in, and sends its request `number` times.
async fn serve(application: Router, path: &str, number: u64) -> Result<()> {
    let started = application.clone().oneshot(request("/start", None)).await?;
    let cookie = started.headers().get(header::SET_COOKIE).map(|line| line.to_str().map(pair)).transpose()?;
    let cookie = cookie.map(str::to_owned);
    for nth in 1..=number {
        let response = application.clone().oneshot(request(path, cookie.as_deref())).await?;
        ensure!(response.status() == StatusCode::OK, "{path}: {}", response.status());
        let body = response.into_body().collect().await?.to_bytes();
        let expected = if path == "/write" && cookie.is_some() { nth.to_string() } else { "0".to_owned() };
        ensure!(body == expected.as_bytes(), "{path}: {body:?} instead of {expected}");
    }
    Ok(())
}

/// The request of a browser on the application's own page.
fn request(path: &str, cookie: Option<&str>) -> Request<Body> {
    let request = Request::get(path)
        .header(header::HOST, "shop.example.com")
        .header(header::USER_AGENT, "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0")
        .header(header::ACCEPT, "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
        .header(header::ACCEPT_LANGUAGE, "en-GB,en;q=0.5")
        .header(header::ACCEPT_ENCODING, "gzip, deflate, br");
    let request = match cookie {
        Some(cookie) => request.header(header::COOKIE, cookie),
        None => request,
    };
    request.body(Body::empty()).expect("the headers are constants, or come from a response")
}

/// Name and value of a `Set-Cookie` line.
fn pair(line: &str) -> &str {
    line.split(';').next().unwrap_or(line)
}
