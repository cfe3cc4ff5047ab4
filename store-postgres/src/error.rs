//! What the errors of PostgreSQL and of its driver mean to a caller.

use session_core::{Error, ErrorKind};
use sqlx::Error as Driver;
use store_sqlx::Failure;

/// What an error means while a store is in use: where a connection cannot be made that could be made once, that is an outage.
pub(crate) fn in_use(error: &Driver) -> Failure {
    let Some(state) = state(error) else {
        return Failure::Lost(match error {
            Driver::Encode(_) | Driver::Decode(_) | Driver::ColumnDecode { .. } | Driver::ColumnNotFound(_) => {
                described(ErrorKind::Other, "the driver cannot make sense of a value", error)
            }
            _ => described(ErrorKind::Unavailable, "the connection to PostgreSQL failed", error),
        });
    };
    let kind = kind_of(&state);
    match state.as_str() {
        // A serialization failure, a deadlock.
        "40001" | "40P01" => Failure::Again(said(ErrorKind::Unavailable, error)),
        // What ends the session: a broken connection, a server that shuts down, one that crashed.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => Failure::Lost(said(kind, error)),
        other if other.starts_with("08") => Failure::Lost(said(kind, error)),
        other if other.starts_with("28") || other == "3D000" => Failure::Lost(said(ErrorKind::Unavailable, error)),
        // A standby: a new connection may lead to the server that took its place.
        "25006" => Failure::Ended(said(kind, error)),
        _ => Failure::Refused(said(kind, error)),
    }
}

/// What an error means while a store is opened.
pub(crate) fn at_open(error: &Driver) -> Error {
    match (state(error), error) {
        (Some(state), _) => said(kind_of(&state), error),
        (None, Driver::Configuration(_)) => described(ErrorKind::Config, "the URL is wrong", error),
        // A certificate that is not good enough comes as data that make no sense.
        (None, Driver::Tls(_)) => tls(error),
        (None, Driver::Io(io)) if io.kind() == std::io::ErrorKind::InvalidData => tls(error),
        _ => in_use(error).into(),
    }
}

fn tls(error: &Driver) -> Error {
    described(ErrorKind::Config, "no TLS with the server; sslmode says what is asked of it", error)
}

/// The five characters that say what the server has against it, if it was the server.
fn state(error: &Driver) -> Option<String> {
    error.as_database_error()?.code().map(|code| code.into_owned())
}

fn kind_of(state: &str) -> ErrorKind {
    use ErrorKind::{Config, Corrupt, Other, TooLarge, Unavailable};
    match state {
        // Time-outs of statement and lock, a standby that does not write, an index or a function that is being replaced.
        "57014" | "55P03" | "55006" | "25006" | "40001" | "40P01" => Unavailable,
        "XX001" | "XX002" => Corrupt,
        _ => match &state[..2.min(state.len())] {
            // Connections, resources (disk, memory, connections), the operator, the system.
            "08" | "53" | "57" | "58" => Unavailable,
            // Limits of the program.
            "54" => TooLarge,
            // Names and rights, the role, the database, the schema.
            "42" | "28" | "3D" | "3F" | "0A" => Config,
            _ => Other,
        },
    }
}

/// The server's words without their details, which may hold values.
fn said(kind: ErrorKind, error: &Driver) -> Error {
    match error.as_database_error() {
        Some(said) => {
            let code = said.code().unwrap_or_default();
            Error::new(kind, format!("PostgreSQL answered: {} ({code})", said.message()))
        }
        None => described(kind, "PostgreSQL failed", error),
    }
}

fn described(kind: ErrorKind, what: &'static str, error: &Driver) -> Error {
    Error::fixed(kind, what).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_unavailable_and_a_missing_table_is_not() {
        for state in ["08006", "53300", "53100", "57014", "57P01", "55P03", "58030", "25006", "40001"] {
            assert_eq!(kind_of(state), ErrorKind::Unavailable, "{state}");
        }
        for state in ["42P01", "42501", "28P01", "3D000"] {
            assert_eq!(kind_of(state), ErrorKind::Config, "{state}");
        }
        assert_eq!(kind_of("54000"), ErrorKind::TooLarge);
        assert_eq!(kind_of("XX001"), ErrorKind::Corrupt);
        assert_eq!(kind_of("22021"), ErrorKind::Other);
    }
}
