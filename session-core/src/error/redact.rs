//! Redaction: removes from drivers' messages all that could open a session or a database.

use std::error::Error as StdError;
use std::fmt;

/// Shortest run of characters that may be a secret. An id has 43 characters and a key 64, but drivers cut and wrap them.
const SECRET_RUN: usize = 24;

/// Redacted text of an error and of its sources.
#[derive(Clone)]
pub(super) struct Redacted {
    text: Box<str>,
    source: Option<Box<Self>>,
}

impl Redacted {
    pub(super) fn of(error: &(dyn StdError + 'static)) -> Self {
        Self { text: text(&error.to_string()).into(), source: error.source().map(|source| Box::new(Self::of(source))) }
    }
}

impl fmt::Display for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)?;
        match &self.source {
            Some(source) => write!(f, " <- {source:?}"),
            None => Ok(()),
        }
    }
}

impl StdError for Redacted {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Returns `raw` without URL credentials, and without long runs that look like ids, keys or tokens.
pub(super) fn text(raw: &str) -> String {
    without_runs(&without_credentials(raw))
}

fn without_credentials(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        out.push_str(head);
        let authority =
            tail.find(|c: char| matches!(c, '/' | '?' | '#' | '"' | '\'') || c.is_whitespace()).unwrap_or(tail.len());
        rest = match tail[..authority].rfind('@') {
            Some(end) => {
                out.push_str("***");
                &tail[end..]
            }
            None => tail,
        };
    }
    out.push_str(rest);
    out
}

fn without_runs(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut run = String::new();
    for c in raw.chars().map(Some).chain([None]) {
        match c {
            Some(c) if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') => run.push(c),
            other => {
                out.push_str(if looks_secret(&run) { "***" } else { &run });
                run.clear();
                out.extend(other);
            }
        }
    }
    out
}

/// Returns the reason in the text of a serde error, without the value. `None` for a text that is not serde's own, because it may quote anything.
pub(super) fn serde_reason(raw: &str) -> Option<String> {
    let own_words = ["missing field `", "duplicate field `", "invalid length "];
    if own_words.iter().any(|words| raw.starts_with(words)) {
        return Some(raw.to_owned());
    }
    // The found value comes before the expected type, and is quoted.
    let quoting = ["invalid type: ", "invalid value: ", "unknown variant ", "unknown field "];
    let words = quoting.iter().find(|words| raw.starts_with(**words))?;
    let (found, expected) = raw[words.len()..].rsplit_once(", expected ")?;
    let kind = found.split(['`', '"']).next().unwrap_or_default().trim_end();
    let found = if kind.is_empty() { words.trim_end().trim_end_matches(':') } else { kind };
    let what = if kind.is_empty() { "" } else { words };
    Some(format!("{what}{found}, expected {expected}"))
}

/// Whether `run` is long and is not a word. Identifiers of programs are lower case with underscores, or have no digit.
fn looks_secret(run: &str) -> bool {
    run.len() >= SECRET_RUN
        && (run.bytes().any(|b| b.is_ascii_digit())
            || run.bytes().any(|b| b.is_ascii_uppercase())
                && run.bytes().any(|b| b.is_ascii_lowercase())
                && run.len() >= 40)
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn a_password_in_a_url_is_not_shown() {
        assert_eq!(text("cannot reach postgres://me:p@ss@db:5432/x?y"), "cannot reach postgres://***@db:5432/x?y");
        assert_eq!(text("redis://:secret@h redis://h"), "redis://***@h redis://h");
    }

    #[test]
    fn ids_and_keys_are_not_shown() {
        let hex = "Key (key)=(\\x00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff)";
        assert_eq!(text(hex), "Key (key)=(\\***)");
        assert_eq!(text("id q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA."), "id ***.");
    }

    #[test]
    fn a_reason_of_serde_is_kept_without_the_value() {
        let reason = |raw| super::serde_reason(raw).unwrap_or_default();
        assert_eq!(
            reason("invalid type: string \"a, expected `b\", expected u32"),
            "invalid type: string, expected u32"
        );
        assert_eq!(
            reason("invalid value: integer `-7`, expected u8 at line 1"),
            "invalid value: integer, expected u8 at line 1"
        );
        assert_eq!(reason("unknown variant `x`, expected `A` or `B`"), "unknown variant, expected `A` or `B`");
        assert_eq!(reason("missing field `name`"), "missing field `name`");
        assert_eq!(reason("invalid character: found `z`"), "");
    }

    #[test]
    fn ordinary_words_stay() {
        let words = "duplicate key value violates unique constraint \"sessions_pkey\"";
        assert_eq!(text(words), words);
    }
}
