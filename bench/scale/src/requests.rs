//! What requests take in an application's memory while very many of them are under way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, bail};
use peak_alloc::PeakAlloc;
use place::Kind;
use serde::{Deserialize, Serialize};
use session_core::{Commit, Error, Manager};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use work::Payload;

use crate::resident;

/// How many requests each task makes, one after the other.
pub const ROUNDS: u64 = 3;

/// How many tasks prepare the sessions.
const PREPARING: u64 = 128;

/// Requests that were all under way at the same time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Requests {
    pub store: Kind,
    /// How many at once; each task makes [`ROUNDS`].
    pub requests: u64,
    /// The store's bound of waiting calls, where it was set.
    pub queue: Option<u64>,
    /// The most bytes that were allocated at one time, beyond those before.
    pub allocated: u64,
    /// The same by what the process held: what libraries in C allocate counts, too.
    pub resident: u64,
    pub seconds: f64,
    /// The longest request, in milliseconds.
    pub longest: f64,
    /// Requests that failed, by kind of error.
    pub failed: BTreeMap<String, u64>,
}

/// Opens, changes and saves a session each in `requests` tasks at once.
pub async fn requests(
    counted: &PeakAlloc,
    kind: Kind,
    url: &str,
    requests: u64,
    queue: Option<u64>,
) -> Result<Requests> {
    let url = match queue {
        Some(queue) => conformance::server::with(url, &format!("queue={queue}")),
        None => url.to_owned(),
    };
    let manager = Manager::new(store_any::connect(&url).await?);
    let cookies = prepared(&manager, requests).await?;

    let (allocated, held) = (counted.current_usage(), resident::now()?);
    counted.reset_peak_usage();
    resident::forget_peak()?;
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
        resident: resident::peak()?.saturating_sub(held),
        seconds: begun.elapsed().as_secs_f64(),
        longest,
        failed,
    })
}

/// What went wrong, and the longest request in milliseconds.
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

/// A session per request, and each one used once, so that nothing is done for the first time when it counts.
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
