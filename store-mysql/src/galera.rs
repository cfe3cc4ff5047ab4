//! Nodes of a Galera cluster: how the store knows one, and what it sets on its connections there.

use session_core::{Error, ErrorKind};
use session_store_sqlx::TakesNoWrites;
use sqlx::{Error as Driver, Executor as _, MySqlConnection, Row as _};

/// Expression for whether the server is a node of a Galera cluster. It may have left it.
///
/// Only MariaDB evaluates it, in the statement that each new connection sends anyway. A plain server has an empty name there or, where
/// MariaDB was compiled without Galera, none.
pub(crate) const IS_NODE: &str = "0 /*M!100600 + exists(select 1 from information_schema.global_status \
     where variable_name = 'WSREP_PROVIDER_NAME' and variable_value <> '') */";

/// Settings of a connection to a node, and a query for whether its writes are replicated.
///
/// `wsrep_sync_wait` makes each statement wait for all that was committed before it on any node. 7 stands for reads, updates, deletes and
/// inserts. `wsrep_dirty_reads` would lift that, and let a node answer that has left its cluster. Fragments of a transaction
/// (`wsrep_trx_fragment_size`) are certified before its commit, and are of no use to short ones.
///
/// A node that has left refuses the `rollback`. One that is cut off, and has not noticed, never answers the query, which waits as well.
const JOIN: &str = "set session wsrep_sync_wait = 7, wsrep_dirty_reads = 0, wsrep_trx_fragment_size = 0; \
     rollback and no chain no release; select @@wsrep_on limit 1";

/// Error of a node whose writes would stay on it.
const NOT_REPLICATED: TakesNoWrites = TakesNoWrites(
    "wsrep_on is off, so this node of a Galera cluster does not replicate writes; set global wsrep_on = 1",
);

/// Statuses and settings of a connection that [`check`] looks at, as a list in SQL.
pub(crate) const SETTINGS: &str =
    "'wsrep_provider_name', 'wsrep_ready', 'wsrep_on', 'wsrep_sync_wait', 'wsrep_dirty_reads'";

/// Prepares a new connection to a node.
///
/// # Errors
/// Those of the driver, and [`TakesNoWrites`] if writes would not be replicated.
pub(crate) async fn join(connection: &mut MySqlConnection) -> Result<(), Driver> {
    let rows = connection.fetch_all(sqlx::raw_sql(JOIN)).await?;
    let replicates = rows.last().map(|row| row.try_get_unchecked::<i64, _>(0)).transpose()?;
    if replicates == Some(0) { Err(NOT_REPLICATED.into_driver()) } else { Ok(()) }
}

/// Error of a node that has left the others.
pub(crate) const LEFT: Error = Error::fixed(
    ErrorKind::Unavailable,
    "the server no longer takes part in its Galera cluster, because it is cut off from most nodes or joins them again",
);

/// Whether the node of a connection has left the others. A read that waits for them then fails like a wait for a lock.
pub(crate) async fn has_left(connection: &mut MySqlConnection) -> bool {
    let found = connection.fetch_optional("show session status where variable_name = 'wsrep_ready'").await;
    matches!(found, Ok(Some(row)) if row.try_get_unchecked::<&[u8], _>(1).is_ok_and(|value| value == b"OFF"))
}

/// Checks the settings of a connection, which are not the store's own on a pool of the application. Returns whether the server is a node.
pub(crate) fn check<'s>(setting: impl Fn(&str) -> Option<&'s str>) -> Result<bool, Error> {
    if setting("wsrep_provider_name").is_none_or(str::is_empty) {
        return Ok(false);
    }
    if setting("wsrep_ready") != Some("ON") {
        return Err(LEFT);
    }
    if setting("wsrep_on") != Some("ON") {
        return Err(Error::fixed(ErrorKind::Config, NOT_REPLICATED.0));
    }
    let waits = setting("wsrep_sync_wait").unwrap_or("0");
    if waits.parse::<u32>().is_ok_and(|waits| waits & 7 != 7) {
        return Err(Error::new(
            ErrorKind::Config,
            format!(
                "wsrep_sync_wait is {waits} on connections to a node of a Galera cluster, so reads may be old; \
                 set global wsrep_sync_wait = 7"
            ),
        ));
    }
    if setting("wsrep_dirty_reads") == Some("ON") {
        return Err(Error::fixed(
            ErrorKind::Config,
            "wsrep_dirty_reads is on, so a node that has left its Galera cluster returns old records; set global wsrep_dirty_reads = 0",
        ));
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_let_a_node_answer_old_records_are_refused() {
        let checked = |settings: String| {
            check(|name| settings.split(' ').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')))
        };
        for plain in ["wsrep_provider_name= wsrep_ready=OFF wsrep_on=OFF wsrep_sync_wait=0", ""] {
            assert!(!checked(plain.to_owned()).unwrap(), "{plain}");
        }
        let node = |settings: &str| checked(format!("wsrep_provider_name=Galera {settings}"));
        assert!(node("wsrep_ready=ON wsrep_on=ON wsrep_sync_wait=7 wsrep_dirty_reads=OFF").unwrap());
        assert!(node("wsrep_ready=ON wsrep_on=ON wsrep_sync_wait=15").unwrap());
        for (bad, kind, mend) in [
            ("wsrep_ready=ON wsrep_on=ON wsrep_sync_wait=0", ErrorKind::Config, "set global wsrep_sync_wait = 7"),
            ("wsrep_ready=ON wsrep_on=ON wsrep_sync_wait=1", ErrorKind::Config, "set global wsrep_sync_wait = 7"),
            (
                "wsrep_ready=ON wsrep_on=ON wsrep_sync_wait=7 wsrep_dirty_reads=ON",
                ErrorKind::Config,
                "set global wsrep_dirty_reads = 0",
            ),
            ("wsrep_ready=ON wsrep_on=OFF wsrep_sync_wait=7", ErrorKind::Config, "set global wsrep_on = 1"),
            ("wsrep_ready=OFF wsrep_on=ON wsrep_sync_wait=7", ErrorKind::Unavailable, "joins them again"),
        ] {
            let error = node(bad).unwrap_err();
            assert_eq!(error.kind(), kind, "{bad}");
            assert!(error.to_string().ends_with(mend), "{bad}: {error}");
        }
    }
}
