//! Measures how this project's stores grow, what a purge costs concurrent work, and how much memory sessions and requests take.
//!
//! The program `scale` measures, and runs `counted` for figures that need a counting allocator.
//! Both are built together, by `cargo build --release -p scale`.

pub mod allocation_report;
pub mod disk_usage;
pub mod fill;
pub mod growth;
pub mod idle_memory;
pub mod memory;
pub mod plot;
pub mod population;
pub mod progress;
pub mod purge;
pub mod requests;
pub mod results;
pub mod rss;
pub mod table;
pub mod work;
