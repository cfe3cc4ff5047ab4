//! Measures one application over HTTP, under this project's layer and under tower-sessions', driven by wrk.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use targets::{Kind, Target};
use tokio::process::Command;
use tokio::task::spawn_blocking;
use work::SESSIONS;

use crate::contestant::{Contestants, Programs};
use crate::plan::{BEFORE, Plan};

/// Stores that are served.
pub(crate) const KINDS: [Kind; 4] = [Kind::Memory, Kind::Sqlite, Kind::Postgres, Kind::Redis];

const PATHS: [&str; 3] = ["untouched", "read", "write"];
const CONNECTIONS: &str = "64";

/// One application under one load.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Served {
    pub(crate) kind: Kind,
    pub(crate) subject: String,
    pub(crate) path: String,
    /// Number of sessions that the requests are spread over.
    pub(crate) sessions: u64,
    pub(crate) rounds: Vec<Load>,
}

/// Figures that wrk reports.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Load {
    pub(crate) requests: u64,
    pub(crate) micros: u64,
    /// Number of broken connections and missing answers.
    pub(crate) broken: u64,
    /// Number of answers with a status of 400 and above.
    pub(crate) refused: u64,
    /// Median latency in microseconds.
    pub(crate) p50: u64,
    pub(crate) p99: u64,
}

impl Load {
    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 * 1e6 / self.micros as f64
    }
}

/// A running application, and the cookies of its sessions.
struct Application {
    subject: String,
    address: SocketAddr,
    cookies: Arc<tempfile::TempDir>,
}

/// Serves and loads everything in the plan.
pub(crate) async fn run(plan: &Plan, programs: &Programs, bar: &ProgressBar) -> Result<Vec<Served>> {
    has_wrk().await?;
    let mut all = Vec::new();
    for &kind in plan.stores.iter().filter(|kind| KINDS.contains(kind)) {
        bar.set_message(format!("{kind} over HTTP"));
        let target = Target::of(kind).await?;
        let mut contestants = Contestants::start(programs)?;
        let mut applications = Vec::new();
        let other = if plan.with_itself { BEFORE } else { "tower-sessions" };
        for subject in ["ours", other].map(|who| format!("{who}/{kind}")) {
            let address = contestants.serve(&subject, &target.url(&subject)).await?;
            let cookies = Arc::new(spawn_blocking(move || cookies(address)).await??);
            applications.push(Application { subject, address, cookies });
        }
        if kind == Kind::Memory {
            // Compared with the fastest store. It gets the same cookies and ignores them.
            let address = contestants.serve("bare/axum", "").await?;
            let cookies = Arc::clone(&applications[0].cookies);
            applications.push(Application { subject: "bare/axum".into(), address, cookies });
        }
        for path in PATHS {
            for sessions in [SESSIONS, 1] {
                bar.set_message(format!("{kind} over HTTP, {path}, {sessions} sessions"));
                all.extend(load_all(plan, kind, path, sessions, &applications).await?);
            }
        }
    }
    Ok(all)
}

async fn load_all(plan: &Plan, kind: Kind, path: &str, sessions: u64, to: &[Application]) -> Result<Vec<Served>> {
    let served = |application: &Application| Served {
        kind,
        subject: application.subject.clone(),
        path: path.into(),
        sessions,
        rounds: Vec::new(),
    };
    let mut all: Vec<Served> = to.iter().map(served).collect();
    for round in 0..plan.rounds {
        for turn in 0..to.len() {
            let at = (round + turn) % to.len();
            all[at].rounds.push(load(&to[at], path, sessions, plan.seconds / plan.rounds as f64).await?);
        }
    }
    Ok(all)
}

async fn has_wrk() -> Result<()> {
    let found = Command::new("wrk").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().await;
    ensure!(
        found.is_ok(),
        "requests are sent by wrk, which is not there: install the package wrk (`apt-get install wrk`)"
    );
    Ok(())
}

async fn load(application: &Application, path: &str, sessions: u64, seconds: f64) -> Result<Load> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/wrk.lua");
    // wrk counts whole seconds.
    let duration = format!("{}s", seconds.ceil().max(1.0));
    let mut wrk = Command::new("wrk");
    wrk.args(["--threads", "1", "--connections", CONNECTIONS, "--duration", &duration, "--script", script]);
    wrk.arg(format!("http://{}/{path}", application.address)).arg("--");
    wrk.arg(application.cookies.path().join(sessions.to_string()));
    let output = wrk.output().await?;
    ensure!(output.status.success(), "wrk failed: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().rfind(|line| line.starts_with('{')).context("wrk tells nothing")?;
    Ok(serde_json::from_str(line)?)
}

/// Makes sessions and writes their cookies to a file, and the cookie of one of them to another file.
fn cookies(address: SocketAddr) -> Result<tempfile::TempDir> {
    let agent = ureq::Agent::new_with_defaults();
    let folder = tempfile::tempdir()?;
    let mut lines = Vec::new();
    for _ in 0..SESSIONS {
        let response = agent.get(format!("http://{address}/write")).call()?;
        let Some(cookie) = response.headers().get("set-cookie") else { bail!("an application sets no cookie") };
        lines.push(cookie.to_str()?.split(';').next().unwrap_or_default().to_owned());
    }
    write(&folder.path().join(SESSIONS.to_string()), &lines)?;
    write(&folder.path().join("1"), &lines[..1])?;
    Ok(folder)
}

fn write(path: &Path, lines: &[String]) -> Result<()> {
    Ok(std::fs::write(path, lines.join("\n"))?)
}
