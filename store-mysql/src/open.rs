//! Checks the server, and creates and checks the tables, when a store is opened.

use std::time::Duration;

use session_core::{Error, ErrorKind, Namespace, Result};
use session_store_kit::{TIMED_OUT, check_layout};
use session_store_sqlx::rows::Columns as _;
use session_store_sqlx::{Failure, Links, MAX_DATA_LEN};
use sqlx::mysql::MySqlRow;
use sqlx::{AssertSqlSafe, Executor as _, MySql, MySqlConnection};
use tokio::time::{Instant, timeout_at};

use crate::error::{self, DENIED};
use crate::schema;

/// Properties of the server that limit the store.
pub(crate) struct Server {
    /// The server's `max_allowed_packet`: maximum size of a message in either direction, in bytes.
    packet: usize,
    /// Whether the connection to the server uses TLS.
    pub(crate) encrypted: bool,
}

impl Server {
    /// Smallest `max_allowed_packet`, in bytes, that has room for the statements.
    const LEAST_PACKET: usize = 16 << 10;

    /// Size of everything in a message but the record's data, in bytes.
    const ENVELOPE: usize = 1 << 10;

    /// Returns the maximum length of data that fits into a message.
    pub(crate) fn max_data_len(&self) -> usize {
        MAX_DATA_LEN.min(self.packet - Self::ENVELOPE)
    }

    /// Returns the maximum size of the calls in one batch, in bytes. As JSON, or with its share of a statement, a row takes at
    /// most eight times the size of its call.
    pub(crate) fn batch_bytes(&self) -> usize {
        (1 << 20).min(self.packet / 8)
    }

    /// Returns the maximum number of rows that one purge removes, whatever its limit, so that its transaction is short.
    /// A key takes 70 bytes of JSON.
    pub(crate) fn purge_rows(&self) -> u32 {
        u32::try_from(self.packet / 128).map_or(1_000, |rows| rows.min(1_000))
    }
}

/// Ensures that the tables of `namespace` exist and fit. Returns the server's properties.
pub(crate) async fn prepare(
    links: &Links<MySql>,
    namespace: &Namespace,
    create: bool,
    timeout: Duration,
) -> Result<Server> {
    let deadline = Instant::now() + timeout;
    let mut link = links.take(deadline).await.map_err(|error| error::at_open(&error))?;
    let opening = async {
        let connection = link.connection()?;
        let server = look(connection).await?;
        let database = connection.fetch_one(schema::DATABASE).await.map_err(driver)?;
        let Some(database) = text(&database, 0)? else { return Err(config("the URL names no database")) };
        match check(connection, namespace).await? {
            Tables::Ready => {}
            Tables::Absent if create => {
                make(connection, namespace).await?;
                match check(connection, namespace).await? {
                    Tables::Ready => {}
                    Tables::Absent => return Err(absent(namespace, &database)),
                }
            }
            Tables::Absent => return Err(absent(namespace, &database)),
        }
        Ok(server)
    };
    let server = timeout_at(deadline, opening).await.map_err(|_| TIMED_OUT)??;
    links.keep(link);
    Ok(server)
}

enum Tables {
    Ready,
    Absent,
}

fn absent(namespace: &Namespace, database: &str) -> Error {
    config(format!(
        "there is no table `{namespace}` in database `{database}`, or the account has no right on it; \
         create it with what MysqlStore::schema gives"
    ))
}

fn config(message: impl AsRef<str>) -> Error {
    Error::new(ErrorKind::Config, message)
}

fn driver(error: sqlx::Error) -> Error {
    error::at_open(&error)
}

fn text(row: &MySqlRow, at: usize) -> Result<Option<String>> {
    Ok(row.bytes(at)?.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
}

/// Checks that the server and the connection's settings are supported, and returns the server's properties.
async fn look(connection: &mut MySqlConnection) -> Result<Server> {
    let (mut packet, mut version, mut autocommit) = (0, String::new(), true);
    for row in connection.fetch_all(schema::VARIABLES).await.map_err(driver)? {
        let value = text(&row, 1)?.unwrap_or_default();
        match text(&row, 0)?.unwrap_or_default().as_str() {
            "max_allowed_packet" => packet = value.parse().unwrap_or_default(),
            "autocommit" => autocommit = value == "ON",
            "version" => version = value,
            _ => {}
        }
    }
    if is_too_old(&version) {
        return Err(config(format!("the server is {version}; the store needs MySQL 8.0 or MariaDB 10.6, or later")));
    }
    if packet < Server::LEAST_PACKET {
        let least = Server::LEAST_PACKET;
        return Err(config(format!("the server's max_allowed_packet is {packet}; the store needs {least} at least")));
    }
    if !autocommit {
        return Err(config("autocommit is off on the pool's connections; the store needs it on"));
    }
    let cipher = connection.fetch_optional(schema::CIPHER).await.map_err(driver)?;
    let cipher = cipher.map(|row| text(&row, 1)).transpose()?.flatten();
    Ok(Server { packet, encrypted: cipher.is_some_and(|cipher| !cipher.is_empty()) })
}

fn is_too_old(version: &str) -> bool {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|digits| digits.parse().unwrap_or(0_u32));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    found < if version.contains("MariaDB") { (10, 6) } else { (8, 0) }
}

