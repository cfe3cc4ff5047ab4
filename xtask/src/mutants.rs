//! `cargo xtask mutants-of-code`: changes the code in small ways and reports which changes no test notices.

use std::process::{Command, Stdio};

use crate::result::Result;
use crate::workspace::Workspace;

/// Packages that can be changed, each with the further packages whose tests run its code without a server.
const PACKAGES: &[(&str, &[&str])] = &[
    ("session-core", &["session-http", "session-store-memory"]),
    ("session-crypto", &["session-http", "session-store-layers"]),
    ("session-http", &["session-tower"]),
    ("session-tower", &[]),
    (
        "session-store-kit",
        &["session-store-memory", "session-store-file", "session-store-sqlite", "session-store-redb"],
    ),
];

/// Packages to change, and how many of the changes to try.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Packages to change, by default all of them: session-core, session-crypto, session-http, session-tower, session-store-kit.
    packages: Vec<String>,
    /// Part of the changes to try. The default is a quarter, always the same, so that two runs can be compared.
    #[arg(long, default_value = "1/4")]
    shard: String,
    /// Further arguments of `cargo mutants`, for example `-- --list`.
    #[arg(last = true)]
    more: Vec<String>,
}

/// Runs `cargo mutants` for each package. Returns whether the tests notice every change.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool> {
    let installed = Command::new("cargo-mutants").arg("--version").stdout(Stdio::null()).status();
    if !installed.is_ok_and(|status| status.success()) {
        return Err("cargo-mutants is not installed; `cargo install cargo-mutants --locked` installs it".into());
    }
    let known = |name: &String| PACKAGES.iter().any(|(package, _)| package == name);
    if let Some(unknown) = options.packages.iter().find(|name| !known(name)) {
        return Err(format!("no tests are listed for the code of {unknown}").into());
    }
    let mut all = true;
    for (package, seen_by) in PACKAGES {
        if !options.packages.is_empty() && !options.packages.iter().any(|name| name == package) {
            continue;
        }
        let mut cargo = workspace.cargo();
        // Each run has its own copy of the sources and builds there.
        cargo.env_remove("CARGO_TARGET_DIR").args(["mutants", "--package", package, "--shard", &options.shard]);
        for tests in [&[*package], *seen_by].concat() {
            cargo.args(["--test-package", tests]);
        }
        cargo.arg("--output").arg(workspace.target.join("mutants").join(package));
        std::fs::create_dir_all(workspace.target.join("mutants").join(package))?;
        all &= cargo.args(&options.more).status()?.success();
    }
    Ok(all)
}
