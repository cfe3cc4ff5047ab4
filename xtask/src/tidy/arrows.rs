//! Allowed dependencies between crates.

use super::problem::Problem;
use super::tree::{Member, Tree, line_of};
use crate::result::Result;

/// Whether a crate may use another crate of the workspace, outside of its tests.
fn may_use(user: &str, used: &str) -> bool {
    match user {
        "session-core" => false,
        "session-crypto" | "session-store-kit" | "session-conformance" => used == "session-core",
        "session-http" => matches!(used, "session-core" | "session-crypto"),
        "session-tower" => matches!(used, "session-core" | "session-crypto" | "session-http" | "session-store-any"),
        "session-store-layers" => matches!(used, "session-core" | "session-crypto" | "session-store-kit"),
        "session-store-any" => matches!(used, "session-core" | "session-crypto") || used.starts_with("session-store-"),
        "session-store-sqlx" => matches!(used, "session-core" | "session-store-kit"),
        "session-store-postgres" | "session-store-mysql" if used == "session-store-sqlx" => true,
        store if store.starts_with("session-store-") => matches!(used, "session-core" | "session-store-kit"),
        _ => true,
    }
}

/// Whether the tests of a crate may use another crate of the workspace.
fn tests_may_use(user: &str, used: &str) -> bool {
    if may_use(user, used) {
        return true;
    }
    match user {
        "session-core" => false,
        // A layer is tested around another store.
        "session-store-layers" => matches!(used, "session-conformance" | "session-store-memory"),
        store if store.starts_with("session-store-") && store != "session-store-any" => used == "session-conformance",
        _ => true,
    }
}

pub(super) fn check(tree: &Tree) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for member in &tree.members {
        for kind in ["dependencies", "build-dependencies", "dev-dependencies"] {
            let allowed = if kind == "dev-dependencies" { tests_may_use } else { may_use };
            for (used, _) in member.dependencies(kind) {
                if tree.member(used).is_some() && !allowed(&member.name, used) {
                    problems.push(problem(tree, member, kind, used));
                }
            }
        }
    }
    Ok(problems)
}

fn problem(tree: &Tree, member: &Member, kind: &str, used: &str) -> Problem {
    let path = member.manifest_path();
    let line = tree.file(&path).map_or(1, |file| line_of(&file.text, used));
    Problem::at(&path, line, format!("{} must not have {used} among its {kind}", member.name))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::found;

    const ROOT: (&str, &str) = (
        "Cargo.toml",
        "[workspace]\nmembers = ['session-core', 'session-http', 'store-a', 'store-b', 'conformance']\n",
    );
    const CORE: (&str, &str) = ("session-core/Cargo.toml", "[package]\nname = 'session-core'\n");
    const HTTP: (&str, &str) = ("session-http/Cargo.toml", "[package]\nname = 'session-http'\n");
    const SUITE: (&str, &str) = ("conformance/Cargo.toml", "[package]\nname = 'session-conformance'\n");
    const B: (&str, &str) = ("store-b/Cargo.toml", "[package]\nname = 'session-store-b'\n");

    fn with_store(manifest: &str) -> Vec<String> {
        found(check, &[ROOT, CORE, HTTP, SUITE, B, ("store-a/Cargo.toml", manifest)])
    }

    #[test]
    fn a_store_uses_the_core_and_is_tested_by_the_suite() {
        let good = "[package]\nname = 'session-store-a'\n[dependencies]\nsession-core.workspace = true\n\
                    [dev-dependencies]\nsession-conformance.workspace = true\n";
        assert_eq!(with_store(good), [""; 0]);
    }

    #[test]
    fn a_store_uses_no_store() {
        let bad = "[package]\nname = 'session-store-a'\n[dependencies]\nsession-store-b.workspace = true\n";
        assert_eq!(
            with_store(bad),
            ["store-a/Cargo.toml:4: session-store-a must not have session-store-b among its dependencies"]
        );
        let for_some_targets = "[package]\nname = 'session-store-a'\n[target.'cfg(unix)'.dependencies]\nsession-store-b.workspace = true\n";
        assert_eq!(with_store(for_some_targets).len(), 1);
        let in_tests = "[package]\nname = 'session-store-a'\n[dev-dependencies]\nsession-store-b.workspace = true\n";
        assert_eq!(with_store(in_tests).len(), 1);
    }

    #[test]
    fn a_store_knows_no_http() {
        let bad = "[package]\nname = 'session-store-a'\n[dependencies]\nsession-http.workspace = true\n";
        assert_eq!(
            with_store(bad),
            ["store-a/Cargo.toml:4: session-store-a must not have session-http among its dependencies"]
        );
    }

    #[test]
    fn the_core_uses_nothing() {
        let core =
            ("session-core/Cargo.toml", "[package]\nname = 'session-core'\n[dependencies]\nsession-store-b = '1'\n");
        let store = ("store-a/Cargo.toml", "[package]\nname = 'session-store-a'\n");
        let problems = found(check, &[ROOT, core, HTTP, SUITE, B, store]);
        assert_eq!(
            problems,
            ["session-core/Cargo.toml:4: session-core must not have session-store-b among its dependencies"]
        );
    }
}
