//! Measures scale and memory. `cargo run --release -p scale -- --help` lists the options.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, ValueEnum};
use scale::results::Results;
use scale::{growth, memory, plot, purge, table};
use targets::Kind;

/// Numbers of sessions that each store is filled with, one after the other.
const FEW: [u64; 2] = [10_000, 1_000_000];
/// A further number, for stores that are filled quickly.
const MANY: u64 = 10_000_000;

/// Measures how this project's stores grow, what a purge costs concurrent work, and how much memory is taken.
#[derive(Debug, Parser)]
struct Arguments {
    /// Stores to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Kind::ALL)]
    stores: Vec<Kind>,
    /// Parts to measure; all of them by default.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Part::Growth, Part::Purge, Part::Memory])]
    only: Vec<Part>,
    /// Growth: numbers of sessions that a store is filled with, one after the other. By default 10,000 and 1,000,000, and on sqlite,
    /// postgres and redis also 10,000,000.
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1000..=MANY))]
    sessions: Vec<u64>,
    /// Purge: number of expired sessions that are removed beside the work.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1000..=10_000_000))]
    expired: u64,
    /// Growth and purge: options to add to each store's URL, such as `readers=1`.
    #[arg(long, default_value = "")]
    options: String,
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

const fn is_quickly_filled(kind: Kind) -> bool {
    use Kind::{Memcached, Memory, Postgres, Redb, Redis, Sqlite, SqliteFull, Valkey};
    matches!(kind, Memory | Sqlite | SqliteFull | Redb | Postgres | Redis | Valkey | Memcached)
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds".to_owned())?;
    if (0.1..=600.0).contains(&seconds) { Ok(seconds) } else { Err("0.1 to 600".to_owned()) }
}

impl Arguments {
    fn checked() -> Self {
        let arguments = Self::parse();
        let slow = arguments.stores.iter().find(|&&kind| !is_quickly_filled(kind));
        if let (Some(kind), true) = (slow, arguments.sessions.iter().any(|&sessions| sessions > FEW[1])) {
            let text = format!("more than {} sessions are for stores that are filled quickly, not for {kind}", FEW[1]);
            Self::command().error(ErrorKind::ValueValidation, text).exit();
        }
        arguments
    }

    fn sessions(&self, kind: Kind) -> Vec<u64> {
        match kind {
            _ if !self.sessions.is_empty() => self.sessions.clone(),
            Kind::Sqlite | Kind::Postgres | Kind::Redis => FEW.into_iter().chain([MANY]).collect(),
            _ => FEW.to_vec(),
        }
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
            for sessions in self.sessions(kind) {
                results.add_growth(growth::growth(kind, &self.options, sessions, self.seconds).await?);
                results.write(&self.out)?;
            }
        }
        if self.wants(Part::Purge) {
            match purge::beside(kind, &self.options, self.expired, self.seconds).await? {
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
    let out = arguments.out.clone();
    let mut results = Results::read(&out)?;
    if !arguments.redraw {
        // In a task of the runtime's threads, as an application's work is.
        results = tokio::spawn(async move { arguments.measure(&mut results).await.map(|()| results) }).await??;
    }
    print!("{}", table::tables(&results));
    plot::growth(&results.growth, &out)?;
    Ok(())
}
