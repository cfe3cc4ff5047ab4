//! Random numbers that two processes never share.

/// 64 bits from the operating system's generator.
///
/// A generator in the program's memory is copied by `fork`, and parent and children would draw the same numbers:
/// a store would take the write of one for that of another, sent again.
///
/// # Panics
/// If the operating system has no randomness to give.
pub(crate) fn bits() -> u64 {
    getrandom::u64().expect("the operating system gives random bytes")
}
