//! `cargo xtask model`: plays random scenes over a store.

use crate::result::Result;
use crate::workspace::Workspace;

/// Stores that the program includes without its feature `all`.
const EMBEDDED: [&str; 4] = ["memory", "file", "sqlite", "redb"];

/// Arguments that are passed on to the program.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// Options of the program; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    more: Vec<String>,
}

/// Runs the program. Returns whether it succeeded: no promise was broken, except those that are expected to be.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool> {
    let mut cargo = workspace.cargo();
    cargo.args(["run", "--release", "--quiet", "--locked", "--package", "model"]);
    if needs_all(&options.more) {
        cargo.args(["--features", "all"]);
    }
    Ok(cargo.arg("--").args(&options.more).status()?.success())
}

/// Whether the arguments name a store that is not embedded.
fn needs_all(words: &[String]) -> bool {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (&**word, None),
        };
        match name {
            "--url" => return true,
            "--store" => {
                let store = value.or_else(|| words.next().map(String::as_str));
                return store.is_some_and(|store| !EMBEDDED.contains(&store));
            }
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::needs_all;

    #[test]
    fn a_server_takes_the_feature_and_an_embedded_store_does_not() {
        let needs = |line: &str| needs_all(&line.split(' ').map(String::from).collect::<Vec<_>>());
        assert!(needs("--seed 7 --store redis"));
        assert!(needs("--store=postgres"));
        assert!(needs("--url redis://localhost"));
        assert!(!needs("--seconds 60 --store sqlite"));
        assert!(!needs("--seconds 60"));
    }
}
