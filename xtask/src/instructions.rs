//! `cargo xtask bench-instructions`: counts the processor's instructions of one request under each session layer.
//!
//! Counts hardly vary, unlike times. So they show small changes, and `.ci/run` can compare them with those of before.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::debian;
use crate::process;
use crate::progress;
use crate::result::Result;
use crate::workspace::{Workspace, cargo};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Count only this project's layer, and fail if it takes a tenth more than the results say.
    #[arg(long)]
    check: bool,
}

/// Number of requests in the shorter of two runs, and of further requests in the longer one.
const REQUESTS: [u64; 2] = [100, 500];

/// Maximum time of one run. It takes two seconds on a machine with nothing else to do.
const LONGEST: Duration = Duration::from_secs(300);

const ADVICE: &str = "instructions are counted by Valgrind: install it (`apt-get install valgrind`); as root on Debian this command installs it by itself";

const KINDS: [&str; 3] = ["untouched", "read", "write"];

const NO_LAYER: &str = "none";
const OURS: &str = "session-tower";
const PEER: &str = "tower-sessions";

/// Instructions of one request, by kind of request and by layer.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
struct Counts(BTreeMap<String, BTreeMap<String, u64>>);

impl Counts {
    /// Returns the instructions that a layer adds to a request of this kind.
    fn over_bare(&self, kind: &str, layer: &str) -> Option<u64> {
        let of = self.0.get(kind)?;
        Some(of.get(layer)?.saturating_sub(*of.get(NO_LAYER)?))
    }
}

/// Counts, and prints a table. Returns whether the counts are within their bounds.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool> {
    debian::need(&["valgrind"], "valgrind", ADVICE)?;
    let folder = workspace.root.join("bench/instructions");
    let program = build(&folder, options.check)?;
    let layers: &[&str] = if options.check { &[NO_LAYER, OURS] } else { &[NO_LAYER, OURS, PEER] };
    let mut counts = Counts::default();
    for kind in KINDS {
        for layer in layers {
            let [few, many] = REQUESTS.map(|more| count(&program, layer, kind, more));
            let one = many?.saturating_sub(few?) / (REQUESTS[1] - REQUESTS[0]);
            counts.0.entry(kind.to_owned()).or_default().insert((*layer).to_owned(), one);
        }
    }
    let results = workspace.root.join("bench/results/instructions.json");
    if options.check {
        return Ok(is_within(&counts, &serde_json::from_str(&fs::read_to_string(results)?)?));
    }
    fs::write(results, serde_json::to_string_pretty(&counts)? + "\n")?;
    print(&counts);
    Ok(true)
}

/// Builds the program, without the peer's layer if it is not needed.
fn build(folder: &Path, ours_only: bool) -> Result<PathBuf> {
    let mut cargo = cargo();
    cargo.current_dir(folder).env_remove("CARGO_TARGET_DIR").args(["build", "--release"]);
    cargo.args(["--target-dir", "../target/instructions"]);
    if ours_only {
        cargo.arg("--no-default-features");
    }
    progress::long("cargo build (bench/instructions)", &mut cargo)?;
    Ok(folder.join("../target/instructions/release/instructions"))
}

/// Counts the instructions of a run that serves `requests` requests.
fn count(program: &Path, layer: &str, kind: &str, requests: u64) -> Result<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--log-fd=1"]);
    let ended = process::run(valgrind.arg(program).args([layer, kind, &requests.to_string()]), LONGEST)?;
    let collected = ended.output.iter().find_map(|line| line.split_once("Collected :"));
    let number = collected.filter(|_| ended.well).and_then(|(_, number)| number.trim().parse().ok());
    number.ok_or_else(|| format!("valgrind has counted nothing:\n{}", ended.output.join("\n")).into())
}

/// Compares what this project's layer takes now with what the results say. Prints both.
fn is_within(now: &Counts, before: &Counts) -> bool {
    let mut within = true;
    for kind in KINDS {
        let (Some(now), Some(before)) = (now.over_bare(kind, OURS), before.over_bare(kind, OURS)) else {
            println!("{kind}: not in bench/results/instructions.json");
            within = false;
            continue;
        };
        let more = now > before + before / 10;
        within &= !more;
        let verdict = if more { "more than a tenth above" } else { "within a tenth of, or below" };
        println!("{kind}: the layer takes {now} instructions, {verdict} the {before} of the results");
    }
    if !within {
        println!(
            "find out why by `valgrind --tool=callgrind`, or run `cargo xtask bench-instructions` if the cost is worth it"
        );
    }
    within
}

fn print(counts: &Counts) {
    println!("| request | no layer | this project adds | tower-sessions adds | ratio |\n|---|--:|--:|--:|--:|");
    for kind in KINDS {
        let bare = counts.0.get(kind).and_then(|of| of.get(NO_LAYER));
        if let (Some(bare), Some(ours), Some(peer)) = (bare, counts.over_bare(kind, OURS), counts.over_bare(kind, PEER))
        {
            println!("| {kind} | {bare} | {ours} | {peer} | {:.2} |", ours as f64 / peer as f64);
        }
    }
}
