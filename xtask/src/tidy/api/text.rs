//! Source code as one line of text.

use syn::spanned::Spanned;

/// Returns the source of a piece of syntax on one line.
pub(super) fn source(piece: &impl Spanned) -> String {
    joined(&piece.span().source_text().unwrap_or_default())
}

/// Joins lines as they would be on one line that is long enough.
fn joined(text: &str) -> String {
    let mut line = String::new();
    for part in text.lines().map(str::trim).filter(|part| !part.starts_with("//") && !part.starts_with("#[")) {
        let open = line.is_empty() || line.ends_with(['(', '[', '<']);
        let closes = part.starts_with([')', ']', '>', '.']);
        if closes && line.ends_with(',') {
            line.pop();
        }
        if !open && !closes {
            line.push(' ');
        }
        line += part;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::joined;

    #[test]
    fn lines_are_joined_without_a_trace() {
        let long = "fn long(\n    &self,\n    // Note.\n    of: impl Into<\n        String,\n    >,\n) -> u8\nwhere\n    Self: Sized";
        assert_eq!(joined(long), "fn long(&self, of: impl Into<String>) -> u8 where Self: Sized");
        assert_eq!(joined("u8"), "u8");
    }
}
