//! What the errors of MySQL, of MariaDB and of their driver mean to a caller.

use session_core::{Error, ErrorKind};
use sqlx::Error as Driver;
use sqlx::mysql::MySqlDatabaseError;
use store_sqlx::Failure;

/// A row of that key is there already.
pub(crate) const DUPLICATE: u16 = 1062;
/// A right that the account does not have, on a table.
pub(crate) const DENIED: u16 = 1142;

/// What an error means while a store is in use: where a connection cannot be made that could be made once, that is an outage.
pub(crate) fn in_use(error: &Driver) -> Failure {
    let Some(number) = number(error) else {
        return Failure::Lost(match error {
            Driver::Encode(_) | Driver::Decode(_) | Driver::ColumnDecode { .. } | Driver::ColumnNotFound(_) => {
                described(ErrorKind::Other, "the driver cannot make sense of a value", error)
            }
            _ => described(ErrorKind::Unavailable, "the connection to MySQL failed", error),
        });
    };
    let kind = kind_of(number);
    match number {
        // A deadlock; a row or a table that changed since the snapshot; a statement that has to be prepared anew;
        // a commit that a cluster undid.
        1213 | 1020 | 1412 | 1615 | 3101 => Failure::Again(said(ErrorKind::Unavailable, error)),
        // A packet that is too large, after which the server hangs up; a statement that a proxy in between has forgotten;
        // a server that only reads, or that has left its cluster: a new connection may lead to the one that took its place.
        1153 | 1243 | 1047 | 1290 | 1792 | 1836 | 3100 => Failure::Ended(said(kind, error)),
        // What ends the session: a shutdown, a kill, a network that fails.
        1053 | 1077..=1079 | 1152 | 1158..=1161 | 1184 | 1927 | 3169 | 4031 => Failure::Lost(said(kind, error)),
        // Who may connect, and to what.
        1040 | 1044 | 1045 | 1049 | 1129 | 1130 | 1203 | 1226 | 1698 => {
            Failure::Lost(said(ErrorKind::Unavailable, error))
        }
        _ => Failure::Refused(said(kind, error)),
    }
}

/// What an error means while a store is opened.
pub(crate) fn at_open(error: &Driver) -> Error {
    match (number(error), error) {
        (Some(number), _) => said(kind_of(number), error),
        (None, Driver::Configuration(_)) => described(ErrorKind::Config, "the server cannot be connected to", error),
        (None, error) if is_tls(error) => {
            described(ErrorKind::Config, "no TLS with the server; ssl-mode says what is asked of it", error)
        }
        _ => in_use(error).into(),
    }
}

/// Whether the two could not agree on encryption, or a certificate was not good enough, which comes as data that make no sense.
fn is_tls(error: &Driver) -> bool {
    match error {
        Driver::Tls(_) => true,
        Driver::Io(error) => error.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    }
}

/// The server's number for what it has against it, if it was the server.
pub(crate) fn number(error: &Driver) -> Option<u16> {
    Some(error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?.number())
}

fn kind_of(number: u16) -> ErrorKind {
    use ErrorKind::{Config, Corrupt, Other, TooLarge, Unavailable};
    match number {
        // Locks and time-outs, statements that were ended from outside or undone.
        1205 | 1206 | 1213 | 1317 | 1969 | 3024 | 3058 | 1020 | 1412 | 1615 | 1243 | 1180 | 3101 => Unavailable,
        // Connections, memory, disk, the network.
        1021
        | 1037..=1041
        | 1053
        | 1077..=1079
        | 1114
        | 1135
        | 1152
        | 1158..=1161
        | 1184
        | 1203
        | 1226
        | 1927
        | 3169
        | 4031 => Unavailable,
        // The storage engine's own trouble; a server that only reads, or that has left its cluster.
        1026 | 1030 | 1047 | 1290 | 1792 | 1836 | 1874 | 3100 => Unavailable,
        1034 | 1035 | 1194 | 1195 | 1712 | 1817 => Corrupt,
        // A packet, a row, the log.
        1118 | 1153 | 1301 | 1197 => TooLarge,
        // Who may connect, and to what; databases, tables, columns, rights; what is not there or not so.
        1044..=1046
        | 1049
        | 1054
        | 1064
        | 1129
        | 1130
        | 1142
        | 1143
        | 1146
        | 1176
        | 1227
        | 1251
        | 1286
        | 1370
        | 1410
        | 1524
        | 1665
        | 1698
        | 3118 => Config,
        1050 | 1071 | 1101 | 1166 | 1193 | 1231 | 1235 | 4030 => Config,
        _ => Other,
    }
}

/// The server's words, unless they may hold values, as those about duplicates and conversions do.
fn said(kind: ErrorKind, error: &Driver) -> Error {
    let (Some(said), Some(number)) = (error.as_database_error(), number(error)) else {
        return described(kind, "MySQL failed", error);
    };
    if kind == ErrorKind::Other || number == 1064 {
        return Error::new(kind, format!("MySQL answered with error {number}"));
    }
    Error::new(kind, format!("MySQL answered: {} ({number})", said.message()))
}

fn described(kind: ErrorKind, what: &'static str, error: &Driver) -> Error {
    Error::fixed(kind, what).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_unavailable_and_a_missing_table_is_not() {
        for number in [1205, 1213, 1040, 1053, 1290, 1114, 3024, 1969] {
            assert_eq!(kind_of(number), ErrorKind::Unavailable, "{number}");
        }
        for number in [1146, 1142, 1045, 1049] {
            assert_eq!(kind_of(number), ErrorKind::Config, "{number}");
        }
        assert_eq!(kind_of(1153), ErrorKind::TooLarge);
        assert_eq!(kind_of(1194), ErrorKind::Corrupt);
        // Its words hold the key.
        assert_eq!(kind_of(DUPLICATE), ErrorKind::Other);
    }
}
