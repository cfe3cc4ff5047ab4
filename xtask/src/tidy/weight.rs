//! Checks that crates do not depend on heavy packages.

use super::problem::Problem;
use super::tree::Tree;
use crate::result::Result;
use crate::workspace::cargo;

/// Runtimes, HTTP, TLS and databases, by name or by the beginning of the name.
const HEAVY: &[&str] = &[
    "tokio",
    "async-std",
    "smol",
    "async-io",
    "mio",
    "hyper",
    "reqwest",
    "ureq",
    "http",
    "h2",
    "axum",
    "actix",
    "tower",
    "warp",
    "rustls",
    "native-tls",
    "openssl",
    "aws-lc",
    "ring",
    "sqlx",
    "rusqlite",
    "libsqlite3",
    "postgres",
    "mysql",
    "redis",
    "mongodb",
    "aws-sdk",
    "aws-config",
    "redb",
    "sled",
    "cookie",
];

/// Frameworks and runtimes.
const FRAMEWORKS: &[&str] =
    &["tokio", "async-std", "smol", "mio", "hyper", "axum", "actix", "tower", "warp", "rocket", "poem"];

pub(super) fn core(tree: &Tree) -> Result<Vec<Problem>> {
    // Once as dependants see it, on any platform, and once as plain `cargo tree` shows it.
    let mut problems =
        heavy(&listing(tree, "session-core", &["-e", "no-dev", "--target", "all"])?, "session-core", HEAVY);
    if problems.is_empty() {
        problems = heavy(&listing(tree, "session-core", &[])?, "session-core", &["tokio"]);
    }
    Ok(problems)
}

pub(super) fn http(tree: &Tree) -> Result<Vec<Problem>> {
    let listing = listing(tree, "session-http", &["-e", "no-dev", "--target", "all"])?;
    Ok(heavy(&listing, "session-http", FRAMEWORKS))
}

/// Returns the dependencies of `package`, one per line, each preceded by its depth.
pub(super) fn listing(tree: &Tree, package: &str, options: &[&str]) -> Result<String> {
    let mut command = cargo();
    command.current_dir(&tree.root).args(["tree", "--locked", "--prefix", "depth", "-p", package]).args(options);
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("cargo tree -p {package}: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Finds the unwanted crates in a listing, each with the path that leads to it.
fn heavy(listing: &str, package: &str, unwanted: &[&str]) -> Vec<Problem> {
    let mut way: Vec<&str> = Vec::new();
    let mut problems = Vec::new();
    for line in listing.lines() {
        let digits = line.find(|c: char| !c.is_ascii_digit()).unwrap_or(0);
        let Ok(depth) = line[..digits].parse::<usize>() else { continue };
        let name = line[digits..].split(' ').next().unwrap_or_default();
        way.truncate(depth);
        way.push(name);
        if depth > 0 && unwanted.iter().any(|start| is_or_begins(name, start)) {
            problems
                .push(Problem::new(format!("{package}/Cargo.toml"), format!("depends on {name}: {}", way.join(" > "))));
        }
    }
    problems.dedup();
    problems
}

/// Whether `name` is `start` or begins with it: `sqlx` matches `sqlx-core`, but not `sqlxtra`.
fn is_or_begins(name: &str, start: &str) -> bool {
    name.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
}

#[cfg(test)]
mod tests {
    use super::{FRAMEWORKS, HEAVY, heavy};

    const LISTING: &str = "0session-core v0.1.0 (/x)\n1async-lock v3.5.0\n2event-listener v5.4.1\n1bytes v1.12.0\n";

    #[test]
    fn a_light_tree_passes() {
        assert_eq!(heavy(LISTING, "session-core", HEAVY), []);
    }

    #[test]
    fn a_database_deep_down_is_found_with_the_way_to_it() {
        let listing = format!("{LISTING}2sqlx-core v0.9.0\n3tracing v0.1.0\n");
        let problems = heavy(&listing, "session-core", HEAVY);
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].what, "depends on sqlx-core: session-core > bytes > sqlx-core");
    }

    #[test]
    fn names_that_only_sound_alike_pass() {
        assert_eq!(heavy("0session-http v0.1.0\n1towering v1.0.0\n1httparse v1.0.0\n", "session-http", FRAMEWORKS), []);
    }
}
