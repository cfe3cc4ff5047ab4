//! Resident memory of this process, as Linux reports it.

use anyhow::{Context, Result};

/// Returns the resident bytes now.
pub fn now() -> Result<u64> {
    field("VmRSS:")
}

/// Returns the peak of resident bytes since [`forget_peak`].
pub fn peak() -> Result<u64> {
    field("VmHWM:")
}

/// Resets [`peak`].
pub fn forget_peak() -> Result<()> {
    // 5 resets the peak; see proc_pid_clear_refs(5).
    std::fs::write("/proc/self/clear_refs", "5").context("the peak of memory cannot be reset")
}

fn field(name: &str) -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line =
        status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("Linux tells no {name}"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024)
}
