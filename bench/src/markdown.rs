//! Results as tables in Markdown: a row per work, with all subjects side by side.

use std::fmt::Write as _;

use work::{SESSIONS, Work};

use crate::http::{Load, Served};
use crate::results::{Cell, Results, median};

/// Returns the table of stores: speeds in operations per second, and median latencies in microseconds.
pub(crate) fn stores(results: &Results) -> String {
    let mut out = String::from(
        "| store | bytes | work | tasks | this project | tower-sessions | ratio | driver | ratio | p50 µs | driver's | lost here | lost there |\n\
         |---|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for ours in results.cells.iter().filter(|cell| cell.who() == "ours") {
        let beside = |who: &str| results.cells.iter().find(|cell| cell.who() == who && cell.same_work(ours));
        let (peer, driver) = (beside("tower-sessions"), beside("driver"));
        let half = |cell: Option<&Cell>| number(cell.and_then(|cell| cell.median_of(|round| round.p50)), 1);
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            ours.kind,
            ours.size,
            name(ours.work),
            ours.tasks,
            number(ours.speed(), 0),
            number(peer.and_then(Cell::speed), 0),
            ratio(ours.speed(), peer.and_then(Cell::speed)),
            number(driver.and_then(Cell::speed), 0),
            ratio(ours.speed(), driver.and_then(Cell::speed)),
            half(Some(ours)),
            half(driver),
            number(Some(ours.lost() as f64), 0),
            number(peer.map(|cell| cell.lost() as f64), 0),
        );
    }
    out
}

/// Returns the table of applications over HTTP, in requests per second.
pub(crate) fn http(results: &Results) -> String {
    let mut out = String::from(
        "| store | request | sessions | this project | tower-sessions | ratio | no layer |\n|---|---|--:|--:|--:|--:|--:|\n",
    );
    for ours in results.http.iter().filter(|served| served.subject.starts_with("ours/")) {
        let same =
            |other: &&Served| (other.kind, &other.path, other.sessions) == (ours.kind, &ours.path, ours.sessions);
        let beside = |who: &str| {
            let served = results.http.iter().filter(same).find(|served| served.subject.starts_with(who));
            served.and_then(rate)
        };
        let request = match &*ours.path {
            "untouched" => "does not touch",
            "read" => "reads",
            _ => "writes",
        };
        let _ = writeln!(
            out,
            "| {} | {request} | {} | {} | {} | {} | {} |",
            ours.kind,
            if ours.sessions == SESSIONS { "1,000" } else { "1" },
            number(rate(ours), 0),
            number(beside("tower-sessions/"), 0),
            ratio(rate(ours), beside("tower-sessions/")),
            number(beside("bare/"), 0),
        );
    }
    out
}

fn rate(served: &Served) -> Option<f64> {
    median(served.rounds.iter().map(Load::rate).collect())
}

const fn name(work: Work) -> &'static str {
    match work {
        Work::LoadSave => "load + save",
        Work::Hot => "one hot session",
        other => other.name(),
    }
}

fn ratio(of: Option<f64>, to: Option<f64>) -> String {
    of.zip(to).map_or_else(String::new, |(of, to)| format!("{:.2}", of / to))
}

/// Formats a number with commas between thousands; empty if there is no value.
fn number(value: Option<f64>, decimals: usize) -> String {
    let Some(value) = value else { return String::new() };
    let digits = format!("{value:.decimals$}");
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(number(Some(1_234_567.4), 0), "1,234,567");
        assert_eq!(number(Some(123.0), 0), "123");
        assert_eq!(number(Some(12_345.67), 1), "12,345.7");
        assert_eq!(number(None, 0), "");
    }
}
