//! Creates and checks the tables when a store is opened.

use std::time::Duration;

use session_core::{Error, ErrorKind, Namespace, Result};
use session_store_kit::{TIMED_OUT, check_layout};
use session_store_sqlx::Links;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Row as _};
use tokio::time::{Instant, timeout_at};

use crate::error;
use crate::schema;

/// Ensures that the tables of `namespace` exist and fit. Returns whether the connection is encrypted.
pub(crate) async fn prepare(
    links: &Links<Postgres>,
    namespace: &Namespace,
    create: bool,
    timeout: Duration,
) -> Result<bool> {
    let deadline = Instant::now() + timeout;
    let mut link = links.take(deadline).await.map_err(|error| error::at_open(&error))?;
    let opening = async {
        let connection = link.connection()?;
        match check(connection, namespace).await? {
            Tables::Ready => {}
            Tables::Absent { .. } if create => {
                make(connection, namespace).await?;
                match check(connection, namespace).await? {
                    Tables::Ready => {}
                    Tables::Absent { schema } => return Err(absent(namespace, &schema)),
                }
            }
            Tables::Absent { schema } => return Err(absent(namespace, &schema)),
        }
        let encrypted = sqlx::query(schema::ENCRYPTED).fetch_one(connection).await;
        Ok(encrypted.map_err(|error| error::at_open(&error))?.get(0))
    };
    let encrypted = timeout_at(deadline, opening).await.map_err(|_| TIMED_OUT)??;
    links.keep(link);
    Ok(encrypted)
}

enum Tables {
    Ready,
    /// The table of the namespace is missing in this schema.
    Absent {
        schema: String,
    },
}

fn absent(namespace: &Namespace, schema: &str) -> Error {
    config(format!(
        "there is no table `{namespace}` in schema `{schema}`; create it with what PostgresStore::schema gives"
    ))
}

fn config(message: impl AsRef<str>) -> Error {
    Error::new(ErrorKind::Config, message)
}

async fn make(connection: &mut PgConnection, namespace: &Namespace) -> Result<()> {
    let schema = schema::create(namespace);
    for last in [false, false, true] {
        let made = sqlx::raw_sql(AssertSqlSafe(schema.as_str())).execute(&mut *connection).await;
        match made {
            Ok(_) => return Ok(()),
            // Another client that does not take the store's lock is creating the same tables.
            Err(error) if !last && is_met(&error) => {}
            Err(error) if code(&error).as_deref() == Some("42501") => {
                return Err(config(format!(
                    "the role may not create the table `{namespace}`; have it created with what PostgresStore::schema gives, \
                     and open with create=false"
                ))
                .with_source(&error::at_open(&error)));
            }
            Err(error) => return Err(error::at_open(&error)),
        }
    }
    Ok(())
}

fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(|code| code.into_owned())
}

/// Whether another client was creating the same tables: unique violations in the catalogue, duplicate objects,
/// serialization failures, deadlocks.
fn is_met(error: &sqlx::Error) -> bool {
    matches!(code(error).as_deref(), Some("23505" | "42P07" | "42710" | "40001" | "40P01"))
}

/// Checks that the tables exist, were created by this store, have a layout that this release knows, and allow this role access.
async fn check(connection: &mut PgConnection, namespace: &Namespace) -> Result<Tables> {
    let driver = |error: sqlx::Error| error::at_open(&error);
    let around = sqlx::query(schema::SURROUNDINGS).fetch_one(&mut *connection).await.map_err(driver)?;
    let (encoding, schema): (String, String) = (around.get(0), around.get(1));
    let (layouts, layouts_readable): (bool, bool) = (around.get(2), around.get(3));
    if !matches!(encoding.as_str(), "UTF8" | "SQL_ASCII") {
        return Err(config(format!("the database has the encoding {encoding}; principals need UTF8")));
    }
    let table = format!("\"{namespace}\"");
    let columns = sqlx::query(schema::COLUMNS_OF).bind(&table).fetch_all(&mut *connection).await.map_err(driver)?;
    if columns.is_empty() {
        return Ok(Tables::Absent { schema });
    }
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
    let has = |(name, kind)| columns.iter().any(|row| row.get::<&str, _>(0) == name && row.get::<&str, _>(1) == kind);
    if let Some((name, kind)) = schema::COLUMNS.into_iter().find(|column| !has(*column)) {
        return Err(config(format!("the table `{namespace}` has no column `{name}` of type {kind}")));
    }
    let missing = sqlx::query(schema::MISSING_RIGHTS).bind(&table).fetch_all(&mut *connection).await.map_err(driver)?;
    let missing: Vec<&str> = missing.iter().map(|row| row.get(0)).collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        return Err(config(format!("the role may not do everything to the table `{namespace}`; grant it {missing}")));
    }
    Ok(Tables::Ready)
}
