//! Schedules: recorded and chosen orders of threads.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};

/// A switch to another thread, unlike the default order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Switch {
    /// Number of the decision among those with more than one runnable thread.
    at: usize,
    to: usize,
}

/// The switches of a run.
///
/// The default order stays on the current thread while it can run, and then takes the first runnable one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Switches(pub(crate) Vec<Switch>);

impl fmt::Display for Switches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("-");
        }
        for (place, Switch { at, to }) in self.0.iter().enumerate() {
            write!(f, "{}{at}>{to}", if place == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for Switches {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let switch = |part: &str| {
            let (at, to) = part.split_once('>')?;
            Some(Switch { at: at.parse().ok()?, to: to.parse().ok()? })
        };
        let parts = text.split(',').filter(|part| *part != "-");
        let switches: Option<Vec<_>> = parts.map(switch).collect();
        switches.map(Self).ok_or_else(|| format!("not a schedule such as `12>2,30>1`: {text}"))
    }
}

/// Returns the next thread in the default order.
fn usual(runnable: &[usize], current: Option<TaskId>, yields: bool) -> usize {
    match current.map(usize::from) {
        Some(current) if !yields && runnable.contains(&current) => current,
        _ => runnable[0],
    }
}

fn ids(runnable: &[&Task]) -> Vec<usize> {
    runnable.iter().map(|task| usize::from(task.id())).collect()
}

/// Number of runs, and the current switches. Shared with the caller that started the scheduler.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) runs: u64,
    /// The switches of the current run.
    pub(crate) switches: Switches,
    decisions: usize,
}

/// Records the decisions of another scheduler.
#[derive(Debug)]
pub(crate) struct Recorded<S> {
    pub(crate) inner: S,
    pub(crate) log: Arc<Mutex<Log>>,
}

impl<S: Scheduler> Scheduler for Recorded<S> {
    fn new_execution(&mut self) -> Option<Schedule> {
        let schedule = self.inner.new_execution()?;
        let mut log = self.log.lock().unwrap();
        *log = Log { runs: log.runs + 1, ..Log::default() };
        Some(schedule)
    }

    fn next_task(&mut self, runnable: &[&Task], current: Option<TaskId>, yields: bool) -> Option<TaskId> {
        let next = self.inner.next_task(runnable, current, yields)?;
        if runnable.len() > 1 {
            let mut log = self.log.lock().unwrap();
            let to = usize::from(next);
            if to != usual(&ids(runnable), current, yields) {
                let at = log.decisions;
                log.switches.0.push(Switch { at, to });
            }
            log.decisions += 1;
        }
        Some(next)
    }

    fn next_u64(&mut self) -> u64 {
        self.inner.next_u64()
    }
}

/// Makes one run with the given switches. Skips a switch to a thread that cannot run.
#[derive(Debug)]
pub(crate) struct Replay {
    switches: Switches,
    decisions: usize,
    over: bool,
}

impl Replay {
    pub(crate) fn new(switches: Switches) -> Self {
        Self { switches, decisions: 0, over: false }
    }
}

impl Scheduler for Replay {
    fn new_execution(&mut self) -> Option<Schedule> {
        (!std::mem::replace(&mut self.over, true)).then(Schedule::default)
    }

    fn next_task(&mut self, runnable: &[&Task], current: Option<TaskId>, yields: bool) -> Option<TaskId> {
        let ids = ids(runnable);
        let mut next = usual(&ids, current, yields);
        if ids.len() > 1 {
            let switch = self.switches.0.iter().find(|switch| switch.at == self.decisions);
            next = switch.map(|switch| switch.to).filter(|to| ids.contains(to)).unwrap_or(next);
            self.decisions += 1;
        }
        Some(next.into())
    }

    fn next_u64(&mut self) -> u64 {
        unreachable!("no program draws random numbers from the scheduler")
    }
}

/// A decision of the current run.
#[derive(Debug)]
struct Level {
    /// The default thread comes first.
    choices: Vec<usize>,
    chosen: usize,
    /// Number of switches before this decision.
    spent: usize,
}

/// Extent of the search by [`Bounded`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The search gave up before it had made every run within its bound.
    #[default]
    Unfinished,
    /// The search made every run within its bound.
    Bounded,
    /// The search made every run.
    Complete,
}

/// Makes every run with at most `switches` switches.
#[derive(Debug)]
pub(crate) struct Bounded {
    switches: usize,
    /// Maximum number of runs.
    most: u64,
    runs: u64,
    levels: Vec<Level>,
    decisions: usize,
    /// Set if a run was left out because it needs more switches.
    cut: bool,
    reach: Arc<Mutex<Reach>>,
}

impl Bounded {
    /// Creates the scheduler. It sets `reach` at the end.
    pub(crate) fn new(switches: usize, most: u64, reach: Arc<Mutex<Reach>>) -> Self {
        Self { switches, most, runs: 0, levels: Vec::new(), decisions: 0, cut: false, reach }
    }

    /// Changes the last decision that has an alternative. Returns whether there is one.
    fn advance(&mut self) -> bool {
        while let Some(level) = self.levels.last_mut() {
            if level.chosen + 1 < level.choices.len() {
                if level.spent < self.switches {
                    level.chosen += 1;
                    return true;
                }
                self.cut = true;
            }
            self.levels.pop();
        }
        false
    }
}

impl Scheduler for Bounded {
    fn new_execution(&mut self) -> Option<Schedule> {
        if self.runs > 0 && !self.advance() {
            *self.reach.lock().unwrap() = if self.cut { Reach::Bounded } else { Reach::Complete };
            return None;
        }
        if self.runs == self.most {
            return None;
        }
        self.runs += 1;
        self.decisions = 0;
        Some(Schedule::default())
    }

    fn next_task(&mut self, runnable: &[&Task], current: Option<TaskId>, yields: bool) -> Option<TaskId> {
        let mut choices = ids(runnable);
        let first = usual(&choices, current, yields);
        if choices.len() == 1 {
            return Some(first.into());
        }
        if self.decisions == self.levels.len() {
            choices.retain(|choice| *choice != first);
            choices.insert(0, first);
            let spent = self.levels.last().map_or(0, |level| level.spent + usize::from(level.chosen > 0));
            self.levels.push(Level { choices, chosen: 0, spent });
        }
        let level = &self.levels[self.decisions];
        self.decisions += 1;
        Some(level.choices[level.chosen].into())
    }

    fn next_u64(&mut self) -> u64 {
        unreachable!("no program draws random numbers from the scheduler")
    }
}
