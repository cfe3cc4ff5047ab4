//! Rust source as tokens, so that comments and strings are not taken for code.

use proc_macro2::{TokenStream, TokenTree};

use crate::result::Result;
use crate::tidy::tree::File;

/// A token of flattened source, in which brackets are tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) line: usize,
    /// Whether the token is inside an item behind `#[cfg(test)]`.
    pub(super) in_tests: bool,
}

/// Returns the tokens of a source file, in order.
pub(super) fn of(file: &File) -> Result<Vec<Token>> {
    let stream: TokenStream = file.text.parse().map_err(|error| format!("{}: {error}", file.path.display()))?;
    let mut tokens = Vec::new();
    flatten(stream, false, &mut tokens);
    Ok(tokens)
}

fn flatten(stream: TokenStream, in_tests: bool, tokens: &mut Vec<Token>) {
    let mut behind_cfg_test = false;
    for tree in stream {
        let line = tree.span().start().line;
        let mut push = |text: String, in_tests| tokens.push(Token { text, line, in_tests });
        match tree {
            TokenTree::Group(group) => {
                let brackets = match group.delimiter() {
                    proc_macro2::Delimiter::Parenthesis => ("(", ")"),
                    proc_macro2::Delimiter::Brace => ("{", "}"),
                    proc_macro2::Delimiter::Bracket => ("[", "]"),
                    proc_macro2::Delimiter::None => ("", ""),
                };
                let body = brackets.0 == "{";
                push(brackets.0.into(), in_tests);
                flatten(group.stream(), in_tests || (body && behind_cfg_test), tokens);
                let line = group.span_close().start().line;
                tokens.push(Token { text: brackets.1.into(), line, in_tests });
                if body {
                    behind_cfg_test = false;
                } else if brackets.0 == "[" && group.stream().to_string().replace(' ', "") == "cfg(test)" {
                    behind_cfg_test = true;
                }
            }
            TokenTree::Punct(punct) => {
                // `#[cfg(test)] mod tests;`: the tests are in another file.
                behind_cfg_test &= punct.as_char() != ';';
                push(punct.as_char().to_string(), in_tests);
            }
            other => push(other.to_string(), in_tests),
        }
    }
}
