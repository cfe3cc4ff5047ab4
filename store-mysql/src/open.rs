//! What is done before the first call: the server is looked at, tables are made or found, and looked at.

use std::time::Duration;

use session_core::{Error, ErrorKind, Namespace, Result};
use sqlx::mysql::MySqlRow;
use sqlx::{AssertSqlSafe, Executor as _, MySql, MySqlConnection};
use store_options::check_layout;
use store_sqlx::rows::Columns as _;
use store_sqlx::{Failure, Links, MAX_DATA_LEN, TIMED_OUT};
use tokio::time::{Instant, timeout_at};

use crate::error::{self, DENIED};
use crate::schema;

/// What the server is like.
pub(crate) struct Server {
    /// `max_allowed_packet`: bytes in a message, to the server or from it.
    packet: usize,
    /// Whether TLS is between it and the store.
    pub(crate) encrypted: bool,
}

impl Server {
    /// Below it there is no room for the statements.
    const LEAST_PACKET: usize = 16 << 10;

    /// What a message holds besides a record's data.
    const ENVELOPE: usize = 1 << 10;

    /// The longest data that a message can hold.
    pub(crate) fn max_data_len(&self) -> usize {
        MAX_DATA_LEN.min(self.packet - Self::ENVELOPE)
    }

    /// Bytes of calls that go together: as JSON, or with its share of a statement, a row is no more than eight times what its call counts for.
    pub(crate) fn batch_bytes(&self) -> usize {
        (1 << 20).min(self.packet / 8)
    }

    /// Rows that one purge removes at most, whatever its limit, so that its transaction is short; a key is 70 bytes of JSON.
    pub(crate) fn purge_rows(&self) -> u32 {
        u32::try_from(self.packet / 128).map_or(1_000, |rows| rows.min(1_000))
    }
}

/// Sees to it that what `namespace` needs is there.
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

/// Whether the server is one that the store knows how to talk to.
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
                // Somebody else makes the same.
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

/// Whether the tables are there, made by this store, of the layout that this release knows, and open to this account.
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
        // Without a right on it nobody is told whether it is there.
        Err(error) if error::number(&error) == Some(DENIED) => {
            Err(config("the account may not read the table `session.layouts`; grant it select")
                .with_source(&driver(error)))
        }
        Err(error) if error::number(&error) == Some(1146) => Ok(None),
        Err(error) => Err(driver(error)),
    }
}

/// Whether the account may do all that the store does. It is asked by trying, as rights come by too many ways to be read.
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
