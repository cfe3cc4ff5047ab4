//! Random numbers that differ between forked processes.

/// Returns 64 random bits from the operating system's generator.
///
/// A generator in the program's memory would be copied by `fork`, and parent and children would draw the same numbers.
/// A store would then take the write of one process for a retry of another's.
///
/// # Panics
/// If the operating system provides no random bytes.
pub(crate) fn bits() -> u64 {
    getrandom::u64().expect("the operating system gives random bytes")
}
