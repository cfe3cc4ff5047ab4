//! Translation of errors of MySQL, MariaDB and their driver.

use session_core::{Error, ErrorKind};
use session_store_sqlx::Failure;
use sqlx::Error as Driver;
use sqlx::mysql::MySqlDatabaseError;

/// Error number of a duplicate key.
pub(crate) const DUPLICATE: u16 = 1062;
/// Error number of a table that is to be created and exists.
pub(crate) const TABLE_EXISTS: u16 = 1050;
/// Error number of a missing right on a table.
pub(crate) const DENIED: u16 = 1142;
/// Error number of a value out of its range, which a read meets on a read-only server; see [`schema::takes_writes`](crate::schema::takes_writes).
pub(crate) const READ_ONLY: u16 = 1690;
/// Error number of a write that a binary log in the format STATEMENT cannot hold.
pub(crate) const STATEMENT_LOG: u16 = 1665;

/// Classifies an error of a store in use. A failure to connect is an outage, because the store could connect before.
pub(crate) fn in_use(error: &Driver) -> Failure {
    let Some(number) = number(error) else { return Failure::of_driver(error, "MySQL") };
    let kind = kind_of(number);
    match number {
        // A wait for a lock ended.
        1205 | 3572 => Failure::Locked(said(ErrorKind::Unavailable, error)),
        // Deadlocks, rows or tables that changed since the snapshot, statements that have to be prepared again, commits that a
        // cluster rolled back.
        1213 | 1020 | 1412 | 1615 | 3101 => Failure::Again(said(ErrorKind::Unavailable, error)),
        // A write on a server that has become read-only, and any statement on a node that has left its Galera cluster.
        1290 | 1792 | 1836 | 1047 => Failure::Demoted(said(kind, error)),
        READ_ONLY => {
            Failure::Demoted(Error::fixed(ErrorKind::Unavailable, "the server has become a replica, or read-only"))
        }
        // Packets that are too large, after which the server disconnects, and statements that a proxy has forgotten.
        // Also servers that have left their cluster: a new connection may lead to another one.
        1153 | 1243 | 3100 => Failure::Ended(said(kind, error)),
        // The connection ends: a shutdown, a kill, a network failure. Also a commit that failed half-way: a node of a Galera cluster that is
        // cut off cannot know whether the others got it.
        1053 | 1077..=1079 | 1152 | 1158..=1161 | 1180 | 1184 | 1927 | 3169 | 4031 => Failure::Lost(said(kind, error)),
        // Refused connections: limits, hosts, accounts, databases.
        1040 | 1044 | 1045 | 1049 | 1129 | 1130 | 1203 | 1226 | 1698 | 1862 | 3118 | 3159 | 4151 => {
            Failure::Lost(said(ErrorKind::Unavailable, error))
        }
        // Errors about the values of one statement: duplicates, nulls, numbers and texts that do not fit, constraints.
        1022 | 1048 | 1062 | 1264 | 1265 | 1292 | 1364 | 1366 | 1367 | 1406 | 1451 | 1452 | 1557 | 1586 | 3819
        | 4025 => Failure::Refused(said(kind, error)),
        // An error that is not known to concern a statement may have left the connection in a state of which the store knows
        // nothing. One example is a password that has expired and was renewed.
        _ if kind == ErrorKind::Other => {
            Failure::Ended(Error::new(ErrorKind::Unavailable, format!("MySQL answered with error {number}")))
        }
        _ => Failure::Refused(said(kind, error)),
    }
}

/// Translates an error of a store that is being opened. An error whose cause is not known is one that a new attempt does not cure.
pub(crate) fn at_open(error: &Driver) -> Error {
    match number(error).map(|number| (number, kind_of(number))) {
        // A password that has expired: the server takes no statement, or no connection.
        Some((1820 | 1862, _)) => Error::fixed(
            ErrorKind::Config,
            "the account's password has expired; set a new one with ALTER USER, or one that does not expire",
        ),
        // A proxy that does not know a command answers with this number, too.
        Some((1047, kind)) if error.to_string().contains("WSREP") => Error::fixed(
            kind,
            "the server does not take part in its Galera cluster: it is still joining, or is cut off from most nodes (1047)",
        ),
        Some((3118 | 4151, _)) => {
            Error::fixed(ErrorKind::Config, "the account is locked; unlock it with ALTER USER … ACCOUNT UNLOCK")
        }
        Some((3159, _)) => {
            Error::fixed(ErrorKind::Config, "the server takes no connection without TLS; use ssl-mode=verify_identity")
        }
        Some((number, ErrorKind::Other)) => {
            Error::new(ErrorKind::Config, format!("MySQL refuses the connection or its settings with error {number}"))
        }
        Some((_, kind)) => said(kind, error),
        None if matches!(error, Driver::Configuration(why) if why.to_string().contains("RSA")) => Error::fixed(
            ErrorKind::Config,
            "the account's password is sent over TLS only; use ssl-mode=verify_identity, or a socket",
        ),
        None => Failure::at_open(error, "MySQL", "ssl-mode"),
    }
}

/// Returns the server's error number, if the server reported the error.
pub(crate) fn number(error: &Driver) -> Option<u16> {
    Some(error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?.number())
}

fn kind_of(number: u16) -> ErrorKind {
    use ErrorKind::{Config, Corrupt, Other, TooLarge, Unavailable};
    match number {
        // Locks and time-outs, statements that were killed or rolled back.
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
        // Failures of the storage engine, servers that are read-only or have left their cluster.
        1026 | 1030 | 1047 | 1290 | 1792 | 1836 | 1874 | 3100 => Unavailable,
        1034 | 1035 | 1194 | 1195 | 1712 | 1817 => Corrupt,
        // Limits of a packet, a row, the log.
        1118 | 1153 | 1301 | 1197 => TooLarge,
        // Accounts, hosts, databases, tables, columns, rights, unsupported settings.
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

/// Returns an error with the server's message, unless the message may hold values. Messages about duplicates and conversions do.
fn said(kind: ErrorKind, error: &Driver) -> Error {
    let (Some(said), Some(number)) = (error.as_database_error(), number(error)) else {
        return Failure::of_driver(error, "MySQL").into();
    };
    if kind == ErrorKind::Other || number == 1064 {
        return Error::new(kind, format!("MySQL answered with error {number}"));
    }
    Error::new(kind, format!("MySQL answered: {} ({number})", said.message()))
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
        // The server's message holds the key.
        assert_eq!(kind_of(DUPLICATE), ErrorKind::Other);
    }
}
