//! Browser that some test programs drive.

use super::build::{Kind, Program};
use crate::debian;

/// Names of Chromium's program.
const NAMES: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

/// Debian's package.
const PACKAGE: &str = "chromium";

/// Whether a test program drives a browser: `tests/browser` of any package.
pub(super) fn is_needed(program: &Program) -> bool {
    program.kind == Kind::Integration && program.target == "browser"
}

/// Installs the browser if these programs need it, it is missing, and this program may. The error says what is needed.
pub(super) fn ready(programs: &[&Program]) -> Result<(), String> {
    if std::env::var_os("CHROMIUM").is_some() || !programs.iter().any(|program| is_needed(program)) {
        return Ok(());
    }
    debian::need(NAMES, PACKAGE, ADVICE)
}

const ADVICE: &str = "Chromium is not installed, and this program tests in a real browser: install it (`apt-get install chromium`), \
                      or name its program in the variable CHROMIUM; as root on Debian this command installs it by itself";

#[cfg(test)]
mod tests {
    use super::{Kind, Program, is_needed, ready};

    #[test]
    fn only_tests_in_a_browser_need_one() {
        assert!(is_needed(&Program::named("demo", "browser", Kind::Integration)));
        let (walk, unit) =
            (Program::named("demo", "walk", Kind::Integration), Program::named("demo", "browser", Kind::Unit));
        assert!(!is_needed(&walk) && !is_needed(&unit));
        ready(&[&walk, &unit]).unwrap();
    }
}
