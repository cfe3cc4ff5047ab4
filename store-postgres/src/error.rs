//! Translation of errors of PostgreSQL and its driver.

use session_core::{Error, ErrorKind};
use session_store_sqlx::Failure;
use sqlx::Error as Driver;
use sqlx::postgres::PgDatabaseError;

use crate::schema::TAKES_NO_WRITES;
use crate::session::SettingsDropped;

/// Classifies an error of a store in use. A failure to connect is an outage, because the store could connect before.
pub(crate) fn in_use(error: &Driver) -> Failure {
    let Some(state) = state(error) else { return Failure::of_driver(error, "PostgreSQL") };
    let kind = kind_of(&state);
    match state.as_str() {
        // A wait for a lock ended.
        "55P03" => Failure::Locked(said(kind, error)),
        // A serialization failure, a deadlock.
        "40001" | "40P01" => Failure::Again(said(ErrorKind::Unavailable, error)),
        // The connection ends: a broken connection, a server that shuts down or has crashed.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04" => Failure::Lost(said(kind, error)),
        other if other.starts_with("08") => Failure::Lost(said(kind, error)),
        other if other.starts_with("28") || other == "3D000" => Failure::Lost(said(ErrorKind::Unavailable, error)),
        // A write on a server that has become a standby or read-only.
        "25006" => Failure::Demoted(said(kind, error)),
        // A read there; see `schema::takes_writes`.
        "22P02" if error.as_database_error().is_some_and(|error| error.message().contains(TAKES_NO_WRITES)) => {
            Failure::Demoted(Error::fixed(ErrorKind::Unavailable, "the server has become a standby, or read-only"))
        }
        // An error that is not known to concern a statement may have left the connection in a state of which the store knows
        // nothing.
        _ if kind == ErrorKind::Other && !concerns_statement(&state) => {
            Failure::Ended(Error::new(ErrorKind::Unavailable, format!("PostgreSQL answered with error {state}")))
        }
        _ => Failure::Refused(said(kind, error)),
    }
}

/// Whether an error concerns the values of one statement: data exceptions, violated constraints.
fn concerns_statement(state: &str) -> bool {
    state.starts_with("22") || state.starts_with("23")
}

/// Translates an error of a store that is being opened. An error whose cause is not known is one that a new attempt does not cure.
pub(crate) fn at_open(error: &Driver) -> Error {
    match state(error).as_deref() {
        _ if refuses_settings(error) || drops_settings(error) => Error::new(
            ErrorKind::Config,
            "a pooler stands before PostgreSQL, and does not pass on the settings of a connection; \
             leave out pooler=none, or connect to the server itself",
        )
        .with_source(error),
        // PgBouncer has this code for the names that it does not know, and for servers that it does not reach.
        Some("08P01") => {
            let kind = if names_nothing(error) { ErrorKind::Config } else { ErrorKind::Unavailable };
            let text = "what answers is not PostgreSQL, or a pooler that refuses the connection (08P01); see the pooler's log";
            Error::new(kind, text).with_source(&said(kind, error))
        }
        Some("42501") if is_refused_by_database(error) => Error::new(
            ErrorKind::Config,
            "the role may not connect to the database (42501); grant connect on the database to the role",
        )
        .with_source(&said(ErrorKind::Config, error)),
        // Also of a role whose limit is zero.
        Some("53300") => Error::new(
            ErrorKind::Unavailable,
            "PostgreSQL has no connection left for this role or database (53300); raise the limit of the role, of the database or of \
             the server, or lower `pool`",
        )
        .with_source(&said(ErrorKind::Unavailable, error)),
        Some(state) => match kind_of(state) {
            ErrorKind::Other => said(ErrorKind::Config, error),
            kind => said(kind, error),
        },
        None => Failure::at_open(error, "PostgreSQL", "sslmode"),
    }
}

/// Whether an error of a new connection shows that a pooler stands between: it refuses or drops the settings of the connection.
pub(crate) fn shows_pooler(error: &Driver) -> bool {
    refuses_settings(error) || drops_settings(error)
}

/// Whether a pooler refuses a setting of the start-up message. PostgreSQL itself has other codes for settings.
fn refuses_settings(error: &Driver) -> bool {
    matches!(state(error).as_deref(), Some("08P01" | "0A000"))
        && error.as_database_error().is_some_and(|error| {
            let said = error.message();
            said.contains("startup parameter") || said.contains("options")
        })
}

fn drops_settings(error: &Driver) -> bool {
    matches!(error, Driver::Configuration(error) if error.is::<SettingsDropped>())
}

/// Whether PgBouncer knows no such database or user.
fn names_nothing(error: &Driver) -> bool {
    error.as_database_error().is_some_and(|error| error.message().contains("no such"))
}

/// Whether the database refuses the role. The function of the server tells it, because the message is in the server's language.
fn is_refused_by_database(error: &Driver) -> bool {
    let routine = |error: &PgDatabaseError| error.routine() == Some("CheckMyDatabase");
    error.as_database_error().and_then(|error| error.try_downcast_ref()).is_some_and(routine)
}

/// Returns the SQLSTATE, a code of five characters, of an error that the server reported.
pub(crate) fn state(error: &Driver) -> Option<String> {
    error.as_database_error()?.code().map(|code| code.into_owned())
}

fn kind_of(state: &str) -> ErrorKind {
    use ErrorKind::{Config, Corrupt, Other, TooLarge, Unavailable};
    match state {
        // Time-outs of statements, locks and transactions, objects in use, a standby that takes no writes, serialization failures,
        // deadlocks.
        "57014" | "55P03" | "25P03" | "25P04" | "55006" | "25006" | "40001" | "40P01" => Unavailable,
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

/// Returns an error with the server's message, but without its details, which may hold values.
fn said(kind: ErrorKind, error: &Driver) -> Error {
    let Some(said) = error.as_database_error() else { return Failure::of_driver(error, "PostgreSQL").into() };
    let code = said.code().unwrap_or_default();
    Error::new(kind, format!("PostgreSQL answered: {} ({code})", said.message()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_unavailable_and_a_missing_table_is_not() {
        for state in ["08006", "53300", "53100", "57014", "57P01", "25P04", "55P03", "58030", "25006", "40001"] {
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
