#![doc = include_str!("../README.md")]

mod api;
mod app_state;
mod cli;
mod error_page;
mod format;
mod keys;
mod page;
mod release;
mod security;
mod serve;
mod shop;
mod store;

fn main() -> std::process::ExitCode {
    cli::main()
}
