//! Checks that files of a crate do not use each other in a circle.

mod uses;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use uses::{Node, Use, Uses};

use super::problem::Problem;
use super::program::{Program, is_root};
use super::tree::Tree;
use crate::result::Result;

pub(super) fn check(tree: &Tree) -> Result<Vec<Problem>> {
    let mut problems = BTreeSet::new();
    for root in tree.with_extension("rs").filter(|file| is_root(&file.path)) {
        let uses = uses::uses(&Program::read(tree, root)?);
        problems.extend(circles(&uses).iter().map(|circle| problem(&uses, circle)));
    }
    Ok(problems.into_iter().collect())
}

/// Finds circles, the shortest first. A circle that shares a use with an earlier one is left out, because it may be gone with that.
fn circles(uses: &Uses) -> Vec<Vec<&Node>> {
    let edges = uses.iter().flat_map(|(user, used)| used.keys().map(move |used| (user, used)));
    let mut circles: Vec<Vec<&Node>> = edges.filter_map(|(user, used)| way(uses, used, user)).collect();
    circles.sort_by_key(Vec::len);
    let mut shown = BTreeSet::new();
    circles.retain(|circle| {
        let new = steps(circle).all(|step| !shown.contains(&step));
        shown.extend(steps(circle).filter(|_| new));
        new
    });
    circles
}

/// Returns the shortest way from one file to another, both included.
fn way<'a>(uses: &'a Uses, from: &'a Node, to: &'a Node) -> Option<Vec<&'a Node>> {
    let mut before: BTreeMap<&Node, &Node> = BTreeMap::new();
    let mut queue = VecDeque::from([from]);
    while let Some(node) = queue.pop_front() {
        if node == to {
            let mut way = vec![node];
            while let Some(&node) = way.last().filter(|&&node| node != from).and_then(|node| before.get(node)) {
                way.push(node);
            }
            way.reverse();
            return Some(way);
        }
        for next in uses.get(node).into_iter().flat_map(BTreeMap::keys) {
            if next != from && !before.contains_key(next) {
                before.insert(next, node);
                queue.push_back(next);
            }
        }
    }
    None
}

/// Returns each file of a circle with the file that it uses.
fn steps<'a>(circle: &[&'a Node]) -> impl Iterator<Item = (&'a Node, &'a Node)> {
    (0..circle.len()).map(|at| (circle[at], circle[(at + 1) % circle.len()]))
}

fn problem(uses: &Uses, circle: &[&Node]) -> Problem {
    // The same circle begins with the same file, whichever use it was found by.
    let first = circle.iter().enumerate().min_by_key(|(_, node)| **node).map_or(0, |(at, _)| at);
    let mut circle = circle.to_vec();
    circle.rotate_left(first);
    let says = |(user, used): (&Node, &Node)| {
        let Use { line, path } = &uses[user][used];
        format!("{}:{line} uses `{path}` of {}", name(&user.file), name(&used.file))
    };
    let line = uses[circle[0]][circle[1 % circle.len()]].line;
    Problem::at(&circle[0].file, line, format!("circle: {}", steps(&circle).map(says).collect::<Vec<_>>().join("; ")))
}

/// Returns the last two parts of a path, which tell one `mod.rs` from another.
fn name(file: &Path) -> String {
    let parts: Vec<_> = file.iter().map(|part| part.to_string_lossy()).collect();
    parts[parts.len().saturating_sub(2)..].join("/")
}

#[cfg(test)]
mod tests;
