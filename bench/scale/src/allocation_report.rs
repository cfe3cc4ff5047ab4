//! Orders to the program with the counting allocator, and its reports: one order on its standard input, one report on its output.
//! Each figure has its own process, so that none profits from memory that an earlier one allocated.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use peak_alloc::PeakAlloc;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use targets::Kind;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::idle_memory::{Idle, idle as measure_idle};
use crate::population::Population;
use crate::requests::{Requests, requests as measure_requests};

/// Order to the program.
#[derive(Serialize, Deserialize)]
enum Order {
    Idle { population: Population, loaded: bool },
    Requests { kind: Kind, url: String, requests: u64, queue: Option<u64> },
}

/// Measures the memory of sessions at rest in `session-store-memory`.
pub async fn idle(population: Population, loaded: bool) -> Result<Idle> {
    ask(&Order::Idle { population, loaded }).await
}

/// Measures the memory of this many concurrent requests on the store at `url`.
pub async fn requests(kind: Kind, url: &str, requests: u64, queue: Option<u64>) -> Result<Requests> {
    ask(&Order::Requests { kind, url: url.to_owned(), requests, queue }).await
}

async fn ask<T: DeserializeOwned>(order: &Order) -> Result<T> {
    let program = std::env::current_exe()?.with_file_name("counted");
    let mut command = Command::new(&program);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let missing = || format!("{}: `cargo build --release -p scale` builds it", program.display());
    let mut child = command.spawn().with_context(missing)?;
    let mut orders = child.stdin.take().context("no standard input")?;
    // Not an argument, because process lists would show the URL's password.
    orders.write_all(&serde_json::to_vec(order)?).await?;
    drop(orders);
    let output = child.wait_with_output().await?;
    ensure!(output.status.success(), "the program that counts ended by {}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Carries out the order on the standard input.
pub async fn answer(counted: &PeakAlloc) -> Result<()> {
    let report = match serde_json::from_reader(std::io::stdin())? {
        Order::Idle { population, loaded } => serde_json::to_string(&measure_idle(counted, population, loaded).await?)?,
        Order::Requests { kind, url, requests, queue } => {
            serde_json::to_string(&measure_requests(counted, kind, &url, requests, queue).await?)?
        }
    };
    println!("{report}");
    Ok(())
}
