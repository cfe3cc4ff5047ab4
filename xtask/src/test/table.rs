//! Tables of the conformance suites' reports: clauses by stores, clauses by mutants.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::result::Result;

/// Report of one test program: the findings on a store.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Report {
    subject: Option<String>,
    version: Option<String>,
    server: Option<String>,
    findings: Vec<Finding>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Finding {
    clause: String,
    #[serde(default)]
    promise: String,
    result: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// Contents of a report's file.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Reports {
    Several(Vec<Report>),
    One(Report),
}

/// Findings on one store.
#[derive(Debug, Serialize)]
struct Column {
    #[serde(rename = "subject")]
    name: String,
    version: Option<String>,
    server: Option<String>,
    findings: Vec<Finding>,
}

impl Column {
    fn about(&self) -> String {
        let server = self.server.as_ref().map(|server| format!("on {server}"));
        let about = [Some(self.name.clone()), self.version.clone(), server];
        about.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    fn count(&self, result: &str) -> usize {
        self.findings.iter().filter(|finding| finding.result == result).count()
    }
}

/// All reports of a run.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    stores: Vec<Column>,
    /// Clauses, each with the mutants that it kills, as text.
    kills: Vec<(String, String)>,
}

/// Reads the reports in `folder`.
pub(super) fn read(folder: &Path) -> Result<Tables> {
    let mut files = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let mut tables = Tables::default();
    for file in files {
        let report = serde_json::from_slice(&std::fs::read(&file)?);
        let report = report.map_err(|error| format!("{} is no report: {error}", file.display()))?;
        let reports = match report {
            Reports::Several(reports) => reports,
            Reports::One(report) => vec![report],
        };
        for report in reports {
            tables.add(&file.file_stem().unwrap_or_default().to_string_lossy(), report);
        }
    }
    Ok(tables)
}

impl Tables {
    fn add(&mut self, file: &str, report: Report) {
        if report.findings.is_empty() {
            return;
        }
        let name = report.subject.unwrap_or_else(|| file.to_owned());
        // The folder's name, which is shorter and makes narrower columns.
        let name = name.strip_prefix("session-").map_or_else(|| name.clone(), str::to_owned);
        self.stores.push(Column { name, version: report.version, server: report.server, findings: report.findings });
    }

