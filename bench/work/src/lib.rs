//! Work that is measured, which is the same for all subjects.
//!
//! A *contestant* is a program that holds *subjects*: a store of this project, a peer's, or the bare driver, each opened on a
//! server or file. It reads [orders](Order) from stdin, one JSON text per line, and [reports](Report) on stdout.
//! The runner gives orders to one contestant at a time, so that contestants do not disturb each other.

mod allocations;
mod contestant;
mod measure;
mod payload;
mod subject;

pub use contestant::{Contestant, contest};
pub use measure::{Measured, Work};
pub use payload::Payload;
pub use subject::{SESSIONS, Subject};

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Order from the runner to a contestant.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Opens a subject and fills it with [`SESSIONS`] sessions of `size` bytes.
    Open { subject: String, url: String, size: usize },
    /// Works on an opened subject for a number of seconds.
    Measure { subject: String, work: Work, tasks: u64, seconds: f64 },
    /// Drops a subject, with its connections and its server.
    Close { subject: String },
    /// Serves the application over HTTP, with a subject's sessions under it.
    Serve { subject: String, url: String },
}

/// Answer of a contestant to an order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    Done,
    Measured(Measured),
    /// The application is served at this address.
    Serving(SocketAddr),
    /// The order failed, with this text of the error and its causes.
    Failed(String),
}
