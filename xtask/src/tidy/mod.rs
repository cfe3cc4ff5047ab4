//! `cargo xtask tidy`: checks rules that the compiler does not.

pub(crate) mod api;
mod arrows;
mod circles;
mod code;
mod containers;
mod docs;
mod examples;
mod manifests;
mod problem;
mod program;
mod proofs;
mod rooms;
mod rust_version;
mod syntax;
#[cfg(test)]
mod testing;
mod tokens;
mod tree;
mod weight;
mod words;

use std::path::Path;

use problem::{Problem, Severity};
use tree::Tree;

use crate::result::Result;

/// Options of `cargo xtask tidy`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Name the checks and run none.
    #[arg(long)]
    list: bool,
    /// Run only the checks whose name contains this.
    filter: Option<String>,
}

/// A check: a rule with a name, and a function that finds the places where it is broken.
struct Check {
    name: &'static str,
    rule: &'static str,
    find: fn(&Tree) -> Result<Vec<Problem>>,
}

const CHECKS: &[Check] = &[
    Check {
        name: "weight.core",
        rule: "session-core depends on no runtime, TLS, HTTP or database",
        find: weight::core,
    },
    Check { name: "weight.http", rule: "session-http depends on no framework and no runtime", find: weight::http },
    Check {
        name: "arrows",
        rule: "crates depend only on crates above them, stores never on stores",
        find: arrows::check,
    },
    Check { name: "circles", rule: "files of a crate do not use each other in a circle", find: circles::check },
    Check { name: "api", rule: "public interfaces are those in docs/api", find: api::check },
    Check { name: "rooms", rule: "every store has the same rooms", find: rooms::check },
    Check {
        name: "containers",
        rule: "every server has its image, its recipe and one version of it",
        find: containers::check,
    },
    Check { name: "manifests.lints", rule: "every crate takes the workspace's lints", find: manifests::lints },
    Check { name: "manifests.readme", rule: "every crate's README is its documentation", find: manifests::readme },
    Check {
        name: "manifests.rust",
        rule: "crates declare a Rust version that their dependencies work with",
        find: rust_version::check,
    },
    Check { name: "code.length", rule: "no source file is over 450 lines", find: code::length },
    Check { name: "code.sleeps", rule: "no test sleeps, or it says why", find: code::sleeps },
    Check { name: "words", rule: "no text has a word that makes it hard to read", find: words::check },
    Check { name: "docs.examples", rule: "every method that applications call has an example", find: examples::check },
    Check { name: "docs.links", rule: "links lead somewhere", find: docs::links },
    Check { name: "docs.proofs", rule: "clauses and tests that the pages in docs/ name exist", find: proofs::check },
    Check { name: "docs.programs", rule: "programs in the documentation are compiled", find: docs::programs },
];

/// Runs the checks on the workspace at `root`. Returns whether all rules are kept.
pub(crate) fn run(root: &Path, options: &Options) -> Result<bool> {
    let wanted = |check: &&Check| options.filter.as_deref().is_none_or(|filter| check.name.contains(filter));
    let checks: Vec<&Check> = CHECKS.iter().filter(wanted).collect();
    if options.list {
        for check in checks {
            println!("{}: {}", check.name, check.rule);
        }
        return Ok(true);
    }
    if checks.is_empty() {
        return Err("no check has such a name; see `cargo xtask tidy --list`".into());
    }
    let tree = Tree::read(root)?;
    let mut broken = 0;
    for check in &checks {
        let mut problems = (check.find)(&tree)?;
        problems.sort();
        let failed = problems.iter().any(|problem| problem.severity == Severity::Error);
        broken += usize::from(failed);
        println!("{} {}: {}", if failed { "FAILED" } else { "ok" }, check.name, check.rule);
        for problem in problems {
            println!("  {problem}");
        }
    }
    println!("{} checks, {broken} failed", checks.len());
    Ok(broken == 0)
}
