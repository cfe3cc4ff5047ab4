//! Checks that clauses and tests named in `docs/` exist.

use std::collections::BTreeSet;
use std::path::Path;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::problem::Problem;
use super::tokens::{self, Token};
use super::tree::{File, Tree};
use crate::result::Result;

/// Kind of the names that follow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Clauses,
    Tests,
}

/// Checks names in code that follow the word "clause" or "test" in the pages under `docs/`: ``clauses `a.b` and `a.c`, test `d_e` ``.
pub(super) fn check(tree: &Tree) -> Result<Vec<Problem>> {
    let known = Known::of(tree)?;
    let pages = tree.with_extension("md").filter(|file| file.path.starts_with("docs"));
    Ok(pages.flat_map(|page| missing(page, &known)).collect())
}

#[derive(Default)]
struct Known {
    clauses: BTreeSet<String>,
    tests: BTreeSet<String>,
}

impl Known {
    fn of(tree: &Tree) -> Result<Self> {
        let mut known = Self::default();
        for file in tree.with_extension("rs") {
            // Parsing is slow, and most files have neither clauses nor tests.
            if file.text.contains("clause!") || file.text.contains("test") {
                known.read(&tokens::of(file)?);
            }
        }
        Ok(known)
    }

    fn read(&mut self, tokens: &[Token]) {
        let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token| token.text == text);
        let mut marked = false;
        for (at, token) in tokens.iter().enumerate() {
            match token.text.as_str() {
                // `clause!("name", …`
                "clause" if is(at + 1, "!") => {
                    let name = tokens.get(at + 3).map(|token| token.text.trim_matches('"').to_owned());
                    self.clauses.extend(name);
                }
                // `#[test]`, `#[tokio::test]`, `#[tokio::test(…)]`
                "test" => marked |= is(at + 1, "]") || is(at + 1, "("),
                "fn" if std::mem::take(&mut marked) => {
                    self.tests.extend(tokens.get(at + 1).map(|token| token.text.clone()));
                }
                _ => {}
            }
        }
    }

    fn has(&self, of: Of, name: &str) -> bool {
        match of {
            Of::Clauses => self.clauses.contains(name),
            Of::Tests => self.tests.contains(name),
        }
    }
}

fn missing(page: &File, known: &Known) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut of = None;
    for (event, range) in Parser::new_ext(&page.text, Options::ENABLE_TABLES).into_offset_iter() {
        match event {
            Event::Text(text) => of = announced(&text, of),
            Event::Code(name) => {
                if let Some(of) = of
                    && !known.has(of, &name)
                {
                    let what = if of == Of::Clauses { "clause" } else { "test" };
                    let line = page.text[..range.start].matches('\n').count() + 1;
                    problems.push(Problem::at(Path::new(&page.path), line, format!("there is no {what} {name}")));
                }
            }
            Event::Start(Tag::TableCell | Tag::Paragraph | Tag::Item) | Event::End(TagEnd::TableCell) => of = None,
            _ => {}
        }
    }
    problems
}

/// Returns the kind of a name that follows `text`. `before` is the kind of the previous name.
fn announced(text: &str, before: Option<Of>) -> Option<Of> {
    match text.split([' ', '(']).rfind(|word| !word.is_empty()) {
        Some("clause" | "clauses") => Some(Of::Clauses),
        Some("test" | "tests") => Some(Of::Tests),
        Some("and" | ",") => before,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::found;

    const CODE: (&str, &str) = (
        "a/src/lib.rs",
        "const C: &[Clause] = &[clause!(\"a.b\", [], f, \"…\")];\n#[test]\nfn it_holds() {}\n\
         #[tokio::test(flavor = \"multi_thread\")]\nasync fn it_waits() {}\nfn no_test() {}\n",
    );

    #[test]
    fn a_proof_that_does_not_exist_is_found() {
        let page = "Shown by clause `a.b` and `a.c`; tests `it_holds`, `it_waits`, `no_test`.\n\n\
                    | what | shown by |\n|---|---|\n| `free` | test `gone` |\n| clause | `other` |\n";
        assert_eq!(
            found(check, &[CODE, ("docs/a.md", page)]),
            [
                "docs/a.md:1: there is no clause a.c",
                "docs/a.md:1: there is no test no_test",
                "docs/a.md:5: there is no test gone"
            ]
        );
    }

    #[test]
    fn other_code_is_no_proof() {
        let page = "The tests of `session-http`, and `cargo test`; clause `a.b` is about `anything`.\n";
        assert_eq!(found(check, &[CODE, ("docs/a.md", page), ("b.md", "clause `none`\n")]), [""; 0]);
    }
}