    /// Adds the Markdown table that the mutants' program prints: clause, promise, mutants. Returns whether there was one.
    pub(super) fn add_mutants(&mut self, markdown: &[String]) -> bool {
        let rows = markdown.iter().filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.strip_suffix('|')?.split('|').map(str::trim);
            let clause = cells.next()?.trim_end_matches('`');
            Some((clause.to_owned(), cells.next_back()?.to_owned()))
        });
        self.kills.extend(rows);
        !self.kills.is_empty()
    }

    /// Returns all clauses, in the order of the reports.
    fn clauses(&self) -> Vec<&str> {
        let mut clauses = Vec::new();
        for finding in self.stores.iter().flat_map(|store| &store.findings) {
            if !clauses.contains(&&*finding.clause) {
                clauses.push(&finding.clause);
            }
        }
        clauses
    }

    /// Names the clauses that kill no mutant, because they may check nothing. `None` unless there are both tables.
    pub(super) fn problem(&self) -> Option<String> {
        if self.kills.is_empty() || self.stores.is_empty() {
            return None;
        }
        let kills = |clause: &&str| self.kills.iter().any(|(name, mutants)| name == clause && !mutants.is_empty());
        let idle: Vec<&str> = self.clauses().into_iter().filter(|clause| !kills(clause)).collect();
        (!idle.is_empty()).then(|| format!("clauses that kill no mutant: {}", idle.join(", ")))
    }

    pub(super) fn print(&self) {
        if !self.stores.is_empty() {
            println!("\nClauses and stores\n\n{}", self.by_store());
        }
        if !self.kills.is_empty() {
            println!("\nClauses and the mutants they kill\n\n{}", self.by_mutant());
        }
    }

    fn by_store(&self) -> String {
        let mut rows = vec![vec!["clause".to_owned()]];
        rows[0].extend(self.stores.iter().map(|store| store.name.clone()));
        let mut reasons: Vec<&str> = Vec::new();
        for clause in self.clauses() {
            let mut row = vec![clause.to_owned()];
            row.extend(self.stores.iter().map(|store| cell(store, clause, &mut reasons)));
            rows.push(row);
        }
        let mut text = grid(&rows);
        for (number, reason) in reasons.iter().enumerate() {
            text += &format!("[{}] {reason}\n", number + 1);
        }
        for store in &self.stores {
            let (passed, failed, ignored) = (store.count("passed"), store.count("failed"), store.count("ignored"));
            text += &format!("{}: {passed} passed, {failed} failed, {ignored} ignored\n", store.about());
        }
        text
    }

    /// Whether there are stores, and no clause failed on any of them.
    pub(crate) fn is_green(&self) -> bool {
        !self.stores.is_empty() && self.stores.iter().all(|store| store.count("failed") == 0)
    }

    /// Returns the table of clauses by stores, as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut reasons = Vec::new();
        let mut rows = Vec::new();
        for clause in self.clauses() {
            let promise = self.stores.iter().flat_map(|store| &store.findings).find(|finding| finding.clause == clause);
            let promise = promise.map(|finding| finding.promise.replace('|', "\\|")).unwrap_or_default();
            let mut row = vec![format!("`{clause}`")];
            row.extend(self.stores.iter().map(|store| cell(store, clause, &mut reasons)));
            row.push(promise);
            rows.push(row);
        }
        let mut head = vec!["clause".to_owned()];
        head.extend(self.stores.iter().map(|store| store.name.clone()));
        head.push("promise".to_owned());
        let mut text = pipes(&head, &rows);
        for (number, reason) in reasons.iter().enumerate() {
            text += &format!("\n\\[{}\\] {reason}\n", number + 1);
        }
        text
    }

    /// Returns a table with one row for each store, as Markdown: its server and its numbers of clauses.
    pub(crate) fn summary(&self) -> String {
        let row = |store: &Column| {
            let count = |result| store.count(result).to_string();
            let server = store.server.clone().unwrap_or_default();
            vec![store.name.clone(), server, count("passed"), count("ignored"), count("failed")]
        };
        let head = ["proved", "on", "clauses that hold", "left out by capability", "failed"].map(str::to_owned);
        pipes(&head, &self.stores.iter().map(row).collect::<Vec<_>>())
    }

    /// Returns all findings as JSON.
    pub(crate) fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(&self.stores)? + "\n")
    }

    fn by_mutant(&self) -> String {
        let mut rows = vec![vec!["clause".to_owned(), "mutants".to_owned()]];
        rows.extend(self.kills.iter().map(|(clause, mutants)| {
            vec![clause.clone(), if mutants.is_empty() { "none".to_owned() } else { mutants.clone() }]
        }));
        grid(&rows)
    }
}

/// Returns the result of `clause` on `store`. Reasons for leaving it out become numbered notes.
fn cell<'a>(store: &'a Column, clause: &str, reasons: &mut Vec<&'a str>) -> String {
    let Some(finding) = store.findings.iter().find(|finding| finding.clause == clause) else { return String::new() };
    match (&*finding.result, finding.why.as_deref()) {
        ("passed", _) => "ok".into(),
        ("ignored", Some(why)) => {
            let number = reasons.iter().position(|known| *known == why).unwrap_or_else(|| {
                reasons.push(why);
                reasons.len() - 1
            });
            format!("– [{}]", number + 1)
        }
        ("ignored", None) => "–".into(),
        _ => "FAILED".into(),
    }
}

/// Formats rows as a table of Markdown.
fn pipes(head: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule = format!("|{}\n", "---|".repeat(head.len()));
    line(head) + &rule + &rows.iter().map(|row| line(row)).collect::<String>()
}

