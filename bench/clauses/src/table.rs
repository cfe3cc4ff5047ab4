//! Findings as Markdown.

use std::fmt::Write as _;

use serde::Serialize;
use session_conformance::{ClauseResult, Report};

use crate::adapter::TOO_SLOW;
use crate::kind::Kind;
use crate::reasons::reason;
use crate::selection::{SELECTED, Selected, clause};

/// Report of one store.
#[derive(Debug, Serialize)]
pub(crate) struct Found {
    pub(crate) store: Kind,
    #[serde(flatten)]
    pub(crate) report: Report,
}

impl Found {
    fn of(&self, clause: &str) -> Option<&ClauseResult> {
        self.report.findings.iter().find(|finding| finding.clause == clause).map(|finding| &finding.result)
    }

    fn cell(&self, clause: &str) -> &'static str {
        match self.of(clause) {
            Some(ClauseResult::Passed) => "pass",
            Some(ClauseResult::Failed(said)) if said.contains(TOO_SLOW) => "?",
            // An error is at least reported to the application.
            Some(ClauseResult::Failed(said)) if said.contains("got the error") => "**FAIL** (error)",
            Some(ClauseResult::Failed(_)) => "**FAIL**",
            Some(ClauseResult::Ignored(_)) => "–",
            None => "",
        }
    }
}

/// Returns a table with a row per clause and a column per store, followed by the messages of the failures.
pub(crate) fn markdown(found: &[Found], clauses: &[&Selected]) -> String {
    let mut text = format!(
        "| clause |{}\n|---|{}\n",
        each(found, |found| format!(" {} |", found.store)),
        each(found, |_| "---|".into())
    );
    for selected in clauses {
        let cells = each(found, |found| format!(" {} |", found.cell(selected.name)));
        let _ = writeln!(text, "| `{}` |{cells}", selected.name);
    }
    for selected in clauses {
        text += &failures(found, selected);
    }
    text
}

fn each(found: &[Found], of: impl Fn(&Found) -> String) -> String {
    found.iter().map(of).collect()
}

/// Lists the failures of one clause. Stores with the same message share a line.
fn failures(found: &[Found], selected: &Selected) -> String {
    let mut groups: Vec<(String, Vec<&'static str>)> = Vec::new();
    for one in found {
        let Some(ClauseResult::Failed(said)) = one.of(selected.name) else { continue };
        let why = reason(selected.name, one.store, said).unwrap_or("not looked into yet");
        let line = format!("*{}.* {why}", plain(said));
        match groups.iter_mut().find(|(other, _)| *other == line) {
            Some((_, stores)) => stores.push(one.store.name()),
            None => groups.push((line, vec![one.store.name()])),
        }
    }
    if groups.is_empty() {
        return String::new();
    }
    let promise = clause(selected.name).map_or("", |clause| clause.promise);
    let mut text = format!("\n**`{}`**: {promise} {}\n\n", selected.name, selected.why);
    for (line, stores) in groups {
        let _ = writeln!(text, "- {}: {line}", stores.join(", "));
    }
    text
}

/// Returns a message on one line and without the record, because its version differs each time.
fn plain(said: &str) -> String {
    let mut text = said.replace('\n', " ");
    while let Some(begin) = text.find("Record {") {
        let end = text[begin..].find('}').map_or(text.len(), |end| begin + end + 1);
        text.replace_range(begin..end, "the record");
    }
    text
}

/// Lists the names of all clauses, for an error.
pub(crate) fn names() -> String {
    SELECTED.iter().map(|selected| selected.name).collect::<Vec<_>>().join(", ")
}
