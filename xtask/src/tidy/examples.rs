//! Checks that the methods that applications call have examples.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag};
use syn::{ImplItem, ImplItemFn, Item, Type, Visibility};

use super::problem::Problem;
use super::syntax::{self, documentation, is_hidden, only_for_tests};
use super::tree::Tree;
use crate::result::Result;

/// Types whose public methods need an example, each with the folder of its crate.
const TYPES: &[(&str, &str)] = &[
    ("session-core", "Session"),
    ("session-core", "Manager"),
    ("session-core", "ManagerBuilder"),
    ("session-crypto", "KeyRing"),
    ("session-http", "CookieOptions"),
    ("session-tower", "SessionLayer"),
    ("session-tower", "SessionLayerBuilder"),
    ("session-tower", "Sessions"),
];

pub(super) fn check(tree: &Tree) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    let mut methods = 0;
    let mut seen = BTreeSet::new();
    for file in tree.with_extension("rs") {
        let types: Vec<&str> = TYPES
            .iter()
            .filter(|(folder, name)| file.path.starts_with(format!("{folder}/src")) && file.text.contains(name))
            .map(|(_, name)| *name)
            .collect();
        if types.is_empty() {
            continue;
        }
        let items = syntax::parse(file)?.items;
        for (type_name, method) in methods_of(&items, &types) {
            methods += 1;
            seen.insert((file.path.iter().next(), type_name));
            if !has_example(&documentation(&method.attrs)) {
                let line = method.sig.ident.span().start().line;
                let what = format!("{type_name}::{} has no example", method.sig.ident);
                problems.push(Problem::at(&file.path, line, what));
            }
        }
    }
    let with = methods - problems.len();
    let is_seen = |folder: &str, name| seen.contains(&(Some(OsStr::new(folder)), name));
    for (folder, name) in TYPES {
        if tree.file(&Path::new(folder).join("src/lib.rs")).is_some() && !is_seen(folder, name) {
            problems.push(Problem::new(*folder, format!("has no {name} with public methods any more")));
        }
    }
    problems.push(Problem::new("examples", format!("{methods} methods, {with} with an example")).note());
    Ok(problems)
}

/// Returns the public methods and associated functions that the items define for `types`.
fn methods_of<'a, 't>(items: &'a [Item], types: &[&'t str]) -> Vec<(&'t str, &'a ImplItemFn)> {
    let mut methods = Vec::new();
    for item in items {
        let Item::Impl(item) = item else { continue };
        let Type::Path(path) = &*item.self_ty else { continue };
        let Some(name) = types.iter().find(|name| path.path.segments.last().is_some_and(|last| last.ident == **name))
        else {
            continue;
        };
        if item.trait_.is_some() || is_hidden(&item.attrs) || only_for_tests(&item.attrs) {
            continue;
        }
        methods.extend(item.items.iter().filter_map(|item| match item {
            ImplItem::Fn(method) if is_shown(method) => Some((*name, method)),
            _ => None,
        }));
    }
    methods
}

fn is_shown(method: &ImplItemFn) -> bool {
    matches!(method.vis, Visibility::Public(_)) && !is_hidden(&method.attrs) && !only_for_tests(&method.attrs)
}

/// Whether there is a code block that rustdoc compiles.
fn has_example(documentation: &str) -> bool {
    Parser::new(documentation).any(|event| match event {
        Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => is_compiled(&info),
        _ => false,
    })
}

/// Whether rustdoc compiles a code block with these words behind its fence.
fn is_compiled(info: &str) -> bool {
    let mut words = info.split([',', ' ']).map(str::trim).filter(|word| !word.is_empty());
    words.all(|word| matches!(word, "rust" | "no_run" | "should_panic") || word.starts_with("edition"))
}

#[cfg(test)]
mod tests {
    use super::{check, has_example};
    use crate::tidy::testing::found;

    #[test]
    fn public_methods_without_an_example_are_found_and_counted() {
        let source = "pub struct Session;\nimpl Session {\n    /// Says it.\n    ///\n    /// ```\n    /// f();\n    /// ```\n    \
                      pub fn shown() {}\n    /// Says nothing.\n    pub async fn bare(&self) {}\n    fn private() {}\n    \
                      pub(crate) fn inside() {}\n    #[doc(hidden)]\n    pub fn hidden() {}\n}\n\
                      impl Clone for Session { fn clone(&self) -> Self { Self } }\n\
                      pub struct Other;\nimpl Other { pub fn bare() {} }\n";
        let problems = found(check, &[("session-core/src/session.rs", source), ("demo/src/a.rs", source)]);
        assert_eq!(
            problems,
            [
                "note: examples: 2 methods, 1 with an example",
                "session-core/src/session.rs:10: Session::bare has no example",
            ]
        );
    }

    #[test]
    fn a_type_that_was_renamed_is_found() {
        let source = ("session-crypto/src/lib.rs", "pub struct Keys;\nimpl Keys { pub fn new() {} }\n");
        assert_eq!(found(check, &[source])[1], "session-crypto: has no KeyRing with public methods any more");
    }

    #[test]
    fn only_compiled_code_is_an_example() {
        for example in ["```\nf();\n```", "Text.\n\n```no_run\nf();\n```", "```rust,should_panic\nf();\n```"] {
            assert!(has_example(example), "{example}");
        }
        for other in ["", "`f()`", "```text\nf\n```", "```ignore\nf();\n```", "```json\n{}\n```"] {
            assert!(!has_example(other), "{other}");
        }
    }
}
