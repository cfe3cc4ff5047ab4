//! Finds which files use which.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::tidy::program::{Kind, Mention, Module, Program, Target};

/// A file, or the part of it that is compiled for its tests only. Nothing outside of tests uses that part, so tests may use
/// the file that they are in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Node {
    pub(super) file: PathBuf,
    pub(super) tests: bool,
}

/// The first path in a file that names an item of another file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) line: usize,
    pub(super) path: String,
}

/// Files, each with the files that it uses.
pub(super) type Uses = BTreeMap<Node, BTreeMap<Node, Use>>;

/// Returns which file uses which.
pub(super) fn uses(program: &Program) -> Uses {
    let mut uses = Uses::new();
    for (at, module) in program.modules.iter().enumerate() {
        for mention in &module.paths {
            let user = Node { file: module.file.clone(), tests: mention.tests };
            for (used, defined) in defined(program, at, mention) {
                // A module that exports the items of its submodules does not use them by that.
                let exports = mention.kind == Kind::ReExport && is_below(program, used, at);
                let used = Node { file: program.modules[used].file.clone(), tests: defined };
                if !exports && used != user {
                    let path = mention.path.join("::");
                    uses.entry(user.clone()).or_default().entry(used).or_insert(Use { line: mention.line, path });
                }
            }
        }
    }
    uses
}

/// Returns the modules that define what a path names, each with whether the item is for tests only.
fn defined(program: &Program, module: usize, mention: &Mention) -> BTreeSet<(usize, bool)> {
    let Module { names, .. } = &program.modules[module];
    let mut targets = program.resolve(module, &mention.path);
    if let [name] = &mention.path[..]
        && mention.kind == Kind::Macro
        && !names.contains_key(name)
    {
        let item = |&module: &usize| {
            let tests = program.modules[module].tests;
            Target::Item { module, name: name.clone(), tests }
        };
        targets.extend(program.macros.get(name).map(item));
    }
    let items = targets.into_iter().filter_map(|target| match target {
        Target::Item { module, tests, .. } => Some((module, tests)),
        // What is used of a module shows in longer paths.
        Target::Module(_) => None,
    });
    items.collect()
}

/// Whether `module` is a submodule of `other`, at any depth.
fn is_below(program: &Program, module: usize, other: usize) -> bool {
    let parents = std::iter::successors(program.modules[module].parent, |&parent| program.modules[parent].parent);
    parents.into_iter().any(|parent| parent == other)
}
