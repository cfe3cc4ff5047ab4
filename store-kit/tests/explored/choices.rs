//! Choices of a run, and the walk through all of them.

/// One choice and the number of its options.
#[derive(Clone, Copy, Debug)]
struct Choice {
    taken: usize,
    of: usize,
}

/// Choices of one run. It repeats those of an earlier run up to the last one that it changes, and takes the first option of
/// each later choice.
#[derive(Debug, Default)]
pub(crate) struct Choices {
    made: Vec<Choice>,
    next: usize,
}

impl Choices {
    /// Returns an option of a choice that has `of` options.
    pub(crate) fn choose(&mut self, of: usize) -> usize {
        assert!(of > 0, "there is nothing to choose");
        if self.next == self.made.len() {
            self.made.push(Choice { taken: 0, of });
        }
        let choice = self.made[self.next];
        assert_eq!(choice.of, of, "a repeated run has other options");
        self.next += 1;
        choice.taken
    }

    /// Turns to the next run. Returns `false` if there is none.
    pub(crate) fn advance(&mut self) -> bool {
        self.next = 0;
        while let Some(last) = self.made.pop() {
            if last.taken + 1 < last.of {
                self.made.push(Choice { taken: last.taken + 1, of: last.of });
                return true;
            }
        }
        false
    }
}
