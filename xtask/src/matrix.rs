//! `cargo xtask matrix`: writes the table of clauses and stores, for readers and for programs.

use crate::result::Result;
use crate::test;
use crate::workspace::Workspace;

/// Comments in the README that enclose the summary.
const BEGIN: &str = "<!-- `cargo xtask matrix` writes what follows. -->\n";
const END: &str = "<!-- `cargo xtask matrix` wrote what precedes. -->\n";

const HEAD: &str = "# Clauses and stores

`cargo xtask matrix` runs the [conformance suite](../conformance) over every store, on its server in a container, and writes this page,
the same as [JSON](matrix.json), and the summary in the [README](../README.md).
A clause that a store leaves out has a numbered reason; a twin of it then checks that the operation is refused.

";

/// Source of the table.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Take the results of the last whole `cargo xtask test` instead of running the suites again.
    #[arg(long)]
    last: bool,
}

/// Runs the suite over every store and writes the results. Returns whether every clause holds.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool> {
    let tables = if options.last { test::last(workspace)? } else { test::suites(workspace)? };
    let root = &workspace.root;
    let readme = root.join("README.md");
    let text = replaced(&std::fs::read_to_string(&readme)?, &tables.summary())?;
    std::fs::write(root.join("docs/matrix.md"), format!("{HEAD}{}\n{}", tables.summary(), tables.markdown()))?;
    std::fs::write(root.join("docs/matrix.json"), tables.json()?)?;
    std::fs::write(readme, text)?;
    println!("{}", tables.summary());
    println!("written: docs/matrix.md, docs/matrix.json, README.md");
    Ok(tables.is_green())
}

/// Returns `text` with `summary` in place of the old one.
fn replaced(text: &str, summary: &str) -> Result<String> {
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.ok_or("README.md lacks the two comments between which the summary stands")?;
    Ok(format!("{before}{BEGIN}\n{summary}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::{BEGIN, END, replaced};

    #[test]
    fn only_what_is_between_the_comments_changes() {
        let text = format!("before\n{BEGIN}\n| old |\n\n{END}after\n");
        let new = replaced(&text, "| new |\n").unwrap();
        assert_eq!(new, format!("before\n{BEGIN}\n| new |\n\n{END}after\n"));
        assert_eq!(replaced(&new, "| new |\n").unwrap(), new);
        assert!(replaced("no comments", "").is_err());
    }
}
