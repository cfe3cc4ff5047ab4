//! Opens a store: the settings of its connections, and the checks of server and tables.

use std::time::Duration;

use session_core::{Error, ErrorKind, Namespace, Result};
use session_store_kit::check_layout;
use session_store_sqlx::{
    Bounds, ClockCheck, Pooler, ServerLimits, Source, SqlBackend, SqlBehindPooler, host_with_port,
};
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Row as _};

use crate::limits::millis;
use crate::operations::Calls;
use crate::schema::{self, Statements};
use crate::statement::{Query, Sending, Statement};
use crate::table::Table;
use crate::{PostgresStore, error, session};

/// Error of a query that always has a row.
const UNANSWERED: Error = Error::fixed(ErrorKind::Other, "PostgreSQL answered a query of the opening with no row");

impl SqlBehindPooler for PostgresStore {}

impl SqlBackend for PostgresStore {
    type Dialect = Calls;

    fn namespace(name: &str) -> Result<Namespace> {
        schema::namespace(name)
    }

    fn source(servers: Vec<PgConnectOptions>, timeout: Duration, pooler: Pooler) -> Result<Source<Postgres>> {
        session::source(servers, timeout, pooler)
    }

    fn with_password(options: PgConnectOptions, password: &str) -> PgConnectOptions {
        options.password(password)
    }

    fn address(options: &PgConnectOptions) -> String {
        match options.get_socket() {
            Some(folder) => folder.display().to_string(),
            None => host_with_port(options.get_host(), options.get_port()),
        }
    }

    fn shows_pooler(error: &sqlx::Error) -> bool {
        error::shows_pooler(error)
    }

    fn at_open(error: &sqlx::Error) -> Error {
        error::at_open(error)
    }

    async fn inspect(connection: &mut PgConnection, namespace: &Namespace, bounds: Bounds) -> Result<(Calls, Bounds)> {
        let opening = Opening::new(namespace, &bounds)?;
        let clock = ClockCheck::begin();
        let server = opening.ask(&schema::server(), &opening.table, connection).await?;
        let server = server.first().ok_or(UNANSWERED)?;
        let _ = clock.end("PostgreSQL", server.get(4));
        // A pool's connections have not been checked yet.
        session::check_role(server).map_err(driver)?;
        let Some(schema) = server.get::<Option<String>, _>(3) else {
            return Err(config(match &bounds.schema {
                Some(name) => format!("there is no schema `{name}` that the role may use; create it, or grant usage"),
                None => "the role's search_path names no schema that exists and that the role may use; create one, grant usage on \
                         one to the role, or set the search_path"
                    .into(),
            }));
        };
        let sending = match bounds.pooler {
            Pooler::Transaction => Sending::with(ServerLimits::usual(bounds.settings.timeout)),
            Pooler::None | Pooler::Session => Sending::Prepared,
        };
        // Whether the connection to a pooler is encrypted is not known to the server.
        let encrypted = bounds.pooler != Pooler::None || server.get(2);
        let statements = Statements::new(&format!("{schema}.{}", quoted(namespace.as_str())), &sending);
        Ok((Calls::new(statements, sending), bounds.encrypted(encrypted)))
    }

