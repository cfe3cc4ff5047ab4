//! A broken rule.

use std::fmt;
use std::path::Path;

/// A place where a rule is broken, and the problem.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Problem {
    /// `file:line`, or a file or folder.
    pub(super) place: String,
    pub(super) what: String,
    pub(super) severity: Severity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// Fails the check.
    Error,
    /// Is shown and fails nothing.
    Warning,
    /// A result that is no problem, such as a count.
    Note,
}

impl Problem {
    pub(super) fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into(), severity: Severity::Error }
    }

    pub(super) fn at(file: &Path, line: usize, what: impl Into<String>) -> Self {
        Self::new(format!("{}:{line}", file.display()), what)
    }

    pub(super) fn warning(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }

    pub(super) fn note(self) -> Self {
        Self { severity: Severity::Note, ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
            Severity::Note => "note: ",
        };
        write!(f, "{severity}{}: {}", self.place, self.what)
    }
}
