//! Checks that crates declare a Rust version that is new enough for what they depend on.

use std::collections::BTreeMap;

use cargo_metadata::{Metadata, MetadataCommand};

use super::problem::Problem;
use super::tree::Tree;
use super::weight::listing;
use crate::result::Result;

/// Rust version: major, minor, patch.
type Version = (u64, u64, u64);

pub(super) fn check(tree: &Tree) -> Result<Vec<Problem>> {
    let locked = vec!["--locked".to_owned()];
    let metadata = MetadataCommand::new().current_dir(&tree.root).other_options(locked).exec()?;
    let declared = declared(&metadata);
    let mut problems = Vec::new();
    for member in &tree.members {
        let used = listing(tree, &member.name, &["-e", "no-dev", "--target", "all"])?;
        problems.extend(too_old(&used, &declared).map(|what| Problem::at(&member.manifest_path(), 1, what)));
    }
    Ok(problems)
}

/// Returns the declared Rust version of each package, by its name and version as in `cargo tree`.
fn declared(metadata: &Metadata) -> BTreeMap<String, Version> {
    let entry = |package: &cargo_metadata::Package| {
        let rust = package.rust_version.as_ref()?;
        Some((format!("{} v{}", package.name, package.version), (rust.major, rust.minor, rust.patch)))
    };
    metadata.packages.iter().filter_map(entry).collect()
}

/// Says what the first package of a listing depends on that needs a newer Rust, if there is such a package.
fn too_old(listing: &str, declared: &BTreeMap<String, Version>) -> Option<String> {
    // A line is `2name v1.0.0 (/folder)`.
    let package = |line: &str| {
        let mut words = line.trim_start_matches(|c: char| c.is_ascii_digit()).split(' ');
        Some(format!("{} {}", words.next()?, words.next()?))
    };
    let mut packages = listing.lines().filter_map(package);
    let own = declared.get(&packages.next()?).copied().unwrap_or_default();
    let needs = packages.filter_map(|package| Some((*declared.get(&package)?, package)));
    let (needed, package) = needs.max().filter(|(needed, _)| *needed > own)?;
    let text = |(major, minor, patch): Version| format!("{major}.{minor}.{patch}");
    Some(format!("declares Rust {}, and {package} needs {}", text(own), text(needed)))
}

#[cfg(test)]
mod tests {
    use super::too_old;

    #[test]
    fn a_dependency_that_needs_a_newer_rust_is_found() {
        let listing = "0store v0.1.0 (/x)\n1driver v2.0.0\n2driver-core v2.1.0\n1old v1.0.0\n1unknown v1.0.0\n";
        let declare = |store| {
            [("store v0.1.0", store), ("driver-core v2.1.0", (1, 94, 1)), ("old v1.0.0", (1, 60, 0))]
                .map(|(name, version)| (name.to_owned(), version))
                .into()
        };
        assert_eq!(too_old(listing, &declare((1, 94, 1))), None);
        let problem = "declares Rust 1.89.0, and driver-core v2.1.0 needs 1.94.1";
        assert_eq!(too_old(listing, &declare((1, 89, 0))).as_deref(), Some(problem));
    }
}
