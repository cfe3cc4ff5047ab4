//! Builds and starts the programs that hold the stores, and sends them orders.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use targets::Kind;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use work::{Measured, Order, Report, Work};

use crate::plan::{BEFORE, PEERS, has_peer};

/// Paths of the built programs.
pub(crate) struct Programs {
    ours: PathBuf,
    /// The peers, or this project as it was before; `None` if no store has one of them.
    others: Option<PathBuf>,
}

/// Builds this project's program in release mode, and the peers' if one of `stores` has a peer.
pub(crate) async fn build(stores: &[Kind], allocations: bool) -> Result<Programs> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ours = build_one(&here.join("contestants"), &here.join("target"), "contestants", allocations, true).await?;
    let others = match stores.iter().any(|&kind| has_peer(kind)) {
        true => Some(build_one(&here.join("peers"), &here.join("target/peers"), "peers", allocations, true).await?),
        false => None,
    };
    Ok(Programs { ours, others })
}

/// Builds this project's program as it is, and as it was in the sources in the folder `before`.
pub(crate) async fn build_two(before: &Path, allocations: bool) -> Result<Programs> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (now, target) = (here.join("contestants"), here.join("target"));
    let then = before.join("bench/contestants");
    ensure!(then.is_dir(), "{} does not exist: is {} a checkout of this project?", then.display(), before.display());
    // One target folder for both, so that what both depend on is built once. The second program takes the first one's place.
    // An earlier state is built without `--locked`, because its lock file need not have been complete.
    let built = build_one(&then, &target, "contestants", allocations, false).await?;
    let aside = built.with_file_name("contestants-before");
    tokio::fs::copy(&built, &aside).await.with_context(|| format!("{} cannot be copied", built.display()))?;
    Ok(Programs { ours: build_one(&now, &target, "contestants", allocations, true).await?, others: Some(aside) })
}

async fn build_one(folder: &Path, target: &Path, name: &str, allocations: bool, locked: bool) -> Result<PathBuf> {
    // A counting build has its own folder, so that the next one without counting is not rebuilt.
    let target = if allocations { target.join("allocations") } else { target.to_owned() };
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Variables that cargo set for this program would make some build scripts run again.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            cargo.env_remove(name);
        }
    }
    cargo.args(["build", "--release", "--manifest-path"]).arg(folder.join("Cargo.toml"));
    if locked {
        cargo.arg("--locked");
    }
    cargo.arg("--target-dir").arg(&target);
    if allocations {
        cargo.args(["--features", "allocations"]);
    }
    let status = cargo.status().await.context("cargo cannot be started")?;
    ensure!(status.success(), "{name} was not built");
    Ok(target.join("release").join(name))
}

/// A running contestant.
struct Contestant {
    // The process is killed when this is dropped.
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
    others: Option<Contestant>,
}

impl Contestants {
    pub(crate) fn start(programs: &Programs) -> Result<Self> {
        let others = programs.others.as_deref().map(Contestant::start).transpose()?;
        Ok(Self { ours: Contestant::start(&programs.ours)?, others })
    }

    /// Returns the program that holds a subject, and the subject's name there.
    fn of(&mut self, subject: &str) -> Result<(&mut Contestant, String)> {
        let name = match subject.split_once('/') {
            Some((PEERS, _)) => subject.into(),
            Some((BEFORE, kind)) => format!("ours/{kind}"),
            _ => return Ok((&mut self.ours, subject.into())),
        };
        Ok((self.others.as_mut().context("the other program was not built")?, name))
    }

    pub(crate) async fn open(&mut self, subject: &str, url: &str, size: usize) -> Result<()> {
        let (contestant, subject) = self.of(subject)?;
        done(contestant.tell(&Order::Open { subject, url: url.into(), size }).await?)
    }

    pub(crate) async fn close(&mut self, subject: &str) -> Result<()> {
        let (contestant, subject) = self.of(subject)?;
        done(contestant.tell(&Order::Close { subject }).await?)
    }

    pub(crate) async fn serve(&mut self, subject: &str, url: &str) -> Result<SocketAddr> {
        let (contestant, subject) = self.of(subject)?;
        match contestant.tell(&Order::Serve { subject, url: url.into() }).await? {
            Report::Serving(address) => Ok(address),
            other => done(other).and_then(|()| bail!("a contestant serves nothing")),
        }
    }

    /// Measures a subject. The text of an error is a result, too, so that the table can show why a peer failed under load.
    pub(crate) async fn measure(
        &mut self,
        subject: &str,
        work: Work,
        tasks: u64,
        seconds: f64,
    ) -> Result<Result<Measured, String>> {
        let (contestant, subject) = self.of(subject)?;
        match contestant.tell(&Order::Measure { subject, work, tasks, seconds }).await? {
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
        Report::Measured(_) | Report::Serving(_) => bail!("a contestant sent an unexpected report"),
    }
}
