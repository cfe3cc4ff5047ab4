//! Runs small programs on interleavings of threads that `shuttle` chooses, and checks the promises of `session-core`.
//!
//! Run by `cargo xtask test`, or by
//! `RUSTFLAGS="--cfg shuttle" cargo test -p session-conformance --features mutants --test threads --target-dir target/shuttle`.
//! `THREADS_REPLAY="program:schedule"` in the environment makes one run and prints its steps.

#[cfg(shuttle)]
mod explore;
#[cfg(shuttle)]
mod programs;
#[cfg(shuttle)]
mod schedule;
#[cfg(shuttle)]
mod store;
#[cfg(shuttle)]
mod trace;

/// Violations of today's core: program, promise, and a schedule that shows it.
///
/// The tests pass only if exactly these are found.
#[cfg(shuttle)]
const KNOWN: &[(&str, &str, &str)] = &[];

#[cfg(shuttle)]
fn main() -> std::process::ExitCode {
    explore::main(KNOWN)
}

#[cfg(not(shuttle))]
fn main() {
    println!("not run: build with RUSTFLAGS=\"--cfg shuttle\", or use `cargo xtask test`");
}
