//! The results as data, for tables.

use std::time::Duration;

use serde::Serialize;

use crate::{Clause, Subject};

/// How one clause ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "result", content = "why", rename_all = "lowercase")]
pub enum Result {
    /// The store keeps the promise.
    Passed,
    /// It does not: what was promised and what was seen.
    Failed(String),
    /// The promise is about a capability that the store does not have: which.
    Ignored(String),
}

/// A clause and how it ended.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The clause's name.
    pub clause: &'static str,
    /// Its promise.
    pub promise: &'static str,
    /// How it ended.
    #[serde(flatten)]
    pub result: Result,
    /// How long it took.
    pub millis: u64,
}

impl Finding {
    pub(crate) fn new(clause: &Clause, result: Result, took: Duration) -> Self {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        Self { clause: clause.name, promise: clause.promise, result, millis }
    }
}

/// A whole run. [`run`](crate::run) writes it as JSON to the path in `CONFORMANCE_REPORT`.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The version of this suite.
    pub suite: &'static str,
    /// The store's crate, if the harness got as far as to name it.
    pub subject: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// The server and its version.
    pub server: Option<String>,
    /// Every clause that was run, in the order of the tables.
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
