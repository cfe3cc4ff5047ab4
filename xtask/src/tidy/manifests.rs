//! Checks of every crate's manifest.

use super::problem::Problem;
use super::tree::Tree;
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

#[cfg(test)]
mod tests {
    use super::{lints, readme};
    use crate::tidy::testing::found;

    const ROOT: (&str, &str) = ("Cargo.toml", "[workspace]\nmembers = ['a']\n");

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
}
