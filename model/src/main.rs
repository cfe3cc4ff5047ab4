#![doc = include_str!("../README.md")]

mod options;
mod target;

use std::process::ExitCode;

use clap::Parser as _;
use session_conformance::model::{Plan, Tally, replay, run, scene_seed};
use session_core::Result;

use options::Options;

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
    let mut plan = Plan::time(options.seed, options.seconds);
    if let Some(rounds) = options.rounds {
        plan.time = None;
        plan.rounds = Some(rounds);
    }
    let tally: Tally = run(&opened.target, &plan).await?;
    println!("{tally}");
    Ok(tally.broken.keys().all(|promise| options.expect.contains(promise)))
}
