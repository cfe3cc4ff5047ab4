//! Measures memory. A separate program, because a counting allocator slows everything down.

use peak_alloc::PeakAlloc;

#[global_allocator]
static COUNTED: PeakAlloc = PeakAlloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    scale::allocation_report::answer(&COUNTED).await
}
