//! Search for an order that explains a history: Wing and Gong's algorithm, with Lowe's cache of explored states.

use std::collections::HashSet;
use std::fmt;

use session_core::{Timestamp, Version};

use super::contract::{Event, KeyOperation, KeyState, Response};

/// Maximum number of operations of one key in one window.
const WIDEST: usize = 64;

/// Checker for the history of one key, window by window.
///
/// At the end of each window nothing is in flight except operations of unknown outcome, which stay pending.
/// Between windows the checker keeps every possible state of the key, with the operations still pending in it.
///
/// ```
/// use session_conformance::history::{Checker, Event, KeyOperation, Response};
/// use session_core::{Outcome, Timestamp, Version};
///
/// let (version, expires) = (Version::random(), Timestamp::MAX);
/// let created = Response::Written(Outcome::Done);
/// let create = Event::new(0, KeyOperation::Create(version, expires), Timestamp::MIN, (0, 1), created);
/// let load = |at, response| Event::new(1, KeyOperation::Load, Timestamp::MIN, (at, at + 1), response);
///
/// let mut checker = Checker::new();
/// checker.extend(vec![create, load(2, Response::Loaded(Some((version, expires))))]).unwrap();
/// // No order of the operations explains why the record is missing afterwards.
/// assert!(checker.extend(vec![load(4, Response::Loaded(None))]).is_err());
/// ```
#[derive(Debug)]
pub struct Checker {
    possible: Vec<(KeyState, Vec<usize>)>,
    /// Every operation of unknown outcome so far. `possible` refers to it by index.
    unknown: Vec<Event>,
}

/// A window whose answers no order of its operations explains.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Anomaly {
    /// Operations of the window, in the order of their calls, after the unknown ones of earlier windows.
    pub window: Vec<Event>,
    /// States in which the window may have begun.
    pub before: Vec<KeyState>,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |state: &KeyState| match state {
            None => "nothing".to_owned(),
            Some((version, expires_at)) => format!("{version:?} until {expires_at:?}"),
        };
        let before: Vec<_> = self.before.iter().map(shown).collect();
        writeln!(f, "no order of these operations explains their answers; before them was {}", before.join(", or "))?;
        for event in &self.window {
            writeln!(
                f,
                "  {:>6}..{:<6} task {} at {:?}: {:?} -> {:?}",
                event.called, event.answered, event.task, event.now, event.action, event.answer
            )?;
        }
        Ok(())
    }
}

impl Default for Checker {
    fn default() -> Self {
        Self { possible: vec![(None, Vec::new())], unknown: Vec::new() }
    }
}

impl Checker {
    /// Creates a checker for a key without a record.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of operations of unknown outcome. The search grows with them: use a fresh key after a few.
    pub fn unknown(&self) -> usize {
        self.unknown.len()
    }

    /// Adds a window of at most 64 operations. Pending operations of unknown outcome count towards the 64.
    ///
    /// # Errors
    /// The window, if no order of its operations explains their answers.
    ///
    /// # Panics
    /// If there are more than 64 operations.
    pub fn extend(&mut self, mut window: Vec<Event>) -> Result<(), Anomaly> {
        window.sort_by_key(|event| event.called);
        // A load of unknown outcome has no effect and shows nothing.
        window.retain(|event| !(event.answer == Response::Unknown && event.action == KeyOperation::Load));
        let before: Vec<_> = self.possible.iter().map(|(state, _)| *state).collect();
        let mut after: Vec<(KeyState, Vec<usize>)> = Vec::new();
        let earlier = self.unknown.len();
        let fresh: Vec<usize> = (0..window.len()).filter(|n| window[*n].answer == Response::Unknown).collect();
        self.unknown.extend(fresh.iter().map(|n| window[*n]));
        for (state, pending) in std::mem::take(&mut self.possible) {
            // Pending operations may take effect at any time from now on. The first bits of the mask are theirs.
            let mut events: Vec<Event> = pending.iter().map(|n| self.unknown[*n]).collect();
            events.extend_from_slice(&window);
            let numbers: Vec<Option<usize>> = pending
                .iter()
                .map(|n| Some(*n))
                .chain((0..window.len()).map(|n| fresh.iter().position(|m| *m == n).map(|at| earlier + at)))
                .collect();
            for (end, left) in Search::new(&events).ends(state) {
                let left: Vec<usize> =
                    (0..events.len()).filter(|n| left >> n & 1 == 1).filter_map(|n| numbers[n]).collect();
                if !after.contains(&(end, left.clone())) {
                    after.push((end, left));
                }
            }
        }
        if after.is_empty() {
            let mut all: Vec<Event> = self.unknown[..earlier].to_vec();
            all.append(&mut window);
            return Err(Anomaly { window: all, before });
        }
        self.possible = after;
        Ok(())
    }
}

/// Search through one window from one state.
struct Search<'a> {
    events: &'a [Event],
    /// Bits of the operations that must take effect within the window.
    known: u64,
    seen: HashSet<(u64, Option<(i64, i64)>)>,
    ends: Vec<(KeyState, u64)>,
}

impl<'a> Search<'a> {
    fn new(events: &'a [Event]) -> Self {
        assert!(events.len() <= WIDEST, "a window has {} operations of one key, at most {WIDEST} go", events.len());
        let known =
            (0..events.len()).filter(|n| events[*n].answer != Response::Unknown).fold(0, |mask, n| mask | 1 << n);
        Self { events, known, seen: HashSet::new(), ends: Vec::new() }
    }

    /// Returns every state in which the window can end, with the bits of the operations that have not taken effect.
    fn ends(mut self, from: KeyState) -> Vec<(KeyState, u64)> {
        let all = if self.events.len() == WIDEST { u64::MAX } else { (1 << self.events.len()) - 1 };
        self.from(from, all);
        self.ends
    }

    /// Searches on from `state`. `left` has the bits of the operations that have not taken effect yet.
    fn from(&mut self, state: KeyState, left: u64) {
        let memory =
            state.map(|(version, expires_at): (Version, Timestamp)| (version.as_i64(), expires_at.as_millis()));
        if !self.seen.insert((left, memory)) {
            return;
        }
        if left & self.known == 0 {
            self.ends.push((state, left));
        }
        // An operation that was called after another's answer cannot come before it.
        let bits = |mask: u64| (0..self.events.len()).filter(move |n| mask >> n & 1 == 1);
        let first_answer = bits(left & self.known).map(|n| self.events[n].answered).min().unwrap_or(u64::MAX);
        let candidates: Vec<usize> = bits(left).filter(|n| self.events[*n].called < first_answer).collect();
        // An operation that never changes the state can take effect now, because no other order is better.
        let idle = |n: &&usize| self.events[**n].never_changes() && self.events[**n].apply(state).1;
        if let Some(n) = candidates.iter().find(idle) {
            return self.from(state, left & !(1 << n));
        }
        for n in candidates {
            let (after, right) = self.events[n].apply(state);
            if right {
                self.from(after, left & !(1 << n));
            }
        }
    }
}

#[cfg(test)]
mod tests;
