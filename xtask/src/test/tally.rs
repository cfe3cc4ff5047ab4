//! Counts of passed, failed and ignored tests, from the output of test programs.

use std::ops::AddAssign;

/// Number of tests that passed, failed and were left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

impl Tally {
    /// One failure that no test program has counted.
    pub(crate) const ONE_FAILURE: Self = Self { passed: 0, failed: 1, ignored: 0 };

    /// Reads the counts of a line such as `test result: ok. 8 passed; 0 failed; 1 ignored; …`; `None` for any other line.
    pub(crate) fn of_line(line: &str) -> Option<Self> {
        let (_, counts) = line.trim().strip_prefix("test result: ")?.split_once(". ")?;
        let of = |what: &str| {
            let field = counts.split(';').map(str::trim).find_map(|field| field.strip_suffix(what))?;
            field.trim().parse().ok()
        };
        Some(Self { passed: of("passed")?, failed: of("failed")?, ignored: of("ignored").unwrap_or(0) })
    }

    /// Counts the tests of one program, by its last result line. A test may print such a line, too, but never after it.
    ///
    /// A program that fails without a counted failure has crashed. A program that succeeds without a result line has run
    /// nothing. Both count as a failure.
    pub(crate) fn of_program(output: &[String], ended_well: bool) -> Self {
        let said = output.iter().rev().find_map(|line| Self::of_line(line));
        Self::judged(said, ended_well)
    }

    /// Counts the tests of several programs run in a row, as the sum of all result lines.
    pub(crate) fn of_programs(output: &[String], ended_well: bool) -> Self {
        let mut said = output.iter().filter_map(|line| Self::of_line(line)).peekable();
        let any = said.peek().is_some();
        let sum = said.fold(Self::default(), |mut sum, one| {
            sum += one;
            sum
        });
        Self::judged(any.then_some(sum), ended_well)
    }

    fn judged(said: Option<Self>, ended_well: bool) -> Self {
        let mut tally = said.unwrap_or_default();
        if tally.failed == 0 && (!ended_well || said.is_none()) {
            tally.failed = 1;
        }
        tally
    }

    /// Returns the number of all tests, including ignored ones.
    pub(crate) const fn all(self) -> u64 {
        self.passed + self.failed + self.ignored
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    const fn tally(passed: u64, failed: u64, ignored: u64) -> Tally {
        Tally { passed, failed, ignored }
    }

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_result_line_is_counted() {
        let ok = "test result: ok. 8 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s";
        assert_eq!(Tally::of_line(ok), Some(tally(8, 0, 1)));
        let bad = "test result: FAILED. 8 passed; 13 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s";
        assert_eq!(Tally::of_line(bad), Some(tally(8, 13, 0)));
        assert_eq!(Tally::of_line("running 8 tests"), None);
        assert_eq!(Tally::of_line("test result: ok. many passed; 0 failed"), None);
    }

    #[test]
    fn what_a_test_prints_is_not_taken_for_the_result() {
        let output = lines(
            "test result: ok. 500 passed; 0 failed; 0 ignored\nrest\ntest result: ok. 2 passed; 0 failed; 0 ignored",
        );
        assert_eq!(Tally::of_program(&output, true), tally(2, 0, 0));
    }

    #[test]
    fn the_result_lines_of_several_programs_add_up() {
        let output =
            lines("test result: ok. 5 passed; 0 failed; 1 ignored\ntest result: FAILED. 2 passed; 1 failed; 0 ignored");
        assert_eq!(Tally::of_programs(&output, false), tally(7, 1, 1));
    }

    #[test]
    fn a_crash_is_a_failure() {
        assert_eq!(Tally::of_program(&lines("running 3 tests\ntest a ... ok"), false), tally(0, 1, 0));
        let after_the_result = lines("test result: ok. 5 passed; 0 failed; 0 ignored\nSIGSEGV");
        assert_eq!(Tally::of_program(&after_the_result, false), tally(5, 1, 0));
    }

    #[test]
    fn silence_is_a_failure() {
        assert_eq!(Tally::of_program(&[], true), tally(0, 1, 0));
        assert_eq!(Tally::of_programs(&[], true), tally(0, 1, 0));
    }
}
