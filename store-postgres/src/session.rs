//! Settings of a connection, and whether they reached the session of the server.

use std::fmt;
use std::time::Duration;

use session_core::{Result, Version};
use session_store_kit::wrong;
use session_store_sqlx::{Pooler, ServerLimits, SetUp, Source, TakesNoWrites, bare_address};
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, PgConnection, Postgres, Row as _};

use crate::limits::millis;

/// Setting of no meaning to the server, whose value is the store's own. It shows whether the options of the start-up message are those
/// of the session that runs a statement.
const MARK: &str = "session_store.connection";

/// Error of a connection whose settings did not reach the server's session.
#[derive(Debug)]
pub(crate) struct SettingsDropped;

impl fmt::Display for SettingsDropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what answers has dropped the options of the connection, so it is a pooler")
    }
}

impl std::error::Error for SettingsDropped {}

/// Returns the source of connections to the first of `servers` that takes writes, through `pooler`. Calls may take `timeout`.
pub(crate) fn source(servers: Vec<PgConnectOptions>, timeout: Duration, pooler: Pooler) -> Result<Source<Postgres>> {
    let servers = servers.into_iter().map(|options| named(options).disable_statement_logging());
    let usual = ServerLimits::usual(timeout);
    if pooler == Pooler::None {
        let mark = Version::random().as_i64().to_string();
        let servers = servers.map(|options| {
            options.options(settings(usual)).options(keepalives(timeout)).options([(MARK, mark.as_str())])
        });
        let servers = servers.collect();
        let set_up: SetUp<Postgres> = Box::new(move |connection| Box::pin(check(mark.clone(), usual, connection)));
        return Ok(Source::Own(servers, Some(set_up)));
    }
    // Poolers refuse this setting, too, and the store reads no such number.
    let servers: Vec<_> = servers.map(|options| options.extra_float_digits(None)).collect();
    if servers.iter().any(|options| options.get_options().is_some()) {
        return wrong(
            "a pooler passes no options on to the server; leave out `options` of the URL and PGOPTIONS, and set them on the role",
        );
    }
    let settings = if pooler == Pooler::Session { session_settings(usual) } else { String::new() };
    let set_up: SetUp<Postgres> = Box::new(move |connection| Box::pin(set(settings.clone(), connection)));
    Ok(Source::Own(servers, Some(set_up)))
}

/// Returns the options with an address as its host in the form that the driver resolves, without brackets.
fn named(options: PgConnectOptions) -> PgConnectOptions {
    match bare_address(options.get_host()).map(str::to_owned) {
        Some(address) => options.host(&address),
        None => options,
    }
}

/// Settings that the store relies on, whatever the server's defaults are.
fn settings(usual: ServerLimits) -> [(&'static str, String); 8] {
    [
        // Set from the start, because a role's own limits could end even the statement that sets others.
        ("statement_timeout", millis(usual.statement).to_string()),
        ("lock_timeout", millis(usual.lock).to_string()),
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
    ]
}

/// Settings by which the server finds out within half of the time-out that a client has vanished from the network.
fn keepalives(timeout: Duration) -> [(&'static str, String); 4] {
    // Whole seconds.
    let vanished = (timeout.as_secs() / 2).max(1);
    [
        // The server asks a silent client twice whether it is still there. It does not wait for an answer longer than that either.
        ("tcp_keepalives_idle", vanished.div_ceil(3).to_string()),
        ("tcp_keepalives_interval", vanished.div_ceil(3).to_string()),
        ("tcp_keepalives_count", "2".to_owned()),
        ("tcp_user_timeout", (vanished * 1000).to_string()),
    ]
}

/// Checks that the session has the settings of the start-up message, and sets the one that older servers would refuse there.
///
/// It is one message, because the next one may reach another client's session.
async fn check(mark: String, usual: ServerLimits, connection: &mut PgConnection) -> sqlx::Result<()> {
    let is_ours = format!("coalesce(current_setting('{MARK}', true) = '{mark}', false)");
    let limit = set_transaction_limit(usual);
    let sql = format!("select {ROLE}, {is_ours}, ({limit} and {is_ours})");
    let answer = connection.fetch_one(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
    if !answer.try_get::<bool, _>(2)? {
        return Err(sqlx::Error::Configuration(Box::new(SettingsDropped)));
    }
    check_role(&answer)
}

/// Makes the settings of a session that a pooler keeps for this connection, if there are any, and checks the server's role.
async fn set(settings: String, connection: &mut PgConnection) -> sqlx::Result<()> {
    let sql = format!("{settings}select {ROLE}");
    let answer = connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
    answer.last().map_or(Err(sqlx::Error::RowNotFound), check_role)
}

/// Returns the statements that make the settings of a session.
fn session_settings(usual: ServerLimits) -> String {
    let settings = settings(usual).map(|(name, value)| format!("set {name} = '{value}'; ")).concat();
    settings + &set_transaction_limit(usual) + "; "
}

/// Columns of a query: whether the server is a standby, and whether transactions are read-only by default.
pub(crate) const ROLE: &str = "pg_is_in_recovery(), current_setting('transaction_read_only')::boolean";

/// Checks the first two columns of a row, which are those of [`ROLE`].
///
/// # Errors
/// [`TakesNoWrites`].
pub(crate) fn check_role(row: &PgRow) -> sqlx::Result<()> {
    if row.try_get(0)? {
        return Err(TakesNoWrites(
            "the server is a standby, whose records are old and which takes no writes; connect to the primary, or name all servers, \
             as in postgres://a:5432,b:5432/",
        )
        .into_driver());
    }
    if row.try_get(1)? {
        // An operator may have set it to protect the data, so the store does not override it.
        return Err(TakesNoWrites(
            "default_transaction_read_only is on, so the server refuses writes; \
             reset it for the role, the database or the server",
        )
        .into_driver());
    }
    Ok(())
}

/// Returns a query that sets the limit of a transaction on servers that have one, and that can be continued with further conditions.
fn set_transaction_limit(usual: ServerLimits) -> String {
    let limit = millis(usual.transaction());
    format!(
        "select set_config('transaction_timeout', '{limit}', false) \
         where current_setting('server_version_num')::int >= 170000"
    )
}
