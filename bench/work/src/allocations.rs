//! How often memory was asked for, where a run counts it.

/// The allocator that counts. Only the build that counts installs it: counting slows everybody down.
#[cfg(feature = "allocations")]
#[global_allocator]
static ALLOCATOR: &stats_alloc::StatsAlloc<std::alloc::System> = &stats_alloc::INSTRUMENTED_SYSTEM;

/// Allocations of this process so far; `None` if this build does not count.
#[cfg(feature = "allocations")]
pub(crate) fn so_far() -> Option<u64> {
    let stats = ALLOCATOR.stats();
    Some((stats.allocations + stats.reallocations) as u64)
}

#[cfg(not(feature = "allocations"))]
pub(crate) fn so_far() -> Option<u64> {
    None
}
