//! Opens a store: the settings of its connections, and the checks of server and tables.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use session_core::{Error, ErrorKind, Namespace, Result};
use session_store_kit::{MAX_DATA_LEN, check_layout};
use session_store_sqlx::rows::Columns as _;
use session_store_sqlx::{
    Bounds, ClockCheck, Failure, Pooler, SetUp, Source, SqlBackend, TakesNoWrites, bare_address, host_with_port,
};
use sqlx::mysql::{MySqlConnectOptions, MySqlRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, MySql, MySqlConnection, Row as _};

use crate::MysqlStore;
use crate::error::{self, DENIED, STATEMENT_LOG, TABLE_EXISTS};
use crate::galera;
use crate::schema::{self, Statements, Transaction};
use crate::table::Table;

/// The server's time in milliseconds since 1970, whatever the connection's time zone is.
const CLOCK: &str = "select cast(unix_timestamp() as signed) * 1000 limit 1";

/// Query without parameters. Returns the version, `max_allowed_packet`, and whether `autocommit`, `transaction_read_only`,
/// `sql_safe_updates` and `read_only` are on. MariaDB 10.6 has the second of these under another name.
///
/// The limit is there because `sql_select_limit` cuts a result without one.
fn variables() -> String {
    format!(
        "select cast(@@version as binary), @@max_allowed_packet, @@autocommit, \
         /*!80000 @@transaction_read_only */ /*M!100600 @@tx_read_only */, @@sql_safe_updates, {} limit 1",
        schema::READ_ONLY
    )
}

/// Queries without parameters. They return rows of a name and its value: the cipher of this connection, which is empty without TLS, and
/// settings of Galera, which other servers lack.
fn named_values() -> String {
    let galera = galera::SETTINGS;
    format!(
        "show session status where variable_name in ('Ssl_cipher', {galera}); \
         show session variables where variable_name in ({galera})"
    )
}

/// Query without parameters. Returns the current database, or null.
const DATABASE: &str = "select cast(database() as binary) limit 1";

impl SqlBackend for MysqlStore {
    type Dialect = Statements;

    fn source(servers: Vec<MySqlConnectOptions>, timeout: Duration, _: Pooler) -> Result<Source<MySql>> {
        let servers = servers.into_iter().map(|options| {
            // `set_up` sets the `sql_mode`, together with all other settings that the store relies on.
            let options = options.pipes_as_concat(false).no_engine_substitution(false).disable_statement_logging();
            // The driver resolves an address without brackets.
            match bare_address(options.get_host()).map(str::to_owned) {
                Some(address) => options.host(&address),
                None => options,
            }
        });
        Ok(Source::Own(servers.collect(), Some(set_up(timeout))))
    }

    fn with_password(options: MySqlConnectOptions, password: &str) -> MySqlConnectOptions {
        options.password(password)
    }

