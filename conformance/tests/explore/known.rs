//! What is known to be wrong with the core: nothing.

/// A promise that a program is known to break, and the choices of a run that shows it.
pub(crate) struct Known {
    pub(crate) program: &'static str,
    pub(crate) promise: &'static str,
    pub(crate) choices: &'static str,
}

/// The tests pass only if exactly these are found.
pub(crate) const KNOWN: &[Known] = &[];
