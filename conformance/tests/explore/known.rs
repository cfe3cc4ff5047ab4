//! Known violations of the core. There are none.

/// A promise that a program is known to break, and the choices of a run that breaks it.
pub(crate) struct Known {
    pub(crate) program: &'static str,
    pub(crate) promise: &'static str,
    pub(crate) choices: &'static str,
}

/// The tests pass only if exactly these violations are found.
pub(crate) const KNOWN: &[Known] = &[];
