//! Checks of the source code.

use std::path::Path;

use super::problem::Problem;
use super::tokens;
use super::tree::{File, Tree};
use crate::result::Result;

/// Lines of a file: above the first number there is a warning, above the second an error.
const LONG: [usize; 2] = [400, 450];

pub(super) fn length(tree: &Tree) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for file in tree.with_extension("rs") {
        let lines = file.text.lines().count();
        let problem = Problem::new(file.path.display().to_string(), format!("{lines} lines: split it by idea"));
        if lines > LONG[1] {
            problems.push(problem);
        } else if lines > LONG[0] {
            problems.push(problem.warning());
        }
    }
    Ok(problems)
}

/// Maximum number of lines between a sleep and the comment with its reason.
const ADJACENT: usize = 3;

pub(super) fn sleeps(tree: &Tree) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for file in tree.with_extension("rs") {
        let all_tests = holds_only_tests(&file.path);
        let tokens = tokens::of(file)?;
        for window in tokens.windows(3) {
            let [before, word, after] = window else { continue };
            let sleeps = word.text == "sleep" && after.text == "(" && before.text != "fn";
            if sleeps && (all_tests || word.in_tests) && !says_why(file, word.line) {
                let what = "a test sleeps: order what happens instead, or say why in a comment `// sleep: …` above it";
                problems.push(Problem::at(&file.path, word.line, what));
            }
        }
    }
    Ok(problems)
}

fn holds_only_tests(path: &Path) -> bool {
    let is = |part: &str| path.components().any(|component| component.as_os_str() == part);
    is("tests") || is("clauses") || path.file_name().is_some_and(|name| name == "tests.rs")
}

fn says_why(file: &File, line: usize) -> bool {
    let near = file.text.lines().skip(line.saturating_sub(ADJACENT + 1)).take(ADJACENT + 1);
    near.filter_map(|line| line.split_once("//")).any(|(_, comment)| comment.contains("sleep:"))
}

#[cfg(test)]
mod tests {
    use super::{length, sleeps};
    use crate::tidy::problem::Severity;
    use crate::tidy::testing::{found, tree};

    #[test]
    fn a_long_file_is_told_of_and_a_longer_one_refused() {
        let (_folder, tree) =
            tree(&[("a.rs", &"\n".repeat(400)), ("b.rs", &"\n".repeat(401)), ("c.rs", &"\n".repeat(451))]);
        let found: Vec<_> =
            length(&tree).unwrap().into_iter().map(|problem| (problem.place, problem.severity)).collect();
        assert_eq!(found, [("b.rs".to_owned(), Severity::Warning), ("c.rs".to_owned(), Severity::Error)]);
    }

    #[test]
    fn a_test_that_sleeps_is_found() {
        let call = "fn a() { std::thread::sleep(x); }\n";
        assert_eq!(found(sleeps, &[("a/tests/b.rs", call)]).len(), 1);
        assert_eq!(found(sleeps, &[("a/src/tests.rs", call)]).len(), 1);
        assert_eq!(found(sleeps, &[("a/src/clauses/b.rs", "async fn a() { tokio::time::sleep(x).await }\n")]).len(), 1);
        let inside = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { sleep(x); }\n}\n";
        let problems = found(sleeps, &[("a/src/b.rs", inside)]);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("a/src/b.rs:4: "));
    }

    #[test]
    fn a_sleep_with_a_reason_or_outside_of_tests_passes() {
        let with_reason = "fn a() {\n    // sleep: the server expires by itself\n    sleep(x);\n}\n";
        assert_eq!(found(sleeps, &[("a/tests/b.rs", with_reason)]), [""; 0]);
        let outside = "#[cfg(test)]\nmod tests;\nfn a() { sleep(x); }\n";
        assert_eq!(found(sleeps, &[("a/src/b.rs", outside)]), [""; 0]);
    }
}
