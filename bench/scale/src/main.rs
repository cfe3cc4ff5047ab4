//! Measures scale and memory. `cargo run --release -p scale -- --help` lists the options.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, ValueEnum};
use scale::results::Results;
use scale::{growth, memory, purge, table};
use targets::Kind;

/// Maximum number of sessions for stores that are slow to fill.
const MANY: u64 = 1_000_000;

/// Measures how this project's stores grow, what a purge costs concurrent work, and how much memory is taken.
#[derive(Debug, Parser)]
struct Arguments {
    /// Stores to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Kind::ALL)]
    stores: Vec<Kind>,
    /// Parts to measure; all of them by default.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Part::Growth, Part::Purge, Part::Memory])]
    only: Vec<Part>,
    /// Growth: numbers of sessions that a store is filled with, one after the other.
    #[arg(long, value_delimiter = ',', default_value = "10000,1000000", value_parser = clap::value_parser!(u64).range(1000..=10_000_000))]
    sessions: Vec<u64>,
    /// Purge: number of expired sessions that are removed beside the work.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1000..=10_000_000))]
    expired: u64,
    /// Memory: numbers of concurrent requests.
    #[arg(long, value_delimiter = ',', default_value = "10000,20000", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    requests: Vec<u64>,
    /// Seconds for each figure.
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    seconds: f64,
    /// Measures nothing and shows the tables of scale.json again.
    #[arg(long)]
    redraw: bool,
    /// Folder for scale.json, in which new figures replace old ones.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../results"))]
    out: PathBuf,
}

/// Part of the measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Work over few sessions and over many.
    Growth,
    /// Work beside a purge.
    Purge,
    /// Sessions at rest in memory, and requests at once.
    Memory,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds".to_owned())?;
    if (0.1..=600.0).contains(&seconds) { Ok(seconds) } else { Err("0.1 to 600".to_owned()) }
}

impl Arguments {
    fn checked() -> Self {
        let arguments = Self::parse();
        let slow = arguments.stores.iter().find(|kind| !matches!(kind, Kind::Memory | Kind::Sqlite | Kind::Postgres));
        if let (Some(kind), true) = (slow, arguments.sessions.iter().any(|&sessions| sessions > MANY)) {
            let text = format!("more than {MANY} sessions are for memory, sqlite and postgres, not for {kind}");
            Self::command().error(ErrorKind::ValueValidation, text).exit();
        }
        arguments
    }

    fn wants(&self, part: Part) -> bool {
        self.only.contains(&part)
    }

    async fn measure(&self, results: &mut Results) -> Result<()> {
        if self.wants(Part::Memory) && self.stores.contains(&Kind::Memory) {
            memory::idle().await.context("sessions at rest")?.into_iter().for_each(|idle| results.add_idle(idle));
        }
        for &kind in &self.stores {
            self.measure_one(kind, results).await.with_context(|| kind.to_string())?;
        }
        Ok(())
    }

    /// Measures one kind of store. Writes each result at once, so that no result is lost if a later measurement fails.
    async fn measure_one(&self, kind: Kind, results: &mut Results) -> Result<()> {
        if self.wants(Part::Growth) {
            for &sessions in &self.sessions {
                results.add_growth(growth::growth(kind, sessions, self.seconds).await?);
                results.write(&self.out)?;
            }
        }
        if self.wants(Part::Purge) {
            match purge::beside(kind, self.expired, self.seconds).await? {
                Some(beside) => results.add_purge(beside),
                None => {
                    eprintln!("{kind}: the server removes expired sessions by itself, there is no purge to measure")
                }
            }
            results.write(&self.out)?;
        }
        if self.wants(Part::Memory) {
            for requests in memory::requests(kind, &self.requests).await? {
                results.add_requests(requests);
            }
            results.write(&self.out)?;
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::checked();
    let mut results = Results::read(&arguments.out)?;
    if !arguments.redraw {
        // In a task of the runtime's threads, as an application's work is.
        results = tokio::spawn(async move { arguments.measure(&mut results).await.map(|()| results) }).await??;
    }
    print!("{}", table::tables(&results));
    Ok(())
}
