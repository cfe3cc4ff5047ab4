//! Modules of a program: the items they define, the names they import, and the paths they contain.

mod read;
mod resolve;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(super) use resolve::Target;
use syn::Item;

/// A library, an executable or a test program.
#[derive(Default)]
pub(in crate::tidy) struct Program {
    /// Modules; the first is the root.
    pub(in crate::tidy) modules: Vec<Module>,
    /// Module of each `macro_rules!` macro.
    pub(in crate::tidy) macros: BTreeMap<String, usize>,
}

/// A module of a program.
#[derive(Default)]
pub(in crate::tidy) struct Module {
    /// Relative to the workspace's root.
    pub(in crate::tidy) file: PathBuf,
    pub(in crate::tidy) parent: Option<usize>,
    /// Whether it is compiled for tests only.
    pub(in crate::tidy) tests: bool,
    /// A name may mean several things, for example a type and a function.
    pub(in crate::tidy) names: BTreeMap<String, Vec<Named>>,
    /// Paths of imports that end in `*`.
    pub(in crate::tidy) globs: Vec<Vec<String>>,
    pub(in crate::tidy) paths: Vec<Mention>,
    pub(in crate::tidy) items: Vec<Item>,
}

/// Meaning of a name in a module.
#[derive(Debug)]
pub(in crate::tidy) enum Named {
    Item { tests: bool },
    Module(usize),
    Import(Vec<String>),
}

/// A path in a module.
#[derive(Debug)]
pub(in crate::tidy) struct Mention {
    pub(in crate::tidy) path: Vec<String>,
    pub(in crate::tidy) line: usize,
    pub(in crate::tidy) kind: Kind,
    /// Whether it is compiled for tests only.
    pub(in crate::tidy) tests: bool,
}

/// Place of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tidy) enum Kind {
    Import,
    ReExport,
    Code,
    Macro,
}

/// Whether a file is the root of a library, an executable or a test program.
pub(in crate::tidy) fn is_root(path: &Path) -> bool {
    let parts: Vec<_> = path.iter().filter_map(|part| part.to_str()).collect();
    match parts[..] {
        [.., "src", "lib.rs" | "main.rs"] | [.., "src", "bin", _] => true,
        [.., "tests" | "benches" | "examples", _, "main.rs"] => true,
        [ref before @ .., "tests" | "benches" | "examples", _] => !before.contains(&"src"),
        _ => false,
    }
}
