//! `cargo xtask features`: checks every published crate without its features, and with each feature on its own.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use cargo_metadata::{MetadataCommand, Package};

use crate::result::Result;
use crate::workspace::Workspace;

/// Packages to check.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Packages to check; all that are published if none is named.
    packages: Vec<String>,
    /// Check features too that only enable others.
    #[arg(long)]
    full: bool,
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
    let members: BTreeSet<&str> = packages.iter().map(|package| &**package.name).collect();
    let begun = Instant::now();
    let (mut checked, mut failed, mut left_out) = (0, Vec::new(), Vec::new());
    for package in packages.iter().filter(wanted) {
        let source = source(package.manifest_path.with_file_name("src").as_std_path())?;
        for features in combinations(package) {
            if !options.full && only_enables_others(package, features, &members, &source) {
                left_out.push(format!("{}/{features}", package.name));
                continue;
            }
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
    if !left_out.is_empty() {
        println!("left out, because they only enable others: {}", left_out.join(", "));
    }
    println!("{checked} checked, {} failed in {:.0} s", failed.len(), begun.elapsed().as_secs_f64());
    Ok(failed.is_empty())
}

/// Returns the sets of features to check: none, and each one.
fn combinations(package: &Package) -> impl Iterator<Item = &str> {
    std::iter::once("").chain(package.features.keys().map(String::as_str))
}

/// Whether a feature does no more than to enable features of this workspace, which are checked on their own.
///
/// Such a feature compiles nothing that is not compiled without it. What it enables elsewhere is on in a check of the whole workspace,
/// and off in that without features.
fn only_enables_others(package: &Package, feature: &str, members: &BTreeSet<&str>, source: &str) -> bool {
    let Some(enabled) = package.features.get(feature) else { return false };
    let is_checked = |enabled: &String| match enabled.split_once('/') {
        Some((dependency, _)) => members.contains(dependency.trim_end_matches('?')),
        None => package.features.contains_key(enabled),
    };
    !enabled.is_empty() && enabled.iter().all(is_checked) && !source.contains(&format!("feature = \"{feature}\""))
}

/// Returns the text of all source files of a folder.
fn source(folder: &Path) -> Result<String> {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            text += &source(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text += &std::fs::read_to_string(&path)?;
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use cargo_metadata::Package;

    use super::only_enables_others;

    #[test]
    fn only_what_compiles_nothing_of_its_own_is_left_out() {
        let package: Package = serde_json::from_value(serde_json::json!({
            "name": "layer", "version": "0.1.0", "id": "layer", "dependencies": [], "targets": [], "manifest_path": "/layer/Cargo.toml",
            "features": {
                "redis": ["store", "any/redis"], "tls": ["any?/tls"], "default": ["redis"], "sqlite": ["any/sqlite"],
                "store": ["dep:any"], "log": ["tracing/log"], "strict": [], "both": ["redis", "dep:any"],
            },
        }))
        .unwrap();
        let members = BTreeSet::from(["any", "layer"]);
        let source = "#[cfg(feature = \"sqlite\")]\nfn f() {}";
        let left_out = package.features.keys().filter(|name| only_enables_others(&package, name, &members, source));
        assert_eq!(left_out.collect::<Vec<_>>(), ["default", "redis", "tls"]);
        assert!(!only_enables_others(&package, "", &members, source), "without features");
    }
}
