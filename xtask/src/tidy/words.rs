//! Words that make a text hard to read.

use std::path::Path;

use super::problem::Problem;
use super::tree::Tree;
use crate::result::Result;

/// Words that stay out of sources and documents, with what to write in their place. They are split, so that this file has none of them.
const UNWANTED: &[([&str; 2], &str)] = &[
    (["some", "body"], ACTOR),
    (["no", "body"], ACTOR),
    (["who", "ever"], ACTOR),
    (["an", "ew"], "say that it starts or is done again"),
    (["sel", "dom"], "say that it is rare"),
    (["ab", "oard"], "say what is merged with what"),
];

const ACTOR: &str = "name the caller, client, request, connection or process";

/// Extensions of sources and documents.
const TEXTS: &[&str] = &["rs", "md", "toml", "lua", "yml", "html", "css"];

pub(super) fn check(tree: &Tree) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    let is_text = |path: &Path| path.extension().is_some_and(|extension| TEXTS.iter().any(|text| extension == *text));
    for file in tree.files.iter().filter(|file| is_text(&file.path)) {
        for (number, line) in file.text.lines().enumerate() {
            let words = line.split(|c: char| !c.is_alphabetic()).map(str::to_lowercase);
            for word in words {
                let found = UNWANTED.iter().find(|(halves, _)| word == halves.concat());
                problems.extend(found.map(|(_, why)| Problem::at(&file.path, number + 1, format!("{word}: {why}"))));
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
    fn an_unwanted_word_is_found_in_comments_names_and_documents() {
        let word = ["no", "body"].concat();
        let source = format!("/// Sent to {word}.\nfn is_seen_by_{word}() {{}}\n");
        assert_eq!(found(check, &[("a.rs", &source)]).len(), 2);
        let document = format!("# A\n\n{}'s\n", word.to_uppercase());
        let problems = found(check, &[("a.md", &document)]);
        assert_eq!(problems, [format!("a.md:3: {word}: name the caller, client, request, connection or process")]);
    }

    #[test]
    fn longer_words_pass() {
        assert_eq!(found(check, &[("a.md", "manewer, bodyguard\n")]), [""; 0]);
    }
}
