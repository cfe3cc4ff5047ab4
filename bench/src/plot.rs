//! Bar charts per store and size.

use std::path::Path;

use anyhow::Result;
use plots::{Bars, Group, Whole};
use targets::Kind;

use crate::results::{Cell, Results};

const SIZE: (u32, u32) = (900, 420);

/// Draws a chart for every store and size.
pub(crate) fn plots(results: &Results, folder: &Path) -> Result<()> {
    let mut drawn: Vec<(Kind, usize)> = results.cells.iter().map(|cell| (cell.kind, cell.size)).collect();
    drawn.dedup();
    for (kind, size) in drawn {
        let cells: Vec<&Cell> = results.cells.iter().filter(|cell| (cell.kind, cell.size) == (kind, size)).collect();
        plots::draw(&[bars(kind, size, &cells)], &folder.join(format!("{kind}-{size}")), SIZE)?;
    }
    Ok(())
}

/// Returns a chart with a group of bars per work and number of tasks.
fn bars(kind: Kind, size: usize, cells: &[&Cell]) -> Bars {
    let mut of: Vec<(work::Work, u64)> = cells.iter().map(|cell| (cell.work, cell.tasks)).collect();
    of.dedup();
    let mut who: Vec<&str> = Vec::new();
    for cell in cells {
        if !who.contains(&cell.who()) {
            who.push(cell.who());
        }
    }
    let groups = of.into_iter().map(|(work, tasks)| {
        let of = |who: &&str| {
            let same = |cell: &&&Cell| (cell.work, cell.tasks) == (work, tasks) && cell.who() == *who;
            cells.iter().find(same)?.speed()
        };
        Group { name: format!("{} {tasks}", work.name()), speeds: who.iter().map(of).collect() }
    });
    Bars {
        title: format!("{kind}, {size} bytes: operations per second (height: part of the fastest)"),
        groups: groups.collect(),
        series: who.iter().map(|who| (*who).to_owned()).collect(),
        whole: Whole::Fastest,
        line: None,
    }
}
