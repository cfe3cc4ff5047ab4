//! Settings of a connection, and whether they reached the session of the server.

use std::fmt;
use std::time::Duration;

use session_core::{Result, Version};
use session_store_kit::wrong;
use session_store_sqlx::{Pooler, ServerLimits, SetUp, Source};
use sqlx::postgres::PgConnectOptions;
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

/// Returns the source of connections through `pooler`, whose calls may take `timeout`.
pub(crate) fn source(options: PgConnectOptions, timeout: Duration, pooler: Pooler) -> Result<Source<Postgres>> {
    let options = options.disable_statement_logging();
    let usual = ServerLimits::usual(timeout);
    if pooler == Pooler::None {
        let mark = Version::random().as_i64().to_string();
        let options = options.options(settings(usual)).options(keepalives(timeout)).options([(MARK, mark.as_str())]);
        let set_up: SetUp<Postgres> = Box::new(move |connection| Box::pin(check(mark.clone(), usual, connection)));
        return Ok(Source::Own(Box::new(options), Some(set_up)));
    }
    if options.get_options().is_some() {
        return wrong(
            "a pooler passes no options on to the server; leave out `options` of the URL and PGOPTIONS, and set them on the role",
        );
    }
    // Poolers refuse this setting, too, and the store reads no such number.
    let options = Box::new(options.extra_float_digits(None));
    Ok(match pooler {
        Pooler::Session => {
            let set_up: SetUp<Postgres> = Box::new(move |connection| Box::pin(set(usual, connection)));
            Source::Own(options, Some(set_up))
        }
        Pooler::None | Pooler::Transaction => Source::Own(options, None),
    })
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
    let sql = format!("select {is_ours}, ({limit} and {is_ours})");
    let answer = connection.fetch_one(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
    if answer.try_get(0)? { Ok(()) } else { Err(sqlx::Error::Configuration(Box::new(SettingsDropped))) }
}

/// Makes the settings of a session that a pooler keeps for this connection.
async fn set(usual: ServerLimits, connection: &mut PgConnection) -> sqlx::Result<()> {
    let settings = settings(usual).map(|(name, value)| format!("set {name} = '{value}'; ")).concat();
    let sql = settings + &set_transaction_limit(usual);
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.map(drop)
}

/// Returns a query that sets the limit of a transaction on servers that have one, and that can be continued with further conditions.
fn set_transaction_limit(usual: ServerLimits) -> String {
    let limit = millis(usual.transaction());
    format!(
        "select set_config('transaction_timeout', '{limit}', false) \
         where current_setting('server_version_num')::int >= 170000"
    )
}
