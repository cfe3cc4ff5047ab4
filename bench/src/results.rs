//! Figures of a run, and values derived from them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use targets::Kind;
use work::{Measured, Work};

use crate::http::Served;

/// Results of a run.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) cells: Vec<Cell>,
    pub(crate) http: Vec<Served>,
}

/// One subject at one kind of work.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) kind: Kind,
    pub(crate) subject: String,
    pub(crate) size: usize,
    pub(crate) work: Work,
    pub(crate) tasks: u64,
    pub(crate) rounds: Vec<Measured>,
    /// Error that ended the measurement.
    pub(crate) failed: Option<String>,
}

impl Cell {
    pub(crate) fn new(kind: Kind, subject: &str, size: usize, work: Work, tasks: u64) -> Self {
        Self { kind, subject: subject.into(), size, work, tasks, rounds: Vec::new(), failed: None }
    }

    /// Returns the cell of a subject that could not be opened, in place of all its work.
    pub(crate) fn not_opened(kind: Kind, subject: &str, size: usize, error: &anyhow::Error) -> Self {
        Self { failed: Some(format!("{error:#}")), ..Self::new(kind, subject, size, Work::Load, 0) }
    }

    /// Returns the owner of the subject: `ours`, `tower-sessions` or `driver`, with the store if it differs from the kind.
    pub(crate) fn who(&self) -> &str {
        self.subject.strip_suffix(&format!("/{}", self.kind)).unwrap_or(&self.subject)
    }

    pub(crate) fn same_work(&self, other: &Self) -> bool {
        (self.kind, self.size, self.work, self.tasks) == (other.kind, other.size, other.work, other.tasks)
    }

    /// Returns the operations per second, as the median of the rounds.
    pub(crate) fn speed(&self) -> Option<f64> {
        median(self.rounds.iter().map(rate).collect())
    }

    /// Returns half the distance between the slowest and the fastest round, as a fraction of the median.
    pub(crate) fn spread(&self) -> Option<f64> {
        let rates: Vec<f64> = self.rounds.iter().map(rate).collect();
        let (least, most) = rates.iter().fold((f64::MAX, 0.0), |(l, m), &r| (f64::min(l, r), f64::max(m, r)));
        Some((most - least) / 2.0 / self.speed()?)
    }

    /// Returns the median of a figure over the rounds.
    pub(crate) fn median_of(&self, what: impl Fn(&Measured) -> f64) -> Option<f64> {
        median(self.rounds.iter().map(what).collect())
    }

    pub(crate) fn lost(&self) -> u64 {
        self.rounds.iter().map(|round| round.lost).sum()
    }
}

fn rate(round: &Measured) -> f64 {
    round.operations as f64 / round.seconds
}

pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

impl Results {
    /// Returns this project's cell for the work of `cell`.
    pub(crate) fn ours(&self, cell: &Cell) -> Option<&Cell> {
        self.cells.iter().find(|other| other.who() == "ours" && other.same_work(cell))
    }

    /// Reads `results.json`.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("results.json");
        let text = fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is not of this program", path.display()))
    }

    /// Writes `results.json`.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        let path = folder.join("results.json");
        fs::write(&path, serde_json::to_string_pretty(self)?)
            .with_context(|| format!("{} cannot be written", path.display()))
    }
}
