//! Results of a run as data.

use std::time::Duration;

use serde::Serialize;

use crate::{Clause, Subject};

/// Result of one clause.
///
/// ```
/// use session_conformance::ClauseResult;
///
/// let ignored = ClauseResult::Ignored("needs scan".to_owned());
/// assert_eq!(serde_json::to_string(&ignored).unwrap(), r#"{"result":"ignored","why":"needs scan"}"#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "result", content = "why", rename_all = "lowercase")]
pub enum Result {
    /// The store keeps the promise.
    Passed,
    /// The store breaks the promise. The text says what was promised and what was seen.
    Failed(String),
    /// The store lacks a capability that the clause requires. The text names it.
    Ignored(String),
}

/// A clause with its result.
///
/// ```
/// use session_conformance::{ClauseResult, Finding};
///
/// fn line(finding: &Finding) -> String {
///     match &finding.result {
///         ClauseResult::Failed(why) => format!("{} failed after {} ms: {why}", finding.clause, finding.millis),
///         _ => format!("{} did not fail", finding.clause),
///     }
/// }
/// ```
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Name of the clause.
    pub clause: &'static str,
    /// The clause's promise.
    pub promise: &'static str,
    /// Result of the clause.
    #[serde(flatten)]
    pub result: Result,
    /// Duration of the clause, in milliseconds.
    pub millis: u64,
}

impl Finding {
    pub(crate) fn new(clause: &Clause, result: Result, took: Duration) -> Self {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        Self { clause: clause.name, promise: clause.promise, result, millis }
    }
}

/// Results of a whole run. [`run`](crate::run) writes them as JSON to the path in `CONFORMANCE_REPORT`.
///
/// ```
/// use session_conformance::{ClauseResult, Report};
///
/// fn failed(report: &Report) -> Vec<&'static str> {
///     let failed = |result: &ClauseResult| matches!(result, ClauseResult::Failed(_));
///     report.findings.iter().filter(|finding| failed(&finding.result)).map(|finding| finding.clause).collect()
/// }
/// ```
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Version of this suite.
    pub suite: &'static str,
    /// Name of the store's crate. `None` if the harness could not state its subject.
    pub subject: Option<String>,
    /// Version of the store's crate.
    pub version: Option<String>,
    /// Name and version of the server.
    pub server: Option<String>,
    /// A finding for each clause that was run, in the order of the tables.
    pub findings: Vec<Finding>,
}

impl Report {
    pub(crate) fn new(subject: Option<&Subject>, mut findings: Vec<Finding>) -> Self {
        let place = |finding: &Finding| crate::clauses().position(|clause| clause.name == finding.clause);
        findings.sort_by_key(place);
        Self {
            suite: env!("CARGO_PKG_VERSION"),
            subject: subject.map(|subject| subject.name.clone()),
            version: subject.map(|subject| subject.version.clone()),
            server: subject.and_then(|subject| subject.server.clone()),
            findings,
        }
    }
}
