//! What is known to be wrong with the core.

/// A promise that a program is known to break, and the choices of a run that shows it.
pub(crate) struct Known {
    pub(crate) program: &'static str,
    pub(crate) promise: &'static str,
    pub(crate) choices: &'static str,
}

const fn known(program: &'static str, promise: &'static str, choices: &'static str) -> Known {
    Known { program, promise, choices }
}

/// The tests pass only if exactly these are found.
pub(crate) const KNOWN: &[Known] = &[
    // The touch of a page that only reads comes before a login, and its answer after the login's sets the old id over the new one.
    known("read beside a login", "browser.follows", "0.0.1"),
    // A close after an explicit save announces the old id after a login has replaced it.
    known("save, then close, beside a login", "browser.follows", "0.0.0.1"),
];
