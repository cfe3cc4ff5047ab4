//! Files of the workspace, read once for all checks.

use std::fs;
use std::path::{Component, Path, PathBuf};

use toml::Table;

use crate::result::Result;

/// A workspace on disk.
pub(super) struct Tree {
    pub(super) root: PathBuf,
    /// Text files, by path.
    pub(super) files: Vec<File>,
    pub(super) members: Vec<Member>,
}

/// A text file.
pub(super) struct File {
    /// Path relative to the workspace's root.
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// A crate of the workspace.
pub(super) struct Member {
    pub(super) name: String,
    /// Folder relative to the workspace's root.
    pub(super) folder: PathBuf,
    pub(super) manifest: Table,
}

impl Tree {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut tree = Self { root: root.to_owned(), files: Vec::new(), members: Vec::new() };
        tree.walk(Path::new(""))?;
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        for folder in member_folders(&tree)? {
            let path = folder.join("Cargo.toml");
            let file = tree.file(&path).ok_or_else(|| format!("{} is missing", path.display()))?;
            let manifest: Table = file.text.parse().map_err(|error| format!("{}: {error}", path.display()))?;
            let name = manifest.get("package").and_then(|package| package.get("name")?.as_str());
            let name = name.ok_or_else(|| format!("{}: no package name", path.display()))?.to_owned();
            tree.members.push(Member { name, folder, manifest });
        }
        Ok(tree)
    }

    fn walk(&mut self, folder: &Path) -> Result<()> {
        for entry in fs::read_dir(self.root.join(folder))? {
            let entry = entry?;
            let name = entry.file_name();
            let path = folder.join(&name);
            let kind = entry.file_type()?;
            if kind.is_dir() {
                // Build output and history are not part of the source.
                if name != "target" && name != ".git" {
                    self.walk(&path)?;
                }
            } else if kind.is_file()
                && let Ok(text) = String::from_utf8(fs::read(entry.path())?)
            {
                self.files.push(File { path, text });
            }
        }
        Ok(())
    }

    pub(super) fn file(&self, path: &Path) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    pub(super) fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    /// Returns the files whose name ends in `.extension`.
    pub(super) fn with_extension(&self, extension: &str) -> impl Iterator<Item = &File> {
        self.files.iter().filter(move |file| file.path.extension().is_some_and(|found| found == extension))
    }
}

impl Member {
    pub(super) fn manifest_path(&self) -> PathBuf {
        self.folder.join("Cargo.toml")
    }

    /// Returns the dependencies of a kind, such as `dependencies` or `dev-dependencies`, including those for some targets only.
    pub(super) fn dependencies<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a toml::Value)> {
        let for_targets = self.manifest.get("target").and_then(toml::Value::as_table);
        let for_targets =
            for_targets.into_iter().flat_map(|targets| targets.values()).filter_map(move |it| it.get(kind));
        let tables = self.manifest.get(kind).into_iter().chain(for_targets).filter_map(toml::Value::as_table);
        tables.flat_map(|table| table.iter().map(|(name, value)| (name.as_str(), value)))
    }
}

/// Returns the members in the root's manifest as written; this workspace uses no patterns.
fn member_folders(tree: &Tree) -> Result<Vec<PathBuf>> {
    let Some(file) = tree.file(Path::new("Cargo.toml")) else { return Ok(Vec::new()) };
    let manifest: Table = file.text.parse().map_err(|error| format!("Cargo.toml: {error}"))?;
    let members = manifest.get("workspace").and_then(|workspace| workspace.get("members")?.as_array());
    Ok(members.into_iter().flatten().filter_map(toml::Value::as_str).map(PathBuf::from).collect())
}

/// Returns the first line of `text` that begins with `start` after white space, counted from 1; 1 if there is none.
pub(super) fn line_of(text: &str, start: &str) -> usize {
    text.lines().position(|line| line.trim_start().starts_with(start)).map_or(1, |line| line + 1)
}

/// Returns `path` without `..` and `.`.
pub(super) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}
