//! Main loop of a contestant.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::{Order, Report, Subject, measure};

/// A program that opens subjects and serves applications.
#[async_trait]
pub trait Contestant {
    /// Opens the subject of this name at this URL, filled with sessions of this size in bytes.
    async fn open(&self, subject: &str, url: &str, size: usize) -> Result<Arc<dyn Subject>>;

    /// Returns the application over the subject's sessions. `GET /untouched` uses no session, `GET /read` reads the session's
    /// count, `GET /write` counts up. The last two answer with the count.
    async fn application(&self, subject: &str, url: &str) -> Result<Router>;
}

/// Carries out the orders on stdin until it ends.
pub fn contest(contestant: &impl Contestant) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let mut held = Held::default();
    for line in std::io::stdin().lock().lines() {
        let order = serde_json::from_str(&line?)?;
        let report = runtime
            .block_on(held.carry_out(order, contestant))
            .unwrap_or_else(|error| Report::Failed(format!("{error:#}")));
        let mut out = std::io::stdout().lock();
        serde_json::to_writer(&mut out, &report)?;
        out.write_all(b"\n")?;
        out.flush()?;
    }
    Ok(())
}

#[derive(Default)]
struct Held {
    subjects: HashMap<String, Arc<dyn Subject>>,
    servers: HashMap<String, JoinHandle<std::io::Result<()>>>,
}

impl Held {
    async fn carry_out(&mut self, order: Order, contestant: &impl Contestant) -> Result<Report> {
        match order {
            Order::Open { subject, url, size } => {
                let opened = contestant.open(&subject, &url, size).await;
                let opened = opened.with_context(|| format!("{subject} cannot be opened"))?;
                self.subjects.insert(subject, opened);
                Ok(Report::Done)
            }
            Order::Measure { subject, work, tasks, seconds } => {
                let opened = self.subjects.get(&subject).with_context(|| format!("{subject} is not open"))?;
                let length = Duration::from_secs_f64(seconds);
                // In a task of the runtime's threads, as an application's work is.
                let opened = Arc::clone(opened);
                let measured =
                    tokio::spawn(async move { measure::measure(&opened, work, tasks, length).await }).await?;
                Ok(Report::Measured(measured.with_context(|| format!("{subject} failed"))?))
            }
            Order::Serve { subject, url } => {
                let application = contestant.application(&subject, &url).await?;
                let listener = TcpListener::bind("127.0.0.1:0").await?;
                let address = listener.local_addr()?;
                let server = tokio::spawn(async move { axum::serve(listener, application).await });
                self.servers.insert(subject, server);
                Ok(Report::Serving(address))
            }
            Order::Close { subject } => {
                self.subjects.remove(&subject);
                if let Some(server) = self.servers.remove(&subject) {
                    server.abort();
                }
                Ok(Report::Done)
            }
        }
    }
}
