//! Measures the memory of an application with very many concurrent requests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, bail};
use peak_alloc::PeakAlloc;
use serde::{Deserialize, Serialize};
use session_core::{Commit, Error, Manager};
use targets::Kind;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use work::Payload;

use crate::rss;

/// Number of requests of each task, one after the other.
pub const ROUNDS: u64 = 3;

/// Number of tasks that prepare the sessions.
const PREPARING: u64 = 128;

/// Figures of concurrent requests.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Requests {
    pub store: Kind,
    /// Number of concurrent requests; each task makes [`ROUNDS`].
    pub requests: u64,
    /// Length of the store's queue, if it was set.
    pub queue: Option<u64>,
    /// Peak of allocated bytes, beyond those allocated before.
    pub allocated: u64,
    /// Peak of the process's resident bytes, beyond those held before. Allocations of C libraries count, too.
    pub resident: u64,
    pub seconds: f64,
    /// Time of the longest request, in milliseconds.
    pub longest: f64,
    /// Requests that failed, by kind of error.
    pub failed: BTreeMap<String, u64>,
}

/// Opens, changes and saves sessions in `requests` concurrent tasks, one session per task.
pub async fn requests(
    counted: &PeakAlloc,
    kind: Kind,
    url: &str,
    requests: u64,
    queue: Option<u64>,
) -> Result<Requests> {
    let url = match queue {
        Some(queue) => session_conformance::server::with(url, &format!("queue={queue}")),
        None => url.to_owned(),
    };
    let manager = Manager::new(session_store_any::connect(&url).await?);
    let cookies = prepared(&manager, requests).await?;

    let (allocated, held) = (counted.current_usage(), rss::now()?);
    counted.reset_peak_usage();
    rss::forget_peak()?;
    let begun = Instant::now();
    let start = Arc::new(Barrier::new(cookies.len()));
    let mut tasks = JoinSet::new();
    for cookie in cookies {
        tasks.spawn(one_task(manager.clone(), cookie, Arc::clone(&start)));
    }
    let (mut failed, mut longest) = (BTreeMap::new(), 0.0);
    while let Some(done) = tasks.join_next().await {
        let (errors, slowest) = done?;
        longest = f64::max(longest, slowest);
        for error in errors {
            *failed.entry(format!("{:?}", error.kind())).or_default() += 1;
        }
    }
    Ok(Requests {
        store: kind,
        requests,
        queue,
        allocated: counted.peak_usage().saturating_sub(allocated) as u64,
        resident: rss::peak()?.saturating_sub(held),
        seconds: begun.elapsed().as_secs_f64(),
        longest,
        failed,
    })
}

/// Makes the requests of one task. Returns the errors, and the longest request in milliseconds.
async fn one_task(manager: Manager, cookie: String, start: Arc<Barrier>) -> (Vec<Error>, f64) {
    start.wait().await;
    let (mut errors, mut longest) = (Vec::new(), 0.0);
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        errors.extend(request(&manager, &cookie).await.err());
        longest = f64::max(longest, begun.elapsed().as_secs_f64() * 1e3);
    }
    (errors, longest)
}

async fn request(manager: &Manager, cookie: &str) -> Result<(), Error> {
    let session = manager.open(Some(cookie)).await?;
    session.update("count", |count: &mut u64| *count += 1)?;
    manager.close(&session).await.map(drop)
}

/// Makes a session per task and uses each once, so that first-time costs are not measured.
async fn prepared(manager: &Manager, requests: u64) -> Result<Vec<String>> {
    let mut tasks = JoinSet::new();
    for task in 0..PREPARING {
        let manager = manager.clone();
        tasks.spawn(async move {
            let mut cookies = Vec::new();
            for _ in (task..requests).step_by(PREPARING as usize) {
                let cookie = new_session(&manager).await?;
                request(&manager, &cookie).await?;
                cookies.push(cookie);
            }
            anyhow::Ok(cookies)
        });
    }
    let mut all = Vec::new();
    while let Some(cookies) = tasks.join_next().await {
        all.extend(cookies??);
    }
    Ok(all)
}

async fn new_session(manager: &Manager) -> Result<String> {
    let session = manager.open(None).await?;
    let payload = Payload::of_size(200);
    session.insert("count", &payload.count)?;
    session.insert("filler", &payload.filler)?;
    match manager.close(&session).await? {
        Commit::Issue(ticket) => Ok(ticket.value.as_str().to_owned()),
        _ => bail!("a new session has no cookie"),
    }
}