async fn make(connection: &mut MySqlConnection, namespace: &Namespace) -> Result<()> {
    for statement in schema::create(namespace) {
        loop {
            match connection.execute(sqlx::raw_sql(AssertSqlSafe(statement.as_str()))).await {
                Ok(_) => break,
                // Another client is creating the same table.
                Err(error) if matches!(error::in_use(&error), Failure::Again(_)) => {}
                Err(error) if matches!(error::number(&error), Some(DENIED | 1044)) => {
                    return Err(config(format!(
                        "the account may not create the table `{namespace}`; have it created with what MysqlStore::schema \
                         gives, and open with create=false"
                    ))
                    .with_source(&driver(error)));
                }
                Err(error) => return Err(driver(error)),
            }
        }
    }
    Ok(())
}

/// Checks that the tables exist, were created by this store, have a layout that this release knows, and allow this account access.
async fn check(connection: &mut MySqlConnection, namespace: &Namespace) -> Result<Tables> {
    let columns = sqlx::query(schema::COLUMNS_OF).bind(namespace.as_str());
    let columns = columns.fetch_all(&mut *connection).await.map_err(driver)?;
    if columns.is_empty() {
        return Ok(Tables::Absent);
    }
    let layout = layout(connection, namespace).await?;
    check_layout(format_args!("the table `{namespace}`"), layout, schema::LAYOUT.into())?;
    let columns = columns.iter().map(|row| Ok((text(row, 0)?.unwrap_or_default(), text(row, 1)?.unwrap_or_default())));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let has = |(name, kind): (&str, &str)| columns.iter().any(|column| column.0 == name && column.1 == kind);
    if let Some((name, kind)) = schema::COLUMNS.into_iter().find(|column| !has(*column)) {
        return Err(config(format!("the table `{namespace}` has no column `{name}` of type {kind}")));
    }
    let engine = sqlx::query(schema::ENGINE_OF).bind(namespace.as_str()).fetch_one(&mut *connection).await;
    let engine = text(&engine.map_err(driver)?, 0)?.unwrap_or_default();
    if engine != "InnoDB" {
        return Err(config(format!(
            "the table `{namespace}` is kept by {engine}, which has no transactions; it has to be InnoDB"
        )));
    }
    rights(connection, namespace).await?;
    Ok(Tables::Ready)
}

async fn layout(connection: &mut MySqlConnection, namespace: &Namespace) -> Result<Option<i64>> {
    let query = sqlx::query(schema::GET_LAYOUT).bind(namespace.as_str().as_bytes());
    match query.fetch_all(connection).await {
        Ok(found) => found.first().map(|row| row.integer(0)).transpose(),
        // The server does not tell an account without a right on the table whether it exists.
        Err(error) if error::number(&error) == Some(DENIED) => {
            Err(config("the account may not read the table `session.layouts`; grant it select")
                .with_source(&driver(error)))
        }
        Err(error) if error::number(&error) == Some(1146) => Ok(None),
        Err(error) => Err(driver(error)),
    }
}

/// Checks that the account has the rights that the store needs. It tries them out, because rights can be granted in too many
/// ways to be read.
async fn rights(connection: &mut MySqlConnection, namespace: &Namespace) -> Result<()> {
    let mut missing = Vec::new();
    for (right, statement) in schema::rights(namespace) {
        match connection.execute(sqlx::raw_sql(AssertSqlSafe(statement))).await {
            Ok(_) => {}
            Err(error) if error::number(&error) == Some(DENIED) => missing.push(right),
            Err(error) => return Err(driver(error)),
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let missing = missing.join(", ");
    Err(config(format!("the account may not do everything to the table `{namespace}`; grant it {missing}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_are_too_old_are_known_by_their_version() {
        for (version, old) in [
            ("9.7.4-2", false),
            ("8.0.11", false),
            ("8.4.0-log", false),
            ("5.7.44", true),
            ("11.8.9-MariaDB-4 from Debian", false),
            ("10.6.0-MariaDB", false),
            ("10.5.29-MariaDB-log", true),
            ("", true),
        ] {
            assert_eq!(is_too_old(version), old, "{version}");
        }
    }

    #[test]
    fn what_is_sent_at_once_fits_into_a_message() {
        let server = Server { packet: 16 << 20, encrypted: false };
        assert_eq!(server.max_data_len(), (16 << 20) - 1024);
        assert_eq!((server.batch_bytes(), server.purge_rows()), (1 << 20, 1_000));
        let small = Server { packet: Server::LEAST_PACKET, encrypted: false };
        assert_eq!((small.max_data_len(), small.batch_bytes(), small.purge_rows()), (15 << 10, 2 << 10, 128));
        assert_eq!(Server { packet: 64 << 20, encrypted: false }.max_data_len(), MAX_DATA_LEN);
    }
}
