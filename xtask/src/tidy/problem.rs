//! A broken rule.

use std::path::Path;

/// A place where a rule is broken, and the problem.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Problem {
    /// `file:line`, or a file or folder.
    pub(super) place: String,
    pub(super) what: String,
    /// Whether this is only a warning, which fails nothing.
    pub(super) only_warns: bool,
}

impl Problem {
    pub(super) fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into(), only_warns: false }
    }

    pub(super) fn at(file: &Path, line: usize, what: impl Into<String>) -> Self {
        Self::new(format!("{}:{line}", file.display()), what)
    }

    pub(super) fn warning(mut self) -> Self {
        self.only_warns = true;
        self
    }
}
