//! Search over all runs of a program.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::executor::{Choice, Run, RunEnd};
use super::program::Program;

/// Limits of a search.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Maximum number of runs.
    pub runs: usize,
    /// Whether the search ends at the first violation.
    pub until_violated: bool,
}

impl Bounds {
    /// Takes the number of runs from `EXPLORE_RUNS`, or `runs` if that is not set. The search then goes on after a
    /// violation.
    pub fn from_env(runs: usize) -> Self {
        let set = std::env::var("EXPLORE_RUNS").ok().and_then(|text| text.trim().parse().ok());
        Self { runs: set.unwrap_or(runs), until_violated: false }
    }
}

/// Extent of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// Every interleaving.
    Exhausted,
    /// Every interleaving with at most this number of interruptions of a task, and some with one more.
    Interruptions(usize),
    /// Some interleavings without interruptions.
    Partial,
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exhausted => f.write_str("exhausted"),
            Self::Interruptions(most) => write!(f, "bounded: all with up to {most} interruptions"),
            Self::Partial => f.write_str("bounded: not all without interruptions"),
        }
    }
}

/// A broken promise.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Name of the broken promise.
    pub promise: &'static str,
    /// Description of the state that breaks it.
    pub details: String,
    /// Choices that lead to the violation, for [`replay`].
    pub choices: String,
}

/// Result of exploring a program.
#[derive(Clone, Debug)]
pub struct Report {
    /// Number of runs, including those that ended at a known state.
    pub interleavings: usize,
    /// Number of different states with more than one choice.
    pub states: usize,
    /// Extent of the search.
    pub coverage: Coverage,
    /// The first violation of each broken promise, with the fewest interruptions.
    pub violations: Vec<Violation>,
}

/// A step of the current path.
struct Branch {
    choices: Vec<Choice>,
    at: usize,
}

/// Explores all runs of `program`, those with few interruptions first.
pub fn explore(program: &Program, bounds: Bounds) -> Report {
    let mut violations = BTreeMap::new();
    let mut seen = HashMap::new();
    let mut interleavings = 0;
    let mut coverage = Coverage::Partial;
    // Few interruptions first, because their traces are short. Then all runs.
    for most in [0, 1, 2, usize::MAX] {
        let walk = walk(program, bounds, most, &mut interleavings, &mut seen, &mut violations);
        coverage = match walk {
            Walk::Whole => Coverage::Exhausted,
            Walk::Bounded => Coverage::Interruptions(most),
            Walk::OutOfRuns => break,
        };
        if coverage == Coverage::Exhausted {
            break;
        }
    }
    Report { interleavings, states: seen.len(), coverage, violations: violations.into_values().collect() }
}

/// Result of a walk with a limited number of interruptions.
enum Walk {
    /// No run wanted more interruptions.
    Whole,
    /// Some runs wanted more interruptions.
    Bounded,
    OutOfRuns,
}

/// Explores all runs with at most `most` interruptions. `seen` maps a state to the most interruptions left with which
/// it was explored, plus one.
fn walk(
    program: &Program,
    bounds: Bounds,
    most: usize,
    interleavings: &mut usize,
    seen: &mut HashMap<u64, usize>,
    violations: &mut BTreeMap<&'static str, Violation>,
) -> Walk {
    let mut path: Vec<Branch> = Vec::new();
    let mut bounded = false;
    loop {
        if *interleavings >= bounds.runs || (bounds.until_violated && !violations.is_empty()) {
            return Walk::OutOfRuns;
        }
        *interleavings += 1;
        let (mut depth, mut interruptions) = (0, 0);
        let (ended, world) = Run::new(program, false).go(|run| {
            if depth == path.len() {
                let choices = run.choices();
                // A state with one choice needs no entry, because the run goes on to a state with more.
                if choices.len() > 1 {
                    let left = most.saturating_sub(interruptions).saturating_add(1);
                    match seen.entry(run.state()) {
                        Entry::Occupied(tried) if *tried.get() >= left => return None,
                        entry => entry.insert_entry(left),
                    };
                }
                path.push(Branch { choices, at: 0 });
            }
            let choice = path[depth].choices[path[depth].at];
            interruptions += usize::from(choice.interrupts);
            depth += 1;
            Some(choice.step)
        });
        if ended == RunEnd::Whole {
            for (promise, details) in world.0.violations.borrow().iter() {
                violations.entry(promise).or_insert_with(|| Violation {
                    promise,
                    details: details.clone(),
                    choices: shorten(path.iter().map(|branch| branch.at)),
                });
            }
        }
        // Advances to the next path: the last choice with an alternative takes it.
        loop {
            let Some(last) = path.last() else { return if bounded { Walk::Bounded } else { Walk::Whole } };
            let used = path.iter().rev().skip(1).filter(|branch| branch.choices[branch.at].interrupts).count();
            let next = (last.at + 1..last.choices.len()).find(|&at| {
                let allowed = used + usize::from(last.choices[at].interrupts) <= most;
                bounded |= !allowed;
                allowed
            });
            match next {
                Some(next) => {
                    path.last_mut().expect("it was there").at = next;
                    break;
                }
                None => {
                    path.pop();
                }
            }
        }
    }
}

/// Formats choices as text, without trailing zeros.
fn shorten(choices: impl Iterator<Item = usize>) -> String {
    let mut choices: Vec<_> = choices.collect();
    while choices.last() == Some(&0) {
        choices.pop();
    }
    choices.iter().map(usize::to_string).collect::<Vec<_>>().join(".")
}

/// Runs `program` once with these choices. Returns the violations, and a line for every step.
///
/// ```
/// use session_conformance::explore::{Faults, Program, replay};
///
/// let program = Program {
///     name: "one step",
///     about: "a task that breaks a promise",
///     faults: Faults::NONE,
///     start: |world| {
///         let manager = world.process(|builder| builder);
///         world.task("only", &manager, async |task| task.world.violated("example", "it is meant to fail"));
///         Box::new(|_| ())
///     },
/// };
/// let (violations, steps) = replay(&program, "").unwrap();
/// assert_eq!(violations[0].promise, "example");
/// assert!(!steps.is_empty());
/// ```
///
/// # Errors
/// A message if `choices` is not a list of numbers separated by dots.
pub fn replay(program: &Program, choices: &str) -> Result<(Vec<Violation>, Vec<String>), String> {
    let numbers = choices.split('.').filter(|text| !text.is_empty()).map(str::parse::<usize>);
    let numbers: Vec<_> = numbers.collect::<Result<_, _>>().map_err(|_| format!("{choices:?} are no choices"))?;
    let mut next = numbers.into_iter();
    let (_, world) = Run::new(program, true).go(|run| {
        let choices = run.choices();
        // Choices of another program, or of an older version, fall back to the first choice.
        Some(choices.get(next.next().unwrap_or(0)).unwrap_or(&choices[0]).step)
    });
    let violation = |(promise, details): (&&'static str, &String)| Violation {
        promise,
        details: details.clone(),
        choices: choices.to_owned(),
    };
    let violations = world.0.violations.borrow().iter().map(violation).collect();
    let trace = world.0.trace.as_ref().map(|trace| trace.take()).unwrap_or_default();
    Ok((violations, trace))
}
