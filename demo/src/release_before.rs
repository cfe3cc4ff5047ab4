//! The shop as it was one release ago. `tests/two_releases.rs` runs it beside the current shop, on one database.

mod api;
mod cli;
mod guard;
mod keys;
#[path = "release/before.rs"]
mod release;
mod serve;
mod shop;
mod store;
mod words;

fn main() -> std::process::ExitCode {
    cli::main()
}
