//! The server's limits for statements, in the forms in which they are set.

use std::time::Duration;

use session_store_sqlx::ServerLimits;
use sqlx::PgConnection;

/// Query with three numbers of milliseconds. Sets the limits for a wait for a lock, a statement and a transaction, as far as
/// the server has them.
const SET_LIMITS: &str = "
    select set_config(name, value::text, false)
    from (values ('lock_timeout', $1::bigint), ('statement_timeout', $2), ('transaction_timeout', $3)) as limits (name, value)
    where name <> 'transaction_timeout' or current_setting('server_version_num')::int >= 170000";

/// Returns a limit in the server's unit. Zero would turn it off.
pub(crate) fn millis(limit: Duration) -> i64 {
    i64::try_from(limit.as_millis()).unwrap_or(i64::MAX).max(1)
}

/// Sets the limits of a session for the following statements. Servers older than version 17 have none for a transaction.
pub(crate) async fn set(limits: ServerLimits, connection: &mut PgConnection) -> sqlx::Result<()> {
    let query = sqlx::query(SET_LIMITS).bind(millis(limits.lock)).bind(millis(limits.statement));
    query.bind(millis(limits.transaction())).execute(connection).await.map(drop)
}
