//! Measures this project's stores, tower-sessions' and the bare drivers, side by side in one run.
//!
//! `cargo run --release -- --help` lists the options. Results are written to `results/`.

mod contestant;
mod http;
mod markdown;
mod plan;
mod plot;
mod results;
mod run;
mod table;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Parser;
use targets::Kind;

use plan::Plan;
use results::Results;
use work::Work;

/// Measures session stores side by side.
#[derive(Debug, Parser)]
struct Arguments {
    /// Stores to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Kind::ALL)]
    stores: Vec<Kind>,
    /// Kinds of work: load, load+save, create, touch, hot, "95% reads".
    #[arg(long, value_parser = work_of_name, value_delimiter = ',', default_value = "load,load+save,create,touch,hot,95% reads")]
    work: Vec<Work>,
    /// Numbers of concurrent tasks.
    #[arg(long, value_delimiter = ',', default_value = "1,32,128")]
    tasks: Vec<u64>,
    /// Sizes of sessions in bytes.
    #[arg(long, value_delimiter = ',', default_value = "200,4096")]
    sizes: Vec<usize>,
    /// Seconds for each figure, all rounds together.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Number of rounds. Each subject is measured in every round, so that noise affects all alike.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// A short run: load and load+save of 200 bytes by 1 and 32 tasks. Only shows whether a change was worth it.
    #[arg(long)]
    check: bool,
    /// Leaves out the applications over HTTP, which need wrk.
    #[arg(long)]
    no_http: bool,
    /// Counts allocations. This slows all subjects down, so the speeds of such a run are less reliable.
    #[arg(long)]
    allocations: bool,
    /// Compares this project with an earlier state of itself, whose sources are in this folder, and with nothing else.
    /// `cargo xtask bench-against <commit>` makes such a folder.
    #[arg(long)]
    against: Option<PathBuf>,
    /// Measures nothing: shows the tables of the last run's results.json, and draws its plots again.
    #[arg(long)]
    redraw: bool,
    /// Prints the results as tables in Markdown.
    #[arg(long)]
    markdown: bool,
    /// Folder for results.json and the plots: by default `results`, for a short run `target/check`, and for one with `--against` `target/against`.
    #[arg(long)]
    out: Option<PathBuf>,
}

fn work_of_name(name: &str) -> Result<Work, String> {
    let known = || Work::ALL.map(Work::name).join(", ");
    Work::ALL.into_iter().find(|work| work.name() == name).ok_or_else(|| format!("known are {}", known()))
}

impl Arguments {
    /// Returns the folder for results. What is not for publication has its own, so that it does not replace published results.
    fn out(&self) -> PathBuf {
        let usual = match (&self.against, self.check) {
            (Some(_), _) => "target/against",
            (None, true) => "target/check",
            (None, false) => "results",
        };
        self.out.clone().unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(usual))
    }

    fn plan(&self) -> Plan {
        let mut plan = Plan {
            stores: self.stores.clone(),
            work: self.work.clone(),
            tasks: self.tasks.clone(),
            sizes: self.sizes.clone(),
            seconds: self.seconds,
            rounds: self.rounds.max(1),
            http: !self.no_http && !self.check,
            with_itself: self.against.is_some(),
            out: self.out(),
        };
        if self.check {
            plan.work = vec![Work::Load, Work::LoadSave];
            plan.tasks = vec![1, 32];
            plan.sizes = vec![200];
            plan.seconds = 1.5;
            plan.rounds = 3;
        }
        plan
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let plan = arguments.plan();
    let results = if arguments.redraw {
        Results::read(&plan.out)?
    } else {
        eprintln!("building …");
        let programs = match &arguments.against {
            Some(before) => contestant::build_two(before, arguments.allocations).await?,
            None => contestant::build(&plan.stores, arguments.allocations).await?,
        };
        run::run(&plan, &programs).await?
    };
    if arguments.markdown {
        println!("{}\n{}", markdown::stores(&results), markdown::http(&results));
    } else {
        println!("{}", table::table(&results));
        if !results.http.is_empty() {
            println!("{}", table::http(&results));
        }
    }
    if !arguments.check && arguments.against.is_none() {
        plot::plots(&results, &plan.out)?;
    }
    eprintln!("results: {}", plan.out.display());
    Ok(())
}
