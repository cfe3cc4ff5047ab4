//! Outcomes of writes.

/// Outcome of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "a write that was refused changed nothing"]
pub enum Outcome {
    /// The write was carried out, by this call or by an earlier identical one.
    Done,
    /// `create` only: another live record already has the key.
    Exists,
    /// `save`, `touch` and `delete` only: the live record has another version than the one expected.
    Conflict,
    /// `save`, `touch` and `delete` only: no live record has the key.
    Missing,
}
