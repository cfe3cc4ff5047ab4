//! Checks of links and programs in the documentation.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag};

use super::problem::Problem;
use super::tokens;
use super::tree::{File, Tree, plain};
use crate::result::Result;

pub(super) fn links(tree: &Tree) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for file in tree.with_extension("md") {
        for (event, range) in Parser::new(&file.text).into_offset_iter() {
            let (Event::Start(Tag::Link { dest_url, .. }) | Event::Start(Tag::Image { dest_url, .. })) = event else {
                continue;
            };
            let folder = file.path.parent().unwrap_or(Path::new(""));
            if let Some(target) = relative(&dest_url)
                && !tree.root.join(folder).join(target).exists()
            {
                problems.push(Problem::at(&file.path, line(file, range.start), format!("{dest_url} leads nowhere")));
            }
        }
    }
    Ok(problems)
}

/// Returns the file that a link names; `None` for an external link, a link within the page, or an item of rustdoc.
fn relative(link: &str) -> Option<&str> {
    let target = link.split(['#', '?']).next().unwrap_or_default();
    let elsewhere = target.contains(':') || target.starts_with('/');
    (!target.is_empty() && !elsewhere).then_some(target)
}

pub(super) fn programs(tree: &Tree) -> Result<Vec<Problem>> {
    let included = included(tree)?;
    let mut problems = Vec::new();
    for file in tree.with_extension("md") {
        for (event, range) in Parser::new(&file.text).into_offset_iter() {
            let Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) = event else { continue };
            let mut words = info.split([',', ' ']).map(str::trim);
            if words.next() != Some("rust") {
                continue;
            }
            let place = line(file, range.start);
            if words.any(|word| word == "ignore") {
                problems.push(Problem::at(
                    &file.path,
                    place,
                    "a program marked `ignore` is not compiled: mark it `text`",
                ));
            } else if !included.contains(&file.path) {
                let what = "this program is not compiled: no crate has `#[doc = include_str!(…)]` of this file";
                problems.push(Problem::at(&file.path, place, what));
            }
        }
    }
    Ok(problems)
}

/// Returns the files that source files include as text, relative to the workspace's root.
fn included(tree: &Tree) -> Result<BTreeSet<PathBuf>> {
    let mut included = BTreeSet::new();
    for file in tree.with_extension("rs") {
        let folder = file.path.parent().unwrap_or(Path::new(""));
        for window in tokens::of(file)?.windows(4) {
            if window[0].text == "include_str" {
                included.insert(plain(&folder.join(window[3].text.trim_matches('"'))));
            }
        }
    }
    Ok(included)
}

fn line(file: &File, offset: usize) -> usize {
    file.text[..offset].matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::{links, programs};
    use crate::tidy::testing::found;

    #[test]
    fn a_link_to_nowhere_is_found() {
        let text =
            "# A\n\n[good](b.md#top), [bad](c.md), [there](https://example.com/x), [here](#a), [item](crate::A)\n";
        let files = [("docs/a.md", text), ("docs/b.md", "")];
        assert_eq!(found(links, &files), ["docs/a.md:3: c.md leads nowhere"]);
    }

    #[test]
    fn links_in_code_are_no_links() {
        assert_eq!(found(links, &[("a.md", "`[x](y.md)`\n\n```text\n[x](y.md)\n```\n")]), [""; 0]);
    }

    #[test]
    fn a_program_that_nothing_compiles_is_found() {
        let page = ("docs/a.md", "# A\n\n```rust\nfn main() {}\n```\n\n```text\nnothing\n```\n");
        let problems = found(programs, &[page]);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("docs/a.md:3: this program is not compiled"));
        let including = ("x/src/lib.rs", "#[doc = include_str!(\"../../docs/a.md\")]\nstruct A;\n");
        assert_eq!(found(programs, &[page, including]), [""; 0]);
    }

    #[test]
    fn a_program_that_is_passed_over_is_found() {
        let page = ("a.md", "```rust,ignore\nfn main() {}\n```\n");
        let including = ("lib.rs", "#![doc = include_str!(\"a.md\")]\n");
        assert_eq!(found(programs, &[page, including]).len(), 1);
    }
}
