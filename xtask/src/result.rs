//! Result of a command.

/// Result of a command. An error is a failure of the command itself, not of its checks, and is reported as one line.
pub(crate) type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;
