//! Runs clauses of the suite over the stores of tower-sessions.
//!
//! `cargo xtask bench-peers` starts it; `-- --help` lists the options. A failed clause is a result. This program fails only if a
//! store cannot be opened.

mod adapter;
mod harness;
mod kind;
mod lifetimes;
mod peer;
mod reasons;
mod selection;
mod table;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Parser;
use futures_util::future::join_all;
use session_conformance::{Clause, ClauseResult, Finding, Suite};

use adapter::TOO_SLOW;
use harness::Peers;
use kind::Kind;
use selection::{SELECTED, Selected, clause};
use table::Found;

/// Runs clauses of the suite over the stores of tower-sessions, through an adapter.
#[derive(Debug, Parser)]
struct Arguments {
    /// Stores; all of them if none is named.
    #[arg(long, value_enum, value_delimiter = ',')]
    stores: Vec<Kind>,
    /// Opens the stores as documented, without the time-outs and reconnection that their drivers offer.
    #[arg(long)]
    as_documented: bool,
    /// Folder for peers.json, which is written if all clauses were run over all stores.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../results"))]
    out: PathBuf,
    /// Clauses by name, such as `save.deleted`; all that are selected if none is named.
    clauses: Vec<String>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let clauses = clauses(&arguments.clauses)?;
    let stores = if arguments.stores.is_empty() { Kind::ALL } else { &arguments.stores };
    // As many threads as in the suite's own runs, because some clauses are races.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build()?;
    let ended = runtime.block_on(join_all(stores.iter().map(|kind| run(*kind, arguments.as_documented, &clauses))));
    let (mut found, mut failed) = (Vec::new(), Vec::new());
    for (kind, ended) in stores.iter().zip(ended) {
        match ended {
            Ok(report) => found.push(report),
            Err(error) => failed.push(format!("{kind} cannot be opened: {error:#}")),
        }
    }
    println!("{}", table::markdown(&found, &clauses));
    let all = found.len() == Kind::ALL.len() && clauses.len() == SELECTED.len();
    if all && !arguments.as_documented {
        write(&found, &arguments.out)?;
    }
    if !failed.is_empty() {
        bail!(failed.join("\n"));
    }
    Ok(())
}

fn clauses(names: &[String]) -> Result<Vec<&'static Selected>> {
    for name in names {
        if !SELECTED.iter().any(|selected| selected.name == name) {
            bail!("{name} is none of the clauses that make sense for these stores: {}", table::names());
        }
    }
    Ok(SELECTED.iter().filter(|selected| names.is_empty() || names.iter().any(|name| name == selected.name)).collect())
}

/// Runs the clauses of a store one after the other. Stores run concurrently, because the clauses mostly wait.
async fn run(kind: Kind, as_documented: bool, clauses: &[&Selected]) -> Result<Found> {
    let suite = Suite::new(Peers::start(kind, as_documented).await?);
    let mut findings = Vec::new();
    for selected in clauses {
        let finding = check(&suite, clause(selected.name).context("no such clause")?, selected.race).await;
        eprintln!("{kind}: {} after {} ms", selected.name, finding.millis);
        findings.push(finding);
    }
    Ok(Found { store: kind, report: suite.report(findings) })
}

/// Runs a clause. A race that passes may pass by luck, so it is run eight more times, all at once.
async fn check(suite: &Suite, clause: &'static Clause, race: bool) -> Finding {
    let once = in_time(suite, clause).await;
    if !race || once.result != ClauseResult::Passed {
        return once;
    }
    let more = join_all((0..8).map(|_| in_time(suite, clause))).await;
    more.into_iter().find(|finding| finding.result != ClauseResult::Passed).unwrap_or(once)
}

/// Runs a clause, and retries it if it failed because the machine was too slow.
async fn in_time(suite: &Suite, clause: &'static Clause) -> Finding {
    let mut finding = suite.check(clause).await;
    for _ in 0..4 {
        match &finding.result {
            ClauseResult::Failed(said) if said.contains(TOO_SLOW) => finding = suite.check(clause).await,
            _ => break,
        }
    }
    finding
}

fn write(found: &[Found], folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let path = folder.join("peers.json");
    fs::write(&path, serde_json::to_string_pretty(found)? + "\n")
        .with_context(|| format!("{} cannot be written", path.display()))?;
    eprintln!("results: {}", path.display());
    Ok(())
}
