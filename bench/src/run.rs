//! Runs the measurements in rounds.

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use targets::{Kind, Target};
use work::Work;

use crate::contestant::{Contestants, Programs};
use crate::http;
use crate::plan::{Plan, subjects_of};
use crate::results::{Cell, Results};

/// Measures everything in the plan.
pub(crate) async fn run(plan: &Plan, programs: &Programs) -> Result<Results> {
    let mut results = Results::default();
    let bar = progress(plan)?;
    for &kind in &plan.stores {
        bar.set_message(format!("{kind}: server"));
        let target = Target::of(kind).await.with_context(|| format!("{kind} has no server"))?;
        for &size in &plan.sizes {
            // New programs for each size, so that no measurement profits from memory that an earlier one allocated.
            let mut contestants = Contestants::start(programs)?;
            let mut subjects = Vec::new();
            for subject in subjects_of(kind, plan.with_itself) {
                match contestants.open(&subject, &target.url(&subject), size).await {
                    Ok(()) => subjects.push(subject),
                    // The other subjects are still measured, and the table shows why this one is not.
                    Err(error) => results.cells.push(Cell::not_opened(kind, &subject, size, &error)),
                }
            }
            for &work in &plan.work {
                for &tasks in &plan.tasks {
                    bar.set_message(format!("{kind}, {size} bytes, {}, {tasks} tasks", work.name()));
                    let cells = cells(plan, kind, size, work, tasks, &subjects);
                    results.cells.extend(rounds(plan, &mut contestants, cells, &bar).await?);
                }
            }
            for subject in &subjects {
                contestants.close(subject).await?;
            }
        }
        results.write(&plan.out)?;
    }
    if plan.http {
        results.http = http::run(plan, programs, &bar).await?;
        results.write(&plan.out)?;
    }
    bar.finish_and_clear();
    Ok(results)
}

fn cells(plan: &Plan, kind: Kind, size: usize, work: Work, tasks: u64, subjects: &[String]) -> Vec<Cell> {
    // One task alone is not contention.
    if work == Work::Hot && tasks == 1 && plan.tasks.len() > 1 {
        return Vec::new();
    }
    subjects.iter().map(|subject| Cell::new(kind, subject, size, work, tasks)).collect()
}

/// Measures each subject in each round. Each round begins with another subject.
async fn rounds(
    plan: &Plan,
    contestants: &mut Contestants,
    mut cells: Vec<Cell>,
    bar: &ProgressBar,
) -> Result<Vec<Cell>> {
    let seconds = plan.seconds / plan.rounds as f64;
    for round in 0..plan.rounds {
        for turn in 0..cells.len() {
            let at = (round + turn) % cells.len();
            let cell = &mut cells[at];
            if cell.failed.is_none() {
                match contestants.measure(&cell.subject, cell.work, cell.tasks, seconds).await? {
                    Ok(measured) => cell.rounds.push(measured),
                    Err(error) => cell.failed = Some(error),
                }
            }
            bar.inc(1);
        }
    }
    Ok(cells)
}

fn progress(plan: &Plan) -> Result<ProgressBar> {
    let subjects: usize = plan.stores.iter().map(|&kind| subjects_of(kind, plan.with_itself).len()).sum();
    let turns = subjects * plan.sizes.len() * plan.work.len() * plan.tasks.len() * plan.rounds;
    let style = ProgressStyle::with_template("{elapsed_precise} [{bar:30}] {pos}/{len} {msg}")?;
    Ok(ProgressBar::new(turns as u64).with_style(style))
}
