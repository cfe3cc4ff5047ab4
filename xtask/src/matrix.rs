//! `cargo xtask matrix`: writes the table of clauses and stores, for readers and for programs.

use crate::result::Result;
use crate::test;
use crate::workspace::Workspace;

const HEAD: &str = "# Clauses and stores

`cargo xtask matrix` runs the [conformance suite](../conformance) over every store, on its server in a container, and writes this page
and the same as [JSON](matrix.json).
A clause that a store leaves out has a numbered reason; a twin of it then checks that the operation is refused.
Variants of a store, such as PostgreSQL behind a pooler, run all clauses here. After a usual `cargo xtask test` the table of `--last` has empty cells
for those that a variant cannot break.

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
    std::fs::write(root.join("docs/matrix.md"), format!("{HEAD}{}\n{}", tables.summary(), tables.markdown()))?;
    std::fs::write(root.join("docs/matrix.json"), tables.json()?)?;
    println!("{}", tables.summary());
    println!("written: docs/matrix.md, docs/matrix.json");
    Ok(tables.is_green())
}
