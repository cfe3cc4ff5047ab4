//! Command-line options.

use std::time::Duration;

use clap::Parser;
use session_conformance::model::Promise;

/// Plays random scenes over a store, and checks what the core promises.
#[derive(Debug, Parser)]
#[command(name = "model")]
pub(crate) struct Options {
    /// Store: memory, file, sqlite, redb, or a server that the suite starts, such as redis or postgres.
    #[arg(long, default_value = "memory")]
    pub(crate) store: String,
    /// URL of a store, in place of `--store`. Its records are deleted.
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// Time in seconds after which no new scene is started.
    #[arg(long, default_value = "60", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// Seed from which the scenes are derived.
    #[arg(long, default_value_t = 1, value_parser = number)]
    pub(crate) seed: u64,
    /// Number of scenes, in place of `--seconds`.
    #[arg(long)]
    pub(crate) rounds: Option<u64>,
    /// Play scenes on several threads.
    #[arg(long)]
    pub(crate) threads: bool,
    /// Reset connections, lose replies and restart the server meanwhile. Needs `--store` with a server.
    #[arg(long)]
    pub(crate) trouble: bool,
    /// Check histories of random calls to the store against its contract, in place of scenes.
    #[arg(long)]
    pub(crate) history: bool,
    /// Replay the scene with this seed, and print a trace.
    #[arg(long, value_parser = number)]
    pub(crate) scene: Option<u64>,
    /// Replay the scene with this number in the run of `--seed`, and print a trace.
    #[arg(long, conflicts_with = "scene")]
    pub(crate) round: Option<u64>,
    /// Maximum number of replays of the scene. They stop once it breaks a promise.
    #[arg(long, default_value_t = 1)]
    pub(crate) repeat: u64,
    /// Promises that are known to be broken. They do not fail the command.
    #[arg(long, value_delimiter = ',')]
    pub(crate) expect: Vec<Promise>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_secs).map_err(|_| "not a number of seconds".into())
}

/// Parses a number in decimal, or in hexadecimal after `0x`.
fn number(text: &str) -> Result<u64, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::Options;

    #[test]
    fn a_scene_is_named_as_the_report_prints_it() {
        let options = Options::parse_from(["model", "--scene", "0x1f", "--expect", "ghost,update-lost"]);
        assert_eq!(options.scene, Some(31));
        assert_eq!(options.expect.len(), 2);
    }

    #[test]
    fn an_unknown_promise_is_refused() {
        assert!(Options::try_parse_from(["model", "--expect", "no-such-promise"]).is_err());
    }
}
