//! Results as tables for a terminal.

use comfy_table::{CellAlignment, Table, presets};

use crate::http::{Load, Served};
use crate::results::{Cell, Results, median};

/// Returns the table of stores, with a row per subject and work. `ratio` is this project's speed divided by that of the row.
pub(crate) fn table(results: &Results) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "store",
        "bytes",
        "work",
        "tasks",
        "who",
        "per s",
        "±",
        "ratio",
        "p50 µs",
        "p99 µs",
        "p99.9 µs",
        "cpu µs",
        "allocs",
        "lost",
    ]);
    for cell in &results.cells {
        table.add_row(row(results, cell));
    }
    for column in table.column_iter_mut().skip(5) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn row(results: &Results, cell: &Cell) -> Vec<String> {
    let of = |what: fn(&work::Measured) -> f64| cell.median_of(what).map_or("-".into(), |value| format!("{value:.1}"));
    let ratio = results.ours(cell).and_then(|ours| Some(ours.speed()? / cell.speed()?));
    let mut row = vec![
        cell.kind.to_string(),
        cell.size.to_string(),
        cell.work.name().to_owned(),
        cell.tasks.to_string(),
        cell.who().to_owned(),
        cell.speed().map_or("-".into(), |speed| format!("{speed:.0}")),
        cell.spread().map_or("-".into(), |spread| format!("{:.0} %", spread * 100.0)),
        ratio.map_or("-".into(), |ratio| format!("{ratio:.2}")),
        of(|round| round.p50),
        of(|round| round.p99),
        of(|round| round.p999),
        of(|round| round.cpu * 1e6 / round.operations as f64),
    ];
    let allocations =
        |round: &work::Measured| round.allocations.map_or(f64::NAN, |n| n as f64 / round.operations as f64);
    let counted = cell.median_of(allocations).filter(|count| !count.is_nan());
    row.push(counted.map_or("-".into(), |count| format!("{count:.1}")));
    row.push(match &cell.failed {
        Some(error) => format!("failed: {}", error.chars().take(60).collect::<String>()),
        None => cell.lost().to_string(),
    });
    row
}

/// Returns the table of applications over HTTP, with a row per application and load.
pub(crate) fn http(results: &Results) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
        .set_header(["store", "request", "sessions", "who", "per s", "ratio", "p50 µs", "p99 µs", "refused", "broken"]);
    for served in &results.http {
        let rate = |served: &Served| median(served.rounds.iter().map(Load::rate).collect());
        let same = |other: &&Served| {
            (other.kind, &other.path, other.sessions) == (served.kind, &served.path, served.sessions)
                && other.subject.starts_with("ours/")
        };
        let ours = results.http.iter().find(same).and_then(rate);
        let ratio = ours.zip(rate(served)).map(|(ours, theirs)| ours / theirs);
        let micros = |of: fn(&Load) -> u64| {
            median(served.rounds.iter().map(|load| of(load) as f64).collect())
                .map_or("-".into(), |micros| format!("{micros:.0}"))
        };
        table.add_row([
            served.kind.to_string(),
            served.path.clone(),
            served.sessions.to_string(),
            served.subject.split('/').next().unwrap_or_default().to_owned(),
            rate(served).map_or("-".into(), |rate| format!("{rate:.0}")),
            ratio.map_or("-".into(), |ratio| format!("{ratio:.2}")),
            micros(|load| load.p50),
            micros(|load| load.p99),
            served.rounds.iter().map(|load| load.refused).sum::<u64>().to_string(),
            served.rounds.iter().map(|load| load.broken).sum::<u64>().to_string(),
        ]);
    }
    table
}
