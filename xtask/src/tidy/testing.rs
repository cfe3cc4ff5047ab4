//! Workspaces for tests of the checks.

use super::problem::Problem;
use super::tree::Tree;
use crate::result::Result;

/// Makes a workspace of these files, with the members that the root's manifest names.
pub(super) fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Tree) {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let tree = Tree::read(folder.path()).unwrap();
    (folder, tree)
}

/// Returns the problems that `check` finds in a workspace of these files: `place: what`, in order.
pub(super) fn found(check: fn(&Tree) -> Result<Vec<Problem>>, files: &[(&str, &str)]) -> Vec<String> {
    let (_folder, tree) = tree(files);
    let mut problems = check(&tree).unwrap();
    problems.sort();
    problems.iter().map(Problem::to_string).collect()
}
