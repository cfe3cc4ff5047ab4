#![doc = include_str!("../README.md")]

mod api;
mod cli;
mod guard;
mod keys;
mod release;
mod serve;
mod shop;
mod store;
mod words;

fn main() -> std::process::ExitCode {
    cli::main()
}
