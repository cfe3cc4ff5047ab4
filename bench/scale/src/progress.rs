//! Progress bars of measurements.

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

/// Returns a bar over `length` steps of `what`.
pub fn bar(length: u64, what: String) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("{elapsed_precise} [{bar:30}] {human_pos}/{human_len} {per_sec} {msg}")?;
    Ok(ProgressBar::new(length).with_style(style).with_message(what))
}

/// Returns a spinner for work of unknown length.
pub fn spinner(what: String) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(what);
    spinner.enable_steady_tick(std::time::Duration::from_millis(200));
    spinner
}
