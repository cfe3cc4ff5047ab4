//! Checks that the public interface of each library is the one on file, so that no change of it goes unseen.
//!
//! The interface is read from the sources, without what macros generate. `cargo public-api` would list that as well, but it needs
//! a nightly compiler, reads the format of certain nightlies only, and builds every dependency with it, which takes minutes.

mod interface;
mod text;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use interface::Interface;

use super::problem::Problem;
use super::program::Program;
use super::tree::{Member, Tree};
use crate::result::Result;
use crate::workspace::Workspace;

/// Folder with a file for each library.
const FOLDER: &str = "docs/api";

pub(super) fn check(tree: &Tree) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for (path, expected) in files(tree)? {
        let found = tree.file(&path).map_or("", |file| &file.text);
        if found != expected {
            let (found, expected) = (lines(found), lines(&expected));
            let place = path.display().to_string();
            let gone = found.difference(&expected).map(|line| format!("no longer: {line}"));
            let new = expected.difference(&found).map(|line| format!("new: {line}"));
            problems.extend(gone.chain(new).map(|what| Problem::new(&*place, what)));
            problems.push(Problem::new(&*place, "differs from the sources; `cargo xtask api` writes it"));
        }
    }
    Ok(problems)
}

/// Writes the interface of each library.
pub(crate) fn write(workspace: &Workspace) -> Result<bool> {
    let folder = workspace.root.join(FOLDER);
    // Files of libraries that are gone go as well.
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => std::fs::create_dir_all(&folder)?,
    }
    for (path, text) in files(&Tree::read(&workspace.root)?)? {
        std::fs::write(workspace.root.join(path), text)?;
    }
    Ok(true)
}

/// Returns the file of each library that is published, with its text.
fn files(tree: &Tree) -> Result<Vec<(PathBuf, String)>> {
    let own: BTreeSet<String> = tree.members.iter().map(|member| library(&member.name)).collect();
    let mut files = Vec::new();
    for member in tree.members.iter().filter(|member| is_published(member)) {
        let Some(root) = tree.file(&member.folder.join("src/lib.rs")) else { continue };
        let dependencies = member.dependencies("dependencies").map(|(name, _)| library(name)).collect();
        let Interface { lines, foreign } =
            Interface::of(&Program::read(tree, root)?, &library(&member.name), dependencies);
        let foreign = foreign.into_iter().filter(|path| !own.contains(path.split("::").next().unwrap_or_default()));
        let mut text: Vec<String> = lines.into_iter().collect();
        text.push("\nTypes and traits of other crates in this interface:".to_owned());
        text.extend(foreign.map(|path| format!("- {path}")));
        files.push((Path::new(FOLDER).join(format!("{}.txt", member.name)), text.join("\n") + "\n"));
    }
    Ok(files)
}

fn is_published(member: &Member) -> bool {
    let publish = member.manifest.get("package").and_then(|package| package.get("publish"));
    publish.and_then(toml::Value::as_bool) != Some(false)
}

/// Returns the name of a package in code.
fn library(package: &str) -> String {
    package.replace('-', "_")
}

fn lines(text: &str) -> BTreeSet<&str> {
    text.lines().filter(|line| !line.is_empty()).collect()
}

#[cfg(test)]
mod tests;