    async fn check_tables(
        connection: &mut PgConnection,
        namespace: &Namespace,
        bounds: &Bounds,
    ) -> Result<Option<Error>> {
        let opening = Opening::new(namespace, bounds)?;
        let around = opening.ask(schema::SURROUNDINGS, "", connection).await?;
        let around = around.first().ok_or(UNANSWERED)?;
        let (encoding, schema): (String, String) = (around.get(0), around.get(1));
        let (layouts, layouts_readable): (bool, bool) = (around.get(2), around.get(3));
        if !matches!(encoding.as_str(), "UTF8" | "SQL_ASCII") {
            return Err(config(format!("the database has the encoding {encoding}; create one with the encoding UTF8")));
        }
        let Some(table) = Table::read(connection, &opening.sending, &opening.table).await.map_err(driver)? else {
            return Ok(Some(config(format!(
                "there is no table `{namespace}` in schema `{schema}`; create it with the SQL of PostgresStore::schema"
            ))));
        };
        if layouts && !layouts_readable {
            return Err(config("the role may not read the table `session.layouts`; grant it select"));
        }
        let layout: Option<i32> = if layouts {
            opening.ask(schema::GET_LAYOUT, namespace.as_str(), connection).await?.first().map(|row| row.get(0))
        } else {
            None
        };
        check_layout(format_args!("the table `{namespace}`"), layout.map(i64::from), schema::LAYOUT.into())?;
        table.check().map_err(config)?;
        let missing = opening.ask(schema::MISSING_RIGHTS, &opening.table, connection).await?;
        let missing: Vec<&str> = missing.iter().map(|row| row.get(0)).collect();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            return Err(config(format!("the role lacks rights on the table `{namespace}`; grant it {missing}")));
        }
        Ok(None)
    }

    async fn create_tables(connection: &mut PgConnection, namespace: &Namespace, bounds: &Bounds) -> Result<()> {
        // Processes that start at the same time wait for each other, longer than a statement in use may wait for a lock.
        // `statement_timeout` bounds the wait. The setting ends with the transaction.
        let before = Opening::before(bounds)?;
        let schema = format!("{before}set local lock_timeout = 0; {}", schema::create(namespace));
        for last in [false, false, true] {
            let made = sqlx::raw_sql(AssertSqlSafe(schema.as_str())).execute(&mut *connection).await;
            match made {
                Ok(_) => return Ok(()),
                // Another client that does not take the store's lock is creating the same tables.
                Err(error) if !last && is_met(&error) => {}
                Err(error) if error::state(&error).as_deref() == Some("42501") => {
                    return Err(config(format!(
                        "the role may not create the table `{namespace}`; run the SQL of PostgresStore::schema as another role, \
                         and open the store with create=false"
                    ))
                    .with_source(&error::at_open(&error)));
                }
                Err(error) => return Err(error::at_open(&error)),
            }
        }
        Ok(())
    }
}

/// Sends the queries of an opening, each as text. Nothing that they prepare or set may stay in a session, which behind a pooler is
/// another client's next.
struct Opening {
    sending: Sending,
    /// Name of the table, quoted, with its schema if that is given.
    table: String,
}

impl Opening {
    fn new(namespace: &Namespace, bounds: &Bounds) -> Result<Self> {
        let sending = Sending::after(Self::before(bounds)?);
        let schema = bounds.schema.as_ref().map(|schema| format!("{}.", quoted(schema)));
        Ok(Self { sending, table: schema.unwrap_or_default() + &quoted(namespace.as_str()) })
    }

    /// Returns the settings of the opening, for one message each.
    fn before(bounds: &Bounds) -> Result<String> {
        let limit = match bounds.pooler {
            Pooler::Transaction => {
                let limit = ServerLimits::usual(bounds.settings.timeout).statement;
                format!("set local statement_timeout = {}; ", millis(limit))
            }
            Pooler::None | Pooler::Session => String::new(),
        };
        let Some(schema) = &bounds.schema else { return Ok(limit) };
        if schema.is_empty() || schema.contains('\0') {
            return Err(config("the name of the schema is empty or has a character that no name has"));
        }
        // A temporary table of another client must not hide the store's.
        Ok(format!("{limit}set local search_path = {}, pg_temp; ", quoted(schema)))
    }

    /// Runs a query that has at most one parameter.
    async fn ask(&self, query: &str, parameter: &str, connection: &mut PgConnection) -> Result<Vec<PgRow>> {
        let query = Statement::from(query.to_owned());
        Query::new(&query, &self.sending).bind(parameter).fetch_all(connection).await.map_err(driver)
    }
}

/// Returns the name of a table or schema in quotes, because it may have capitals.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn driver(error: sqlx::Error) -> Error {
    error::at_open(&error)
}

fn config(message: impl AsRef<str>) -> Error {
    Error::new(ErrorKind::Config, message)
}

/// Whether another client was creating the same tables: unique violations in the catalogue, duplicate objects,
/// serialization failures, deadlocks.
fn is_met(error: &sqlx::Error) -> bool {
    matches!(error::state(error).as_deref(), Some("23505" | "42P07" | "42710" | "40001" | "40P01"))
}
