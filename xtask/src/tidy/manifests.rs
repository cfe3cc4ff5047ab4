//! Checks of every crate's manifest.

use std::path::Path;
use std::process::Command;

use super::problem::Problem;
use super::tree::{Tree, line_of};
use crate::result::Result;

pub(super) fn lints(tree: &Tree) -> Result<Vec<Problem>> {
    let taken = |manifest: &toml::Table| manifest.get("lints")?.get("workspace")?.as_bool();
    let without = tree.members.iter().filter(|member| taken(&member.manifest) != Some(true));
    Ok(without.map(|member| Problem::at(&member.manifest_path(), 1, "lacks `[lints] workspace = true`")).collect())
}

pub(super) fn readme(tree: &Tree) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for member in &tree.members {
        if tree.file(&member.folder.join("README.md")).is_none() {
            problems.push(Problem::new(member.folder.display().to_string(), "README.md is missing"));
        }
        let root = ["src/lib.rs", "src/main.rs"].iter().find_map(|root| tree.file(&member.folder.join(root)));
        if let Some(root) = root
            && !root.text.starts_with("#![doc = include_str!(\"../README.md\")]\n")
        {
            problems.push(Problem::at(&root.path, 1, "does not begin with `#![doc = include_str!(\"../README.md\")]`"));
        }
    }
    Ok(problems)
}

pub(super) fn versions(tree: &Tree) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for member in &tree.members {
        let path = member.manifest_path();
        for kind in ["dependencies", "build-dependencies", "dev-dependencies"] {
            for (name, value) in member.dependencies(kind) {
                if value.get("workspace").and_then(toml::Value::as_bool) != Some(true) {
                    let line = tree.file(&path).map_or(1, |file| line_of(&file.text, name));
                    let what =
                        format!("{name} does not say `workspace = true`: its version belongs in the root's manifest");
                    problems.push(Problem::at(&path, line, what));
                }
            }
        }
    }
    problems.extend(unused(tree)?);
    Ok(problems)
}

/// Finds versions in the root's manifest that no crate uses.
fn unused(tree: &Tree) -> Result<Vec<Problem>> {
    let path = Path::new("Cargo.toml");
    let Some(file) = tree.file(path) else { return Ok(Vec::new()) };
    let manifest: toml::Table = file.text.parse()?;
    let listed = manifest.get("workspace").and_then(|workspace| workspace.get("dependencies")?.as_table());
    let kinds = ["dependencies", "build-dependencies", "dev-dependencies"];
    let used = |name: &str| {
        let uses = |kind| tree.members.iter().any(|member| member.dependencies(kind).any(|(used, _)| used == name));
        kinds.into_iter().any(uses) || tree.member(name).is_some()
    };
    let idle = listed.into_iter().flatten().map(|(name, _)| name).filter(|name| !used(name));
    Ok(idle.map(|name| Problem::at(path, line_of(&file.text, name), format!("no crate uses {name}"))).collect())
}

pub(super) fn lock(tree: &Tree) -> Result<Vec<Problem>> {
    let git =
        Command::new("git").current_dir(&tree.root).args(["ls-files", "--error-unmatch", "Cargo.lock"]).output()?;
    if git.status.success() {
        return Ok(Vec::new());
    }
    Ok(vec![Problem::new("Cargo.lock", "is not committed")])
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{lints, lock, readme, versions};
    use crate::tidy::testing::{found, tree};

    const ROOT: (&str, &str) = ("Cargo.toml", "[workspace]\nmembers = ['a']\n[workspace.dependencies]\nserde = '1'\n");

    #[test]
    fn a_crate_without_the_lints_is_found() {
        let bare = [ROOT, ("a/Cargo.toml", "[package]\nname = 'a'\n")];
        assert_eq!(found(lints, &bare), ["a/Cargo.toml:1: lacks `[lints] workspace = true`"]);
        let with = [ROOT, ("a/Cargo.toml", "[package]\nname = 'a'\n[lints]\nworkspace = true\n")];
        assert_eq!(found(lints, &with), [""; 0]);
    }

    #[test]
    fn a_crate_without_a_readme_is_found() {
        let files = [ROOT, ("a/Cargo.toml", "[package]\nname = 'a'\n"), ("a/src/lib.rs", "//! a\n")];
        assert_eq!(found(readme, &files).len(), 2);
        let good = [
            ROOT,
            ("a/Cargo.toml", "[package]\nname = 'a'\n"),
            ("a/README.md", ""),
            ("a/src/main.rs", "#![doc = include_str!(\"../README.md\")]\n"),
        ];
        assert_eq!(found(readme, &good), [""; 0]);
    }

    #[test]
    fn a_version_of_its_own_is_found() {
        let own = [ROOT, ("a/Cargo.toml", "[package]\nname = 'a'\n[dev-dependencies]\nserde = { version = '1' }\n")];
        assert_eq!(found(versions, &own).len(), 1);
        assert!(found(versions, &own)[0].starts_with("a/Cargo.toml:4: serde does not say"));
    }

    #[test]
    fn an_unused_version_is_found() {
        let files = [ROOT, ("a/Cargo.toml", "[package]\nname = 'a'\n")];
        assert_eq!(found(versions, &files), ["Cargo.toml:4: no crate uses serde"]);
    }

    #[test]
    fn a_lock_file_outside_of_git_is_found() {
        let (folder, tree) = tree(&[("Cargo.lock", "")]);
        let git = |arguments: &[&str]| {
            assert!(Command::new("git").current_dir(folder.path()).args(arguments).output().unwrap().status.success());
        };
        git(&["init", "-q"]);
        assert_eq!(lock(&tree).unwrap().len(), 1);
        git(&["add", "Cargo.lock"]);
        assert_eq!(lock(&tree).unwrap(), []);
    }
}
