//! Checks that every store has the same files, so that readers find their way in all of them.

use super::problem::Problem;
use super::tree::Tree;
use crate::result::Result;

/// Crates that are named like stores but are not stores.
const NO_STORES: &[&str] = &["session-store-kit", "session-store-sqlx", "session-store-layers", "session-store-any"];

/// Returns the files that may hold the suite over a store; one of them must exist.
fn suites(store: &str) -> Vec<&'static str> {
    match store {
        "session-store-mysql" => vec!["tests/mysql.rs"],
        _ => vec!["tests/conformance.rs"],
    }
}

/// Stores without a server or database, which have no layout to describe.
const WITHOUT_SCHEMA: &[&str] = &["session-store-memory", "session-store-file"];

/// Returns the files that may hold the layout of a store's database; one of them must exist.
fn schemas(store: &str) -> Vec<&'static str> {
    match store {
        "session-store-redis" => vec!["src/record.rs"],
        _ => vec!["src/schema.rs", "src/schema/mod.rs"],
    }
}

pub(super) fn check(tree: &Tree) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for store in &tree.members {
        if !store.name.starts_with("session-store-") || NO_STORES.contains(&&*store.name) {
            continue;
        }
        let mut rooms =
            vec![("the store and its builder", vec!["src/lib.rs"]), ("the suite that proves it", suites(&store.name))];
        if !WITHOUT_SCHEMA.contains(&&*store.name) {
            rooms.push(("tables and statements", schemas(&store.name)));
        }
        for (purpose, places) in rooms {
            if !places.iter().any(|place| tree.file(&store.folder.join(place)).is_some()) {
                let what = format!("{} is missing: {purpose}", places[0]);
                problems.push(Problem::new(store.folder.display().to_string(), what));
            }
        }
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::found;

    #[test]
    fn a_missing_room_is_found() {
        let files = [
            ("Cargo.toml", "[workspace]\nmembers = ['store-a', 'store-memory', 'store-kit']\n"),
            ("store-a/Cargo.toml", "[package]\nname = 'session-store-a'\n"),
            ("store-a/src/lib.rs", ""),
            ("store-memory/Cargo.toml", "[package]\nname = 'session-store-memory'\n"),
            ("store-memory/src/lib.rs", ""),
            ("store-memory/tests/conformance.rs", ""),
            ("store-kit/Cargo.toml", "[package]\nname = 'session-store-kit'\n"),
        ];
        assert_eq!(
            found(check, &files),
            [
                "store-a: src/schema.rs is missing: tables and statements",
                "store-a: tests/conformance.rs is missing: the suite that proves it",
            ]
        );
    }
}
