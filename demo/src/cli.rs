//! The command line.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::serve;

/// A small tea shop whose sessions lose nothing.
#[derive(Debug, Parser)]
#[command(name = "demo", version)]
struct Arguments {
    /// Address to listen on; port 0 lets the system choose.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    listen: String,

    /// Store of the sessions: sqlite://FILE, file://FOLDER, memory:// (until the program ends), cookie: (in the cookies themselves)
    /// or null: (nowhere). Cargo's `--features postgres` adds postgres://USER:PASSWORD@HOST/DATABASE, and other features add other
    /// stores. Keys for cookies are in SESSION_SECRET.
    #[arg(
        long,
        value_name = "URL",
        env = "SESSION_STORE",
        default_value = "sqlite://sessions.db",
        hide_env_values = true
    )]
    store: String,
}

/// Runs the program.
#[tokio::main]
pub(crate) async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    match serve::run(&arguments.listen, &arguments.store).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            eprintln!("demo: {wrong}");
            ExitCode::from(2)
        }
    }
}