    fn address(options: &MySqlConnectOptions) -> String {
        match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => host_with_port(options.get_host(), options.get_port()),
        }
    }

    fn at_open(error: &sqlx::Error) -> Error {
        error::at_open(error)
    }

    async fn inspect(
        connection: &mut MySqlConnection,
        namespace: &Namespace,
        bounds: Bounds,
    ) -> Result<(Statements, Bounds)> {
        let clock = ClockCheck::begin();
        let time = connection.fetch_one(CLOCK).await.map_err(driver)?;
        let _ = clock.end("the server", time.integer(0)?);
        let server = inspect(connection).await?;
        let timeout = bounds.settings.timeout;
        let transaction = Transaction::new(bounds.own_connections && !server.is_mariadb, timeout);
        let database = database(connection).await?;
        let statements =
            Statements::new(&database, namespace, timeout, transaction, server.purge_rows(), server.is_node);
        let bounds = bounds.encrypted(server.encrypted).batch_bytes(server.batch_bytes());
        Ok((statements, bounds.max_data_len(server.max_data_len())))
    }

    async fn check_tables(
        connection: &mut MySqlConnection,
        namespace: &Namespace,
        _: &Bounds,
    ) -> Result<Option<Error>> {
        let Some(table) = Table::read(connection, namespace).await.map_err(driver)? else {
            let database = database(connection).await?;
            return Ok(Some(config(format!(
                "there is no table `{namespace}` in database `{database}`, or the account has no right on it; \
                 create it with the SQL of MysqlStore::schema"
            ))));
        };
        let layout = layout(connection, namespace).await?;
        check_layout(format_args!("the table `{namespace}`"), layout, schema::LAYOUT.into())?;
        table.check(namespace).map_err(config)?;
        rights(connection, namespace).await?;
        Ok(None)
    }

    async fn create_tables(connection: &mut MySqlConnection, namespace: &Namespace, _: &Bounds) -> Result<()> {
        for statement in schema::create(namespace) {
            loop {
                match connection.execute(sqlx::raw_sql(AssertSqlSafe(statement.as_str()))).await {
                    Ok(_) => break,
                    // MariaDB answers so despite `if not exists` when `sql_if_exists` is on.
                    Err(error) if error::number(&error) == Some(TABLE_EXISTS) => break,
                    // Another client is creating the same table. The deadline of opening bounds these attempts.
                    Err(error) if matches!(error::in_use(&error), Failure::Again(_) | Failure::Locked(_)) => {}
                    Err(error) if matches!(error::number(&error), Some(DENIED | 1044)) => {
                        return Err(config(format!(
                            "the account may not create the table `{namespace}`; run the SQL of MysqlStore::schema as another account, \
                             and open the store with create=false"
                        ))
                        .with_source(&driver(error)));
                    }
                    Err(error) => return Err(driver(error)),
                }
            }
        }
        Ok(())
    }
}

fn set_up(timeout: Duration) -> SetUp<MySql> {
    let sql: Arc<str> = schema::set_up(timeout).into();
    Box::new(move |connection| {
        let sql = Arc::clone(&sql);
        Box::pin(async move {
            // Only the last statement has a row.
            let rows = connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
            let found = rows.last().map(|row| Ok((row.integer(0)?, row.integer(1)?))).transpose();
            match found.map_err(|error: Error| sqlx::Error::Decode(error.into()))? {
                Some((0, 0)) => Ok(()),
                Some((0, _)) => galera::join(connection).await,
                _ => Err(READ_ONLY.into_driver()),
            }
        })
    })
}

/// Error of a replica, or of a server that an operator has made read-only to protect the data.
const READ_ONLY: TakesNoWrites = TakesNoWrites(
    "read_only is on, so the server is a replica, whose records are old, or takes no writes for another reason; connect to the \
     primary, or name all servers, as in mysql://a:3306,b:3306/, or set global read_only = 0",
);

/// Properties of the server that limit the store.
struct Properties {
    /// The server's `max_allowed_packet`: maximum size of a message in either direction, in bytes.
    packet: usize,
    /// Whether the connection to the server uses TLS.
    encrypted: bool,
    is_mariadb: bool,
    /// Whether it is a node of a Galera cluster.
    is_node: bool,
}

impl Properties {
    /// Smallest `max_allowed_packet`, in bytes, that has room for the statements.
    const LEAST_PACKET: usize = 16 << 10;

    /// Size of everything in a message but the record's data, in bytes.
    const ENVELOPE: usize = 1 << 10;

    /// Returns the maximum length of data that fits into a message.
    fn max_data_len(&self) -> usize {
        MAX_DATA_LEN.min(self.packet - Self::ENVELOPE)
    }

    /// Returns the maximum size of the calls in one batch, in bytes. As JSON, or with its share of a statement, a row takes at
    /// most eight times the size of its call.
    fn batch_bytes(&self) -> usize {
        (1 << 20).min(self.packet / 8)
    }

    /// Returns the maximum number of rows that one purge removes, whatever its limit, so that its transaction is short.
    /// A key takes 70 bytes of JSON.
    fn purge_rows(&self) -> u32 {
        u32::try_from(self.packet / 128).map_or(1_000, |rows| rows.min(1_000))
    }
}

fn config(message: impl AsRef<str>) -> Error {
    Error::new(ErrorKind::Config, message)
}

fn driver(error: sqlx::Error) -> Error {
    error::at_open(&error)
}

