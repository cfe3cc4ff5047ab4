//! `cargo xtask features`: checks every published crate without its features, and with each feature on its own.

use std::time::Instant;

use cargo_metadata::{MetadataCommand, Package};

use crate::result::Result;
use crate::workspace::Workspace;

/// Packages to check.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Packages to check; all that are published if none is named.
    packages: Vec<String>,
}

/// Runs clippy for each combination, with warnings as errors. Returns whether all of them pass.
///
/// Clippy takes `-D warnings` for the workspace's crates alone, so dependencies are shared with every other check in the
/// target folder. `RUSTFLAGS` would build them again. Tests are left out, because what they depend on enables features.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool> {
    let metadata = MetadataCommand::new().current_dir(&workspace.root).no_deps().exec()?;
    let packages = metadata.workspace_packages();
    let known = |name: &String| packages.iter().any(|package| *package.name == *name);
    if let Some(unknown) = options.packages.iter().find(|name| !known(name)) {
        return Err(format!("there is no package {unknown}").into());
    }
    let wanted = |package: &&&Package| match &options.packages[..] {
        // An empty list of registries is `publish = false`.
        [] => package.publish.as_ref().is_none_or(|registries| !registries.is_empty()),
        names => names.contains(&package.name),
    };
    let begun = Instant::now();
    let (mut checked, mut failed) = (0, Vec::new());
    for package in packages.iter().filter(wanted) {
        for features in combinations(package) {
            let what = match features {
                "" => format!("{} without features", package.name),
                features => format!("{} with {features}", package.name),
            };
            println!("{what}");
            let mut cargo = workspace.cargo();
            cargo.args(["clippy", "--quiet", "--locked", "--no-default-features", "--package", &package.name]);
            if !cargo.args(["--features", features, "--", "-D", "warnings"]).status()?.success() {
                failed.push(what);
            }
            checked += 1;
        }
    }
    for what in &failed {
        println!("failed: {what}");
    }
    println!("{checked} checked, {} failed in {:.0} s", failed.len(), begun.elapsed().as_secs_f64());
    Ok(failed.is_empty())
}

/// Returns the sets of features to check: none, and each one.
fn combinations(package: &Package) -> impl Iterator<Item = &str> {
    std::iter::once("").chain(package.features.keys().map(String::as_str))
}
