//! Number of allocations, in a build that counts them.

/// Counting allocator. Only the build that counts installs it, because counting slows all subjects down.
#[cfg(feature = "allocations")]
#[global_allocator]
static ALLOCATOR: &stats_alloc::StatsAlloc<std::alloc::System> = &stats_alloc::INSTRUMENTED_SYSTEM;

/// Returns the allocations of this process so far; `None` if this build does not count.
#[cfg(feature = "allocations")]
pub(crate) fn so_far() -> Option<u64> {
    let stats = ALLOCATOR.stats();
    Some((stats.allocations + stats.reallocations) as u64)
}

#[cfg(not(feature = "allocations"))]
pub(crate) fn so_far() -> Option<u64> {
    None
}
