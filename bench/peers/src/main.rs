//! Contestant with the stores of tower-sessions.
//!
//! They have no touch. An expiry is extended by storing the session again, as their session does.

mod http;
mod open;
mod subjects;

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use axum::Router;
use work::{Contestant, Subject};

struct Peers;

#[async_trait]
impl Contestant for Peers {
    async fn open(&self, subject: &str, url: &str, size: usize) -> Result<Arc<dyn Subject>> {
        open::open(subject, url, size).await
    }

    async fn application(&self, subject: &str, url: &str) -> Result<Router> {
        http::application(subject, url).await
    }
}

fn main() -> Result<()> {
    work::contest(&Peers)
}
