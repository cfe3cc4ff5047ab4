//! Opens a store: the settings of its connections, and the checks of server and tables.

use std::time::Duration;

use session_core::{Error, ErrorKind, Namespace, Result};
use session_store_kit::check_layout;
use session_store_sqlx::{Bounds, ClockCheck, ServerLimits, SetUp, Source, SqlBackend};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection, Postgres, Row as _};

use crate::schema::{self, Statements};
use crate::table::Table;
use crate::{PostgresStore, error, operations};

impl SqlBackend for PostgresStore {
    type Dialect = Statements;

    fn namespace(name: &str) -> Result<Namespace> {
        schema::namespace(name)
    }

    fn source(options: PgConnectOptions, timeout: Duration) -> Source<Postgres> {
        let limits = ServerLimits::usual(timeout);
        let set_up: SetUp<Postgres> = Box::new(move |connection| Box::pin(operations::limit(limits, connection)));
        Source::Own(Box::new(for_sessions(options, timeout)), Some(set_up))
    }

    fn with_password(options: PgConnectOptions, password: &str) -> PgConnectOptions {
        options.password(password)
    }

    fn address(options: &PgConnectOptions) -> String {
        match options.get_socket() {
            Some(folder) => folder.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        }
    }

    fn at_open(error: &sqlx::Error) -> Error {
        error::at_open(error)
    }

    async fn inspect(
        connection: &mut PgConnection,
        namespace: &Namespace,
        bounds: Bounds,
    ) -> Result<(Statements, Bounds)> {
        let clock = ClockCheck::begin();
        let server = sqlx::query(schema::SERVER).bind(quoted(namespace)).fetch_one(connection).await.map_err(driver)?;
        let _ = clock.end("PostgreSQL", server.get(4));
        if server.get(1) {
            let standby = "the server is a standby and takes no writes; connect to the primary";
            return Err(Error::fixed(ErrorKind::Unavailable, standby));
        }
        if server.get(2) {
            // An operator may have set it to protect the data, so the store does not override it.
            return Err(config(
                "default_transaction_read_only is on, so the server refuses writes; \
                 reset it for the role, the database or the server",
            ));
        }
        let Some(schema) = server.get::<Option<String>, _>(3) else {
            return Err(config(
                "the role's search_path names no schema that exists; create one, or set the search_path",
            ));
        };
        let statements = Statements::new(&format!("{schema}.{}", quoted(namespace)));
        Ok((statements, bounds.encrypted(server.get(0))))
    }

    async fn check_tables(connection: &mut PgConnection, namespace: &Namespace) -> Result<Option<Error>> {
        let around = sqlx::query(schema::SURROUNDINGS).fetch_one(&mut *connection).await.map_err(driver)?;
        let (encoding, schema): (String, String) = (around.get(0), around.get(1));
        let (layouts, layouts_readable): (bool, bool) = (around.get(2), around.get(3));
        if !matches!(encoding.as_str(), "UTF8" | "SQL_ASCII") {
            return Err(config(format!("the database has the encoding {encoding}; create one with the encoding UTF8")));
        }
        let Some(table) = Table::read(connection, &quoted(namespace)).await.map_err(driver)? else {
            return Ok(Some(config(format!(
                "there is no table `{namespace}` in schema `{schema}`; create it with the SQL of PostgresStore::schema"
            ))));
        };
        if layouts && !layouts_readable {
            return Err(config("the role may not read the table `session.layouts`; grant it select"));
        }
        let layout: Option<i32> = if layouts {
            let query = sqlx::query(schema::GET_LAYOUT).bind(namespace.as_str());
            query.fetch_optional(&mut *connection).await.map_err(driver)?.map(|row| row.get(0))
        } else {
            None
        };
        check_layout(format_args!("the table `{namespace}`"), layout.map(i64::from), schema::LAYOUT.into())?;
        table.check().map_err(config)?;
        let missing = sqlx::query(schema::MISSING_RIGHTS).bind(quoted(namespace)).fetch_all(&mut *connection).await;
        let missing = missing.map_err(driver)?;
        let missing: Vec<&str> = missing.iter().map(|row| row.get(0)).collect();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            return Err(config(format!("the role lacks rights on the table `{namespace}`; grant it {missing}")));
        }
        Ok(None)
    }

    async fn create_tables(connection: &mut PgConnection, namespace: &Namespace) -> Result<()> {
        // Processes that start at the same time wait for each other, longer than a statement in use may wait for a lock.
        // `statement_timeout` bounds the wait. The setting ends with the transaction.
        let schema = format!("set local lock_timeout = 0; {}", schema::create(namespace));
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

/// Adds the settings that the store relies on, whatever the server's defaults are.
fn for_sessions(options: PgConnectOptions, timeout: Duration) -> PgConnectOptions {
    // Half of the time-out, in which the server finds out that a client has vanished from the network. Whole seconds.
    let vanished = (timeout.as_secs() / 2).max(1);
    let usual = ServerLimits::usual(timeout);
    let millis = |limit: Duration| limit.as_millis().max(1).to_string();
    options.disable_statement_logging().options([
        // Set from the start, because a role's own limits could end even the statement that sets others.
        ("statement_timeout", millis(usual.statement)),
        ("lock_timeout", millis(usual.lock)),
        // The server asks a silent client twice whether it is still there. It does not wait for an answer longer than that either.
        ("tcp_keepalives_idle", vanished.div_ceil(3).to_string()),
        ("tcp_keepalives_interval", vanished.div_ceil(3).to_string()),
        ("tcp_keepalives_count", "2".to_owned()),
        ("tcp_user_timeout", (vanished * 1000).to_string()),
        // The statements are also correct under other isolation levels, but would be rolled back more often.
        ("default_transaction_isolation", "read committed".to_owned()),
        // There are only a few statements. Planning one for each execution costs more than the execution itself.
        ("plan_cache_mode", "force_generic_plan".to_owned()),
        // Compiling such a statement, or starting a process for it, takes longer than running it.
        ("jit", "off".to_owned()),
        ("max_parallel_workers_per_gather", "0".to_owned()),
        // With row-level security the server would leave out rows without a word. This makes it raise an error.
        ("row_security", "off".to_owned()),
        // An error of one statement must not end the connection, on which other calls follow.
        ("exit_on_error", "off".to_owned()),
    ])
}

/// Returns a namespace as the name of a table.
fn quoted(namespace: &Namespace) -> String {
    format!("\"{namespace}\"")
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
