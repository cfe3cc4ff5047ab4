#![doc = include_str!("../README.md")]

mod histories;
mod options;
mod target;
#[cfg(feature = "all")]
mod trouble;

use std::num::NonZeroU32;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser as _;
use session_conformance::model::{Plan, Tally, replay, run, scene_seed};
use session_core::{Call, Clock as _, Result, Store, SystemClock};

use options::Options;
use target::Opened;

fn main() -> ExitCode {
    let options = Options::parse();
    let mut runtime = if options.threads {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let done = runtime
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(play(&options)).map_err(|error| error.to_string()));
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Plays the scenes and prints the results. Returns `true` if only expected promises were broken.
async fn play(options: &Options) -> Result<bool> {
    let opened = target::open(options).await?;
    let scene = options.scene.or_else(|| options.round.map(|round| scene_seed(options.seed, round)));
    if let Some(scene) = scene {
        let (broken, trace) = replay(&opened.target, scene, options.repeat).await?;
        trace.iter().for_each(|line| println!("{line}"));
        println!("scene {scene:#x}: {} promises broken", broken.len());
        broken.iter().for_each(|promise| println!("  {promise}"));
        return Ok(broken.iter().all(|promise| options.expect.contains(promise)));
    }
    println!("seed {} over {}", options.seed, options.store);
    if options.history {
        return histories::check(&opened, options).await;
    }
    let mut plan = Plan::time(options.seed, options.seconds);
    if let Some(rounds) = options.rounds {
        plan.time = None;
        plan.rounds = Some(rounds);
    }
    let tally: Tally = match &opened.instances {
        Some([store, _]) if options.trouble => run_in_trouble(&opened, store, &plan).await?,
        _ => run(&opened.target, &plan).await?,
    };
    println!("{tally}");
    Ok(tally.broken.keys().all(|promise| options.expect.contains(promise)))
}

/// Plays the scenes of `plan` while the store loses its server now and then.
///
/// A scene that cannot be begun or checked for want of the server is left out.
async fn run_in_trouble(opened: &Opened, store: &Arc<dyn Store>, plan: &Plan) -> Result<Tally> {
    let (begun, mut total, mut left_out) = (Instant::now(), Tally::default(), 0);
    let mut next = *plan;
    (next.rounds, next.time) = (Some(1), None);
    while plan.rounds.is_none_or(|rounds| next.first - plan.first < rounds)
        && plan.time.is_none_or(|time| begun.elapsed() < time)
    {
        match run(&opened.target, &next).await {
            Ok(one) => total += one,
            Err(error) if error.is_transient() => left_out += 1,
            Err(error) => return Err(error),
        }
        // What the scene sent last may still arrive, and what it left would be taken for the next scene's.
        while !is_empty(store).await {}
        opened.check_trouble()?;
        next.first += 1;
    }
    println!("{left_out} scenes left out, because the server was away at their beginning or end");
    total.elapsed = begun.elapsed();
    Ok(total)
}

/// Removes all sessions that are stored. Returns whether none was found for a while.
async fn is_empty(store: &Arc<dyn Store>) -> bool {
    /// Time in which a call whose answer was lost takes effect.
    const SETTLED: Duration = Duration::from_millis(20);
    const PAGE: NonZeroU32 = NonZeroU32::new(1_000).expect("not zero");
    tokio::time::sleep(SETTLED).await;
    // Scenes play in the past, and so do the sessions that they leave.
    let call = Call::new(SystemClock.now().minus(session_core::days(1)));
    let Ok(page) = store.scan(&call, None, PAGE).await else { return false };
    for (key, _) in &page.records {
        if store.delete(&call, key, None).await.is_err() {
            return false;
        }
    }
    page.records.is_empty()
}
