//! `cargo xtask model`: random scenes over a store.

use std::path::Path;
use std::process::Command;

use crate::Result;

/// Stores that the program has without its feature `all`.
const EMBEDDED: [&str; 3] = ["memory", "file", "sqlite"];

/// What is passed on, but for the store.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The store: memory, file, sqlite, or the name of a server that the suite starts.
    #[arg(long, default_value = "memory")]
    store: String,
    /// Options of the program; `-- --help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    more: Vec<String>,
}

/// Runs the program; whether no promise was broken that is not expected to be.
pub(crate) fn run(root: &Path, options: &Options) -> Result<bool> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).args(["run", "--release", "--quiet", "--locked", "--package", "model"]);
    let embedded = EMBEDDED.contains(&&*options.store) && !options.more.iter().any(|word| word.starts_with("--url"));
    if !embedded {
        cargo.args(["--features", "all"]);
    }
    cargo.args(["--", "--store", &options.store]).args(&options.more);
    Ok(cargo.status()?.success())
}