/// Returns the text in a column that a query has cast to bytes, whatever the connection's character set.
fn text(row: &MySqlRow, at: usize) -> Result<Option<String>> {
    Ok(row.bytes(at)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// Returns the name of the connection's database.
async fn database(connection: &mut MySqlConnection) -> Result<String> {
    let row = connection.fetch_one(DATABASE).await.map_err(driver)?;
    let database = text(&row, 0)?;
    database.ok_or_else(|| {
        let text = "the URL names no database; add it, as in mysql://user:password@host:port/database";
        Error::fixed(ErrorKind::Config, text)
    })
}

/// Checks that the server and the connection's settings are supported, and returns the server's properties.
async fn inspect(connection: &mut MySqlConnection) -> Result<Properties> {
    let row = connection.fetch_one(AssertSqlSafe(variables())).await.map_err(driver)?;
    let version = text(&row, 0)?.unwrap_or_default();
    let packet = row.try_get_unchecked::<u64, _>(1).map_err(driver)?;
    let packet = usize::try_from(packet).unwrap_or(usize::MAX);
    let on = |at| row.integer(at).map(|value| value != 0);
    let (autocommit, read_only, safe_updates, replica) = (on(2)?, on(3)?, on(4)?, on(5)?);
    if replica {
        // A pool's connections have not been checked yet.
        return Err(driver(READ_ONLY.into_driver()));
    }
    if is_too_old(&version) {
        return Err(config(format!("the server is {version}; use MySQL 8.0, MariaDB 10.6 or later")));
    }
    if packet < Properties::LEAST_PACKET {
        let least = Properties::LEAST_PACKET;
        return Err(config(format!("the server's max_allowed_packet is {packet}; set it to {least} at least")));
    }
    if !autocommit {
        return Err(config("autocommit is off on the pool's connections; set it on"));
    }
    if read_only {
        // An operator may have set it to protect the data, so the store does not override it.
        return Err(config(
            "transaction_read_only is on, so the server refuses writes; set global transaction_read_only = 0",
        ));
    }
    if safe_updates && version.contains("MariaDB") {
        return Err(config(
            "sql_safe_updates is on on the pool's connections, so MariaDB refuses batches; set sql_safe_updates = 0",
        ));
    }
    let values = connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(named_values()))).await.map_err(driver)?;
    let values = values.iter().map(|row| Ok((text(row, 0)?.unwrap_or_default(), text(row, 1)?.unwrap_or_default())));
    let values = values.collect::<Result<HashMap<_, _>>>()?;
    let is_node = galera::check(|name| values.get(name).map(String::as_str))?;
    let encrypted = values.get("Ssl_cipher").is_some_and(|cipher| !cipher.is_empty());
    Ok(Properties { packet, encrypted, is_mariadb: version.contains("MariaDB"), is_node })
}

fn is_too_old(version: &str) -> bool {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|digits| digits.parse().unwrap_or(0_u32));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    found < if version.contains("MariaDB") { (10, 6) } else { (8, 0) }
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
            Err(error) if error::number(&error) == Some(STATEMENT_LOG) => {
                return Err(config(
                    "binlog_format is STATEMENT, which cannot log READ COMMITTED; set global binlog_format = ROW or MIXED",
                )
                .with_source(&driver(error)));
            }
            Err(error) => return Err(driver(error)),
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let missing = missing.join(", ");
    Err(config(format!("the account lacks rights on the table `{namespace}`; grant it {missing}")))
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
        let server = Properties { packet: 16 << 20, encrypted: false, is_mariadb: false, is_node: false };
        assert_eq!(server.max_data_len(), (16 << 20) - 1024);
        assert_eq!((server.batch_bytes(), server.purge_rows()), (1 << 20, 1_000));
        let small =
            Properties { packet: Properties::LEAST_PACKET, encrypted: false, is_mariadb: false, is_node: false };
        assert_eq!((small.max_data_len(), small.batch_bytes(), small.purge_rows()), (15 << 10, 2 << 10, 128));
        assert_eq!(
            Properties { packet: 64 << 20, encrypted: false, is_mariadb: false, is_node: false }.max_data_len(),
            MAX_DATA_LEN
        );
    }
}
