//! Findings as Markdown.

use std::fmt::Write as _;

use session_conformance::{ClauseResult, Report};
use serde::Serialize;

use crate::adapter::TOO_SLOW;
use crate::chosen::{CHOSEN, Chosen, clause};
use crate::kind::Kind;
use crate::why::why;

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
pub(crate) fn markdown(found: &[Found], clauses: &[&Chosen]) -> String {
    let mut text = format!(
        "| clause |{}\n|---|{}\n",
        each(found, |found| format!(" {} |", found.store)),
        each(found, |_| "---|".into())
    );
    for chosen in clauses {
        let cells = each(found, |found| format!(" {} |", found.cell(chosen.name)));
        let _ = writeln!(text, "| `{}` |{cells}", chosen.name);
    }
    for chosen in clauses {
        text += &failures(found, chosen);
    }
    text
}

fn each(found: &[Found], of: impl Fn(&Found) -> String) -> String {
    found.iter().map(of).collect()
}

/// Lists the failures of one clause. Stores with the same message share a line.
fn failures(found: &[Found], chosen: &Chosen) -> String {
    let mut groups: Vec<(String, Vec<&'static str>)> = Vec::new();
    for one in found {
        let Some(ClauseResult::Failed(said)) = one.of(chosen.name) else { continue };
        let why = why(chosen.name, one.store, said).unwrap_or("not looked into yet");
        let line = format!("*{}.* {why}", plain(said));
        match groups.iter_mut().find(|(other, _)| *other == line) {
            Some((_, stores)) => stores.push(one.store.name()),
            None => groups.push((line, vec![one.store.name()])),
        }
    }
    if groups.is_empty() {
        return String::new();
    }
    let promise = clause(chosen.name).map_or("", |clause| clause.promise);
    let mut text = format!("\n**`{}`**: {promise} {}\n\n", chosen.name, chosen.why);
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
    CHOSEN.iter().map(|chosen| chosen.name).collect::<Vec<_>>().join(", ")
}
