//! Results as Markdown.

use comfy_table::{CellAlignment, Table, presets};

use crate::growth::Growth;
use crate::idle_memory::Idle;
use crate::purge::Beside;
use crate::requests::{ROUNDS, Requests};
use crate::results::Results;
use crate::work::Measured;

/// Returns all tables, each under its title. Tables without a row are left out.
pub fn tables(results: &Results) -> String {
    let all = [
        ("Growth", growth(&results.growth)),
        ("Growth from the smallest to the largest", ratios(&results.growth)),
        ("Purge beside work", purge(&results.purge)),
        ("Sessions at rest in session-store-memory", idle(&results.idle)),
        ("Requests at once", requests(&results.requests)),
    ];
    let filled = all.iter().filter(|(_, table)| table.row_count() > 0);
    filled.map(|(title, table)| format!("### {title}\n\n{table}\n\n")).collect()
}

fn table<const N: usize>(words: usize, header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(header);
    for column in table.column_iter_mut().skip(words) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn growth(all: &[Growth]) -> Table {
    let mut table = table(
        1,
        [
            "store",
            "sessions",
            "filled/s",
            "bytes each",
            "load/s",
            "p50 µs",
            "p99 µs",
            "load+save/s",
            "p50 µs",
            "p99 µs",
            "sessions_of/s",
            "p50 µs",
            "p99 µs",
            "purged/s",
            "longest step ms",
            "unavailable",
        ],
    );
    for it in all {
        let mut row = vec![it.store.to_string(), grouped(it.sessions as f64), grouped(it.filled)];
        row.push(it.bytes.map_or("-".into(), grouped));
        for work in [Some(&it.load), Some(&it.load_save), it.sessions_of.as_ref()] {
            row.extend(match work {
                Some(work) => [work.per_second, work.p50, work.p99].map(grouped),
                None => ["-"; 3].map(str::to_owned),
            });
        }
        row.push(it.purge.map_or("by itself".into(), |purge| grouped(purge.removed as f64 / purge.seconds)));
        row.push(it.purge.map_or("-".into(), |purge| grouped(purge.longest_step)));
        let worked = it.load.unavailable
            + it.load_save.unavailable
            + it.sessions_of.map_or(0, |sessions_of| sessions_of.unavailable);
        row.push((worked + it.purge.map_or(0, |purge| purge.unavailable)).to_string());
        table.add_row(row);
    }
    table
}

/// Part of the speed at the smallest size that a store should keep at the others.
pub const KEPT: f64 = 2.0 / 3.0;

/// Returns a table with a row for each size of a store but the smallest, with which it is compared.
fn ratios(all: &[Growth]) -> Table {
    let mut table = table(
        1,
        [
            "store",
            "sessions",
            "bytes each",
            "load/s",
            "load p99",
            "load+save/s",
            "load+save p99",
            "within a third",
            "sessions_of/s",
            "sessions_of p99",
            "purged/s",
            "longest step",
        ],
    );
    let ratio = |small: Option<f64>, large: Option<f64>| small.zip(large).map(|(small, large)| large / small);
    let shown = |ratio: Option<f64>| ratio.map_or("-".into(), |ratio| format!("{ratio:.2}"));
    for large in all {
        let Some(small) = all.iter().find(|it| it.store == large.store && it.sessions < large.sessions) else {
            continue;
        };
        let sizes = format!("{} → {}", grouped(small.sessions as f64), grouped(large.sessions as f64));
        let mut row = vec![large.store.to_string(), sizes, shown(ratio(small.bytes, large.bytes))];
        let works: [fn(&Growth) -> Option<Measured>; 3] =
            [|it| Some(it.load), |it| Some(it.load_save), |it| it.sessions_of];
        for (at, work) in works.into_iter().enumerate() {
            let of = |what: fn(Measured) -> f64| ratio(work(small).map(what), work(large).map(what));
            row.extend([shown(of(|work| work.per_second)), shown(of(|work| work.p99))]);
            if at == 1 {
                row.push(if is_kept(small, large) { "yes" } else { "no" }.into());
            }
        }
        let rate = |it: &Growth| it.purge.map(|purge| purge.removed as f64 / purge.seconds);
        row.push(shown(ratio(rate(small), rate(large))));
        let step = |it: &Growth| it.purge.map(|purge| purge.longest_step);
        row.push(shown(ratio(step(small), step(large))));
        table.add_row(row);
    }
    table
}

/// Whether loads and saves are within a third of those at the smaller size.
fn is_kept(small: &Growth, large: &Growth) -> bool {
    let works: [fn(&Growth) -> f64; 2] = [|it| it.load.per_second, |it| it.load_save.per_second];
    works.into_iter().all(|work| work(large) >= KEPT * work(small))
}

fn purge(all: &[Beside]) -> Table {
    let mut table = table(
        2,
        [
            "store",
            "load+save",
            "per s",
            "p50 µs",
            "p99 µs",
            "p99.9 µs",
            "longest ms",
            "unavailable",
            "purged",
            "in s",
            "longest step ms",
        ],
    );
    for it in all {
        for (name, work) in [("without a purge", &it.without), ("beside a purge", &it.with)] {
            let mut row = vec![it.store.to_string(), name.to_owned()];
            row.extend([work.per_second, work.p50, work.p99, work.p999, work.longest / 1e3].map(grouped));
            row.push(work.unavailable.to_string());
            table.add_row(row);
        }
        let mut row = vec![it.store.to_string(), "ratio".to_owned()];
        let of = |what: fn(&Measured) -> f64| format!("{:.2}", what(&it.with) / what(&it.without));
        row.extend([
            of(|m| m.per_second),
            of(|m| m.p50),
            of(|m| m.p99),
            of(|m| m.p999),
            of(|m| m.longest),
            String::new(),
        ]);
        row.extend([
            grouped(it.purge.removed as f64),
            format!("{:.1}", it.purge.seconds),
            grouped(it.purge.longest_step),
        ]);
        table.add_row(row);
    }
    table
}

fn idle(all: &[Idle]) -> Table {
    let mut table = table(
        2,
        [
            "session",
            "loaded since",
            "sessions",
            "allocated each",
            "resident each",
            "content",
            "ratio",
            "key + Record",
            "ratio",
        ],
    );
    for it in all {
        let population = it.population;
        let whose = if population.of_one == 0 { "of no principal" } else { "of a principal" };
        let each = |bytes: u64| bytes as f64 / population.sessions as f64;
        let ratio = |of: u64| format!("{:.2}", it.allocated as f64 / of as f64);
        table.add_row([
            format!("{} bytes, {whose}", population.size),
            if it.loaded { "yes" } else { "no" }.to_owned(),
            grouped(population.sessions as f64),
            grouped(each(it.allocated)),
            grouped(each(it.resident)),
            grouped(each(it.content)),
            ratio(it.content),
            grouped(each(it.records)),
            ratio(it.records),
        ]);
    }
    table
}

fn requests(all: &[Requests]) -> Table {
    let mut table = table(
        1,
        [
            "store",
            "at once",
            "queue",
            "allocated MB",
            "bytes each",
            "resident MB",
            "requests/s",
            "longest ms",
            "requests",
            "failed",
        ],
    );
    for it in all {
        let failed: Vec<String> = it.failed.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        table.add_row([
            it.store.to_string(),
            grouped(it.requests as f64),
            it.queue.map_or("default".into(), |queue| grouped(queue as f64)),
            format!("{:.1}", it.allocated as f64 / 1e6),
            grouped(it.allocated as f64 / it.requests as f64),
            format!("{:.1}", it.resident as f64 / 1e6),
            grouped((it.requests * ROUNDS) as f64 / it.seconds),
            grouped(it.longest),
            grouped((it.requests * ROUNDS) as f64),
            if failed.is_empty() { "0".into() } else { failed.join(", ") },
        ]);
    }
    table
}

/// Formats a number, rounded and with commas between thousands. Small numbers have one decimal.
pub fn grouped(value: f64) -> String {
    if value < 10.0 && value.fract() != 0.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let first = digits.len() % 3;
    let mut parts: Vec<&str> = (first..digits.len()).step_by(3).map(|at| &digits[at..at + 3]).collect();
    if first > 0 {
        parts.insert(0, &digits[..first]);
    }
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let all = [0.0, 1.25, 7.0, 12.6, 999.0, 1000.0, 1_234_567.0].map(grouped);
        assert_eq!(all, ["0", "1.2", "7", "13", "999", "1,000", "1,234,567"]);
    }
}
