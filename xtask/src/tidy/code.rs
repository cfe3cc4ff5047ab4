//! Checks of the source code.

use std::path::Path;

use super::problem::Problem;
use super::tokens;
use super::tree::{File, Tree};
use crate::result::Result;

/// Tokens that mark unfinished or unchecked code, each with the problem to report.
const UNFINISHED: &[(&[&str], &str)] = &[
    (&["todo", "!"], "is not finished"),
    (&["unimplemented", "!"], "is not finished"),
    (&["dbg", "!"], "is left over from debugging"),
    (&["#", "[", "ignore"], "a test that does not run proves nothing"),
    (&["allow", "(", "unsafe_code"], "there is no unsafe code here"),
    (&["expect", "(", "unsafe_code"], "there is no unsafe code here"),
];

pub(super) fn unfinished(tree: &Tree) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for file in tree.with_extension("rs") {
        let tokens = tokens::of(file)?;
        for (words, why) in UNFINISHED {
            let lines = tokens::lines_with(&tokens, words);
            problems.extend(
                lines.into_iter().map(|line| Problem::at(&file.path, line, format!("{}: {why}", words.concat()))),
            );
        }
    }
    Ok(problems)
}

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

pub(super) fn whitespace(tree: &Tree) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for file in &tree.files {
        let ends_badly = |line: &&str| line.ends_with([' ', '\t', '\r']);
        let lines = file.text.split('\n').enumerate().filter(|(_, line)| ends_badly(line));
        problems
            .extend(lines.map(|(number, _)| Problem::at(&file.path, number + 1, "white space at the end of the line")));
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
    use super::{length, sleeps, unfinished, whitespace};
    use crate::tidy::problem::Severity;
    use crate::tidy::testing::{found, tree};

    #[test]
    fn unfinished_code_is_found_where_it_stands() {
        let source = "fn a() {\n    todo!()\n}\n#[test]\n#[ignore = \"slow\"]\nfn b() { dbg!(1); }\n";
        let places: Vec<_> = found(unfinished, &[("a.rs", source)]);
        assert_eq!(places.len(), 3);
        assert_eq!(places[0], "a.rs:2: todo!: is not finished");
        assert!(places[1].starts_with("a.rs:5: #[ignore"));
        assert!(places[2].starts_with("a.rs:6: dbg!"));
        assert_eq!(found(unfinished, &[("a.rs", "#![allow(unsafe_code)]\n")]).len(), 1);
    }

    #[test]
    fn words_in_comments_and_strings_are_no_code() {
        let source = "/// todo!()\n// dbg!(1)\nfn a() -> &'static str { r#\"todo!() #[ignore]\"# }\n";
        assert_eq!(found(unfinished, &[("a.rs", source)]), [""; 0]);
    }

    #[test]
    fn a_long_file_is_told_of_and_a_longer_one_refused() {
        let (_folder, tree) =
            tree(&[("a.rs", &"\n".repeat(400)), ("b.rs", &"\n".repeat(401)), ("c.rs", &"\n".repeat(451))]);
        let found: Vec<_> =
            length(&tree).unwrap().into_iter().map(|problem| (problem.place, problem.severity)).collect();
        assert_eq!(found, [("b.rs".to_owned(), Severity::Warning), ("c.rs".to_owned(), Severity::Error)]);
    }

    #[test]
    fn white_space_at_the_end_is_found() {
        assert_eq!(found(whitespace, &[("a.md", "a\nb \nc\n")]), ["a.md:2: white space at the end of the line"]);
        assert_eq!(found(whitespace, &[("a.toml", "a\r\n")]).len(), 1);
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
