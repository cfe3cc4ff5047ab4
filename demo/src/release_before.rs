//! The shop as it was one release ago. `tests/two_releases.rs` runs it beside the current shop, on one database.

mod api;
mod app_state;
mod cli;
mod error_page;
mod format;
mod keys;
mod page;
#[path = "release/before.rs"]
mod release;
mod security;
mod serve;
mod shop;
mod store;

fn main() -> std::process::ExitCode {
    cli::main()
}