/// Formats rows in aligned columns, with a rule below the first row.
fn grid(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text += "\n";
        if number == 0 {
            text += &"-".repeat(widths.iter().sum::<usize>() + 2 * columns.saturating_sub(1));
            text += "\n";
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Tables, read};

    const MEMORY: &str = r#"{"suite":"0.1.0","subject":"session-store-memory","version":"0.1.0","server":null,"findings":[
        {"clause":"create.exists","promise":"p","result":"passed","millis":1},
        {"clause":"open.again","promise":"p","result":"ignored","why":"needs a durable store","millis":0}]}"#;
    const SQLITE: &str = r#"{"suite":"0.1.0","subject":"session-store-sqlite","version":"0.1.0","server":"SQLite 3","findings":[
        {"clause":"create.exists","promise":"p","result":"failed","why":"seen: Done","millis":1},
        {"clause":"open.again","promise":"p","result":"passed","millis":0}]}"#;
    const MUTANTS: &str = "| clause | promise | mutants it kills |\n|---|---|---|\n\
        | `create.exists` | Exists, or not \\| never both. | upserting create, check then insert |\n\
        | `open.again` | Seen again. |  |\n\n| mutant | what is wrong with it |\n|---|---|\n| upserting create | It upserts. |\n";

    fn tables(reports: &[&str]) -> Tables {
        let folder = tempfile::tempdir().unwrap();
        for (number, report) in reports.iter().enumerate() {
            std::fs::write(folder.path().join(format!("{number}.json")), report).unwrap();
        }
        read(folder.path()).unwrap()
    }

    #[test]
    fn every_store_is_a_column() {
        let expected = "\
clause         store-memory  store-sqlite
-----------------------------------------
create.exists  ok            FAILED
open.again     – [1]         ok
[1] needs a durable store
store-memory 0.1.0: 1 passed, 0 failed, 1 ignored
store-sqlite 0.1.0 on SQLite 3: 1 passed, 1 failed, 0 ignored
";
        assert_eq!(tables(&[MEMORY, SQLITE]).by_store(), expected);
    }

    #[test]
    fn the_matrix_has_promises_reasons_and_failures() {
        let tables = tables(&[MEMORY, SQLITE]);
        let expected = "\
| clause | store-memory | store-sqlite | promise |
|---|---|---|---|
| `create.exists` | ok | FAILED | p |
| `open.again` | – [1] | ok | p |

\\[1\\] needs a durable store
";
        assert_eq!(tables.markdown(), expected);
        let summary = tables.summary();
        assert!(
            summary.ends_with("| store-memory |  | 1 | 1 | 0 |\n| store-sqlite | SQLite 3 | 1 | 0 | 1 |\n"),
            "{summary}"
        );
        assert!(!tables.is_green());
        let json: serde_json::Value = serde_json::from_str(&tables.json().unwrap()).unwrap();
        assert_eq!(json[1]["findings"][0]["why"], "seen: Done");
        assert_eq!(json[0]["findings"][0].get("millis"), None, "what differs from run to run is left out");
    }

    #[test]
    fn a_clause_that_kills_no_mutant_is_a_problem() {
        let mut tables = tables(&[MEMORY]);
        assert_eq!(tables.problem(), None);
        assert!(tables.add_mutants(&MUTANTS.lines().map(str::to_owned).collect::<Vec<_>>()));
        let expected = "\
clause         mutants
--------------------------------------------------
create.exists  upserting create, check then insert
open.again     none
";
        assert_eq!(tables.by_mutant(), expected);
        assert_eq!(tables.problem().as_deref(), Some("clauses that kill no mutant: open.again"));
    }

    #[test]
    fn a_file_may_hold_the_reports_of_several_subjects() {
        let tables = tables(&[&format!("[{MEMORY}, {SQLITE}]")]);
        assert_eq!(
            tables.stores.iter().map(|store| &*store.name).collect::<Vec<_>>(),
            ["store-memory", "store-sqlite"]
        );
    }

    #[test]
    fn what_is_no_report_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x.json"), "{").unwrap();
        assert!(read(folder.path()).unwrap_err().to_string().contains("x.json is no report"));
    }
}
