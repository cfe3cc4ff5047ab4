//! The walk over all runs of a program.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::Program;
use super::executor::{Choice, Ended, Run};

/// How far a program is explored.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Runs after which the search ends.
    pub runs: usize,
    /// Whether the search ends with the first violation.
    pub until_violated: bool,
}

impl Bounds {
    /// So many runs as `EXPLORE_RUNS` says, or `runs`.
    pub fn from_env(runs: usize) -> Self {
        let set = std::env::var("EXPLORE_RUNS").ok().and_then(|text| text.trim().parse().ok());
        Self { runs: set.unwrap_or(runs), until_violated: false }
    }
}

/// How much of a program was explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// Every interleaving.
    Exhausted,
    /// Every interleaving in which tasks are interrupted at most so many times, and some of those with one more.
    Interruptions(usize),
    /// Some of those without interruptions.
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
    /// The promise.
    pub promise: &'static str,
    /// What was seen.
    pub details: String,
    /// The choices that lead there, for [`replay`].
    pub choices: String,
}

/// What came of exploring a program.
#[derive(Clone, Debug)]
pub struct Report {
    /// Runs, to the end or to a state that another run had come to before.
    pub interleavings: usize,
    /// Different states in which there was something to choose.
    pub states: usize,
    /// How much was explored.
    pub coverage: Coverage,
    /// One for each promise that was broken, that with the fewest interruptions.
    pub violations: Vec<Violation>,
}

/// One step of the path that is walked now.
struct Branch {
    choices: Vec<Choice>,
    at: usize,
}

/// Walks all runs of `program`, those with few interruptions first.
pub fn explore(program: &Program, bounds: Bounds) -> Report {
    let mut violations = BTreeMap::new();
    let mut seen = HashMap::new();
    let mut interleavings = 0;
    let mut coverage = Coverage::Partial;
    // Few interruptions first, for short traces; then all runs.
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

/// How a walk with a given number of interruptions ended.
enum Walk {
    /// No run wanted more interruptions.
    Whole,
    /// Some did.
    Bounded,
    OutOfRuns,
}

/// Walks all runs with at most `most` interruptions. `seen` has the states in which all was tried with so many left.
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
                // A state with one choice needs no entry: the run that comes there goes on to one with more.
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
        if ended == Ended::Whole {
            for (promise, details) in world.0.violations.borrow().iter() {
                violations.entry(promise).or_insert_with(|| Violation {
                    promise,
                    details: details.clone(),
                    choices: shorten(path.iter().map(|branch| branch.at)),
                });
            }
        }
        // The next path: the last choice that can be another.
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

/// Choices as text, without the firsts at the end.
fn shorten(choices: impl Iterator<Item = usize>) -> String {
    let mut choices: Vec<_> = choices.collect();
    while choices.last() == Some(&0) {
        choices.pop();
    }
    choices.iter().map(usize::to_string).collect::<Vec<_>>().join(".")
}

/// Runs `program` once by these choices: the violations, and every step as a line.
///
/// # Errors
/// A sentence if `choices` are no numbers with dots between them.
pub fn replay(program: &Program, choices: &str) -> Result<(Vec<Violation>, Vec<String>), String> {
    let numbers = choices.split('.').filter(|text| !text.is_empty()).map(str::parse::<usize>);
    let numbers: Vec<_> = numbers.collect::<Result<_, _>>().map_err(|_| format!("{choices:?} are no choices"))?;
    let mut next = numbers.into_iter();
    let (_, world) = Run::new(program, true).go(|run| {
        let choices = run.choices();
        // Choices of another program, or of an older one, go on with the first.
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
