//! The programs that hold what is measured: built, started and told what to do.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use work::{Measured, Order, Report, Work};

/// Where the built programs are.
pub(crate) struct Programs {
    ours: PathBuf,
    peers: PathBuf,
}

/// Builds both, in release.
pub(crate) async fn build(allocations: bool) -> Result<Programs> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(Programs {
        ours: build_one(&here.join("ours"), &here.join("target"), "ours", allocations).await?,
        peers: build_one(&here.join("peers"), &here.join("target/peers"), "peers", allocations).await?,
    })
}

async fn build_one(folder: &Path, target: &Path, name: &str, allocations: bool) -> Result<PathBuf> {
    // A build that counts lies elsewhere, so that the next one that does not is not built anew.
    let target = if allocations { target.join("allocations") } else { target.to_owned() };
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What cargo told this program of itself would make build scripts run anew that look at it.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            cargo.env_remove(name);
        }
    }
    cargo.args(["build", "--release", "--locked", "--manifest-path"]).arg(folder.join("Cargo.toml"));
    cargo.arg("--target-dir").arg(&target);
    if allocations {
        cargo.args(["--features", "allocations"]);
    }
    let status = cargo.status().await.context("cargo cannot be started")?;
    ensure!(status.success(), "{name} was not built");
    Ok(target.join("release").join(name))
}

/// A contestant that runs.
struct Contestant {
    // Killed when dropped.
    _child: Child,
    orders: ChildStdin,
    reports: Lines<BufReader<ChildStdout>>,
}

impl Contestant {
    fn start(program: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("{} cannot be started", program.display()))?;
        let orders = child.stdin.take().context("no stdin")?;
        let reports = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        Ok(Self { _child: child, orders, reports })
    }

    async fn tell(&mut self, order: &Order) -> Result<Report> {
        let line = serde_json::to_string(order)? + "\n";
        self.orders.write_all(line.as_bytes()).await?;
        let report = self.reports.next_line().await?.context("a contestant ended")?;
        Ok(serde_json::from_str(&report)?)
    }
}

/// Both contestants.
pub(crate) struct Contestants {
    ours: Contestant,
    peers: Contestant,
}

impl Contestants {
    pub(crate) fn start(programs: &Programs) -> Result<Self> {
        Ok(Self { ours: Contestant::start(&programs.ours)?, peers: Contestant::start(&programs.peers)? })
    }

    fn of(&mut self, subject: &str) -> &mut Contestant {
        if subject.starts_with("tower-sessions/") { &mut self.peers } else { &mut self.ours }
    }

    pub(crate) async fn open(&mut self, subject: &str, url: &str, size: usize) -> Result<()> {
        let order = Order::Open { subject: subject.into(), url: url.into(), size };
        done(self.of(subject).tell(&order).await?)
    }

    pub(crate) async fn close(&mut self, subject: &str) -> Result<()> {
        done(self.of(subject).tell(&Order::Close { subject: subject.into() }).await?)
    }

    pub(crate) async fn serve(&mut self, subject: &str, url: &str) -> Result<SocketAddr> {
        let order = Order::Serve { subject: subject.into(), url: url.into() };
        match self.of(subject).tell(&order).await? {
            Report::Serving(address) => Ok(address),
            other => done(other).and_then(|()| bail!("a contestant serves nothing")),
        }
    }

    /// The text of an error is a result, too: a peer that fails under load is not measured, and says why.
    pub(crate) async fn measure(
        &mut self,
        subject: &str,
        work: Work,
        tasks: u64,
        seconds: f64,
    ) -> Result<Result<Measured, String>> {
        let order = Order::Measure { subject: subject.into(), work, tasks, seconds };
        match self.of(subject).tell(&order).await? {
            Report::Measured(measured) => Ok(Ok(measured)),
            Report::Failed(error) => Ok(Err(error)),
            Report::Done | Report::Serving(_) => bail!("a contestant measured nothing"),
        }
    }
}

fn done(report: Report) -> Result<()> {
    match report {
        Report::Done => Ok(()),
        Report::Failed(error) => bail!(error),
        Report::Measured(_) | Report::Serving(_) => bail!("a contestant does what nobody asked for"),
    }
}
