//! SQL of tables, indexes and statements.
//!
//! Names of indexes hold a dot, which no namespace has, so an index of one namespace never has the name of another's table.
//! The longest name has 52 bytes, so PostgreSQL truncates none: it does so after 63 bytes.

use session_core::{Error, ErrorKind, Namespace, Result};

use crate::session::ROLE;
use crate::statement::{Sending, Statement};

/// Layout that this release reads and writes.
pub(crate) const LAYOUT: i32 = 1;

/// Checks that `name` is a namespace and allowed as a table name in PostgreSQL.
pub(crate) fn namespace(name: &str) -> Result<Namespace> {
    if name.starts_with("pg_") {
        return Err(Error::fixed(
            ErrorKind::Config,
            "PostgreSQL reserves names that begin with pg_; choose another namespace",
        ));
    }
    Namespace::new(name)
}

/// Returns the SQL that creates a namespace's tables and indexes. Running it again changes nothing.
///
/// It is sent as one message, which PostgreSQL runs as one transaction. The lock makes processes that start at the same time
/// take turns, because two concurrent `create table if not exists` may both insert into the catalogue. Its number is arbitrary.
///
/// The index on `purge_at` serves the purge, that on `principal` the lists. Sessions without a principal are not in the latter.
/// `purge_at` is never later than `expires_at`. Only the purge moves it to a later time, so a save or touch that extends the expiry
/// changes no indexed column. PostgreSQL then writes no index entries (a heap-only update), if the row's page has room: each page
/// therefore keeps a fifth free.
///
/// See <https://www.postgresql.org/docs/current/storage-hot.html>.
pub(crate) fn create(namespace: &Namespace) -> String {
    format!(
        r#"select pg_advisory_xact_lock(7308604759847929716);
create table if not exists "session.layouts" (
  namespace text collate "C" not null primary key,
  layout integer not null
);
create table if not exists "{namespace}" (
  key bytea not null constraint "{namespace}.key" primary key,
  version bigint not null,
  created_at bigint not null, -- milliseconds since 1970 UTC, as is
  expires_at bigint not null, -- this
  purge_at bigint not null,
  principal text collate "C" null,
  data bytea not null
) with (fillfactor = 80);
create index if not exists "{namespace}.purge_at" on "{namespace}" (purge_at);
create index if not exists "{namespace}.principal" on "{namespace}" (principal) where principal is not null;
insert into "session.layouts" (namespace, layout) values ('{namespace}', {LAYOUT}) on conflict do nothing;
"#
    )
}

/// Query without parameters. Returns the database's encoding, the schema for new tables, whether the table of layouts exists,
/// and whether the role may read it.
pub(crate) const SURROUNDINGS: &str = r#"
    select current_setting('server_encoding'), coalesce(current_schema()::text, ''),
           to_regclass('"session.layouts"') is not null,
           coalesce(has_table_privilege(to_regclass('"session.layouts"'), 'select'), false)"#;
/// Query with a quoted table name. Returns the columns of [`ROLE`], whether this connection is encrypted, the quoted schema in which
/// the table is found, or else will be created, and the server's time in milliseconds since 1970. The schema is null if
/// `search_path` names none that exists.
pub(crate) fn server() -> String {
    format!(
        "select {ROLE}, exists(select from pg_stat_ssl where pid = pg_backend_pid() and ssl),
           quote_ident(coalesce((select nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace
                                 where c.oid = to_regclass($1)), current_schema())),
           (extract(epoch from clock_timestamp()) * 1000)::int8"
    )
}
/// Query with a quoted table name. Returns the rights on the table that the role lacks.
pub(crate) const MISSING_RIGHTS: &str = "
    select p from unnest(array['select', 'insert', 'update', 'delete']) p
    where not has_table_privilege(to_regclass($1), p)";
/// Query with a namespace. Returns its layout.
pub(crate) const GET_LAYOUT: &str = r#"select layout from "session.layouts" where namespace = $1"#;

/// Part of the error of [`takes_writes`].
pub(crate) const TAKES_NO_WRITES: &str = "the server takes no writes";

/// Condition of the statements that read for a caller. It is true on a server that takes writes, and raises an error on any other, where
/// records may be old.
///
/// The server evaluates it once for a statement, also if no row is found, because it depends on no column. It needs no message of its
/// own, so no read is ever older than the server's change. The failed cast raises the error, which also says in the server's log why.
fn takes_writes() -> String {
    let setting = "pg_catalog.current_setting('transaction_read_only')";
    format!("case when {setting} = 'off' then true else ('{TAKES_NO_WRITES}: ' || {setting})::boolean end")
}

/// Statements of one namespace.
///
/// The comment on a statement lists its parameters, then its result. The parameters of a statement for many keys are arrays
/// with an element for each key.
pub(crate) struct Statements {
    /// Parameters: key, now. Returns version, created_at, expires_at, principal, data of the live record.
    pub(crate) load: Statement,
    /// Parameter: keys. Returns the key and the columns of `load`, also of expired records.
    pub(crate) load_many: Statement,
    /// Parameters: key, now. Returns the version of the live record.
    pub(crate) version: Statement,
    /// Parameters: key, version, created_at, expires_at, principal, data, now. Changes a row unless a live record with another
    /// version is stored.
    pub(crate) create: Statement,
    /// Parameters of `create` for many keys. Returns the keys whose rows were changed.
    pub(crate) create_many: Statement,
    /// Parameters: key, expected, now, version, created_at, expires_at, principal, data. Changes the row if it is live and has
    /// the expected version.
    pub(crate) save: Statement,
    /// Parameters of `save` for many keys. Returns key, version and expires_at of the rows before the change.
    ///
    /// There is one statement for each kind of [`Locks`](session_store_sqlx::Locks), here and for other writes of many keys.
    pub(crate) save_many: [Statement; 2],
    /// Parameters: key, expected, now, expires_at. Matches the row if it is live and has the expected version.
    pub(crate) touch: Statement,
    /// Parameters of `touch` for many keys. Returns key, version and expires_at of the rows before the change.
    pub(crate) touch_many: [Statement; 2],
    /// Parameters: key, now, version or null for any.
    pub(crate) delete: Statement,
    /// Parameters of `delete` for many keys. Returns key, version and expires_at of the rows before the change.
    pub(crate) delete_many: [Statement; 2],
    /// Parameter: keys. Returns those that have a row, also an expired one.
    pub(crate) existing: Statement,
    /// Parameters: now, limit. Checks as many rows that are due. Removes the expired ones, and postpones those whose expiry was
    /// extended. Returns the number of rows checked and of those removed.
    pub(crate) purge: Statement,
    /// Parameters: principal, now, limit. Returns the key and the columns of `load`.
    pub(crate) sessions_of: Statement,
    /// Parameters: principal, now, key to keep or null, limit. Removes as many rows, and returns the number of rows found and of
    /// those removed.
    pub(crate) delete_all: Statement,
    /// Parameters: last key, now, limit. Returns the key and the columns of `load` of the records after that key.
    pub(crate) scan: Statement,
}

const COLUMN_LIST: &str = "version, created_at, expires_at, principal, data";

impl Statements {
    /// Returns the statements for the table of this name, which is qualified, because a temporary table or another `search_path`
    /// could make a short name mean another table.
    pub(crate) fn new(table: &str, sending: &Sending) -> Self {
        let columns = COLUMN_LIST;
        let selected = match sending {
            Sending::Prepared => COLUMN_LIST,
            // The text of an answer depends on the client's encoding, which is a setting of the session.
            Sending::Text(_) => "version, created_at, expires_at, pg_catalog.convert_to(principal, 'UTF8'), data",
        };
        // Rows are locked in the order of their keys, so that two statements cannot deadlock. Outcomes follow from the locked
        // rows, because the statement's snapshot is older than the changes for which it had to wait.
        let many = |write: &dyn Fn(&str) -> String| {
            ["", " skip locked"].map(|locks| {
                let locked = format!(
                    "cur as materialized \
                     (select key, version, expires_at from {table} where key = any($1) order by key for update{locks})"
                );
                Statement::from(write(&locked))
            })
        };
        let primary = takes_writes();
        let cutoff = "least($1, floor(extract(epoch from statement_timestamp()) * 1000)::bigint)";
        Self {
            load: format!("select {selected} from {table} where key = $1 and expires_at > $2 and {primary}").into(),
            load_many: format!("select key, {selected} from {table} where key = any($1) and {primary}").into(),
            version: format!("select version from {table} where key = $1 and expires_at > $2").into(),
            create: create_one(table),
            create_many: create_many(table),
            save: format!(
                "update {table} set version = $4, created_at = $5, expires_at = $6, purge_at = least(purge_at, $6), \
                 principal = $7, data = $8 where key = $1 and version = $2 and expires_at > $3"
            )
            .into(),
            save_many: many(&|locked| {
                format!(
                    "with {locked}, done as (update {table} t set version = i.version, created_at = i.created_at, \
                 expires_at = i.expires_at, purge_at = least(t.purge_at, i.expires_at), principal = i.principal, data = i.data \
                 from unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::bytea[]) \
                 i (key, expected, now, {columns}) join cur on cur.key = i.key \
                 where t.key = cur.key and cur.version = i.expected and cur.expires_at > i.now) \
                 select key, version, expires_at from cur"
                )
            }),
            touch: format!(
                "update {table} set expires_at = greatest(expires_at, $4) \
                 where key = $1 and version = $2 and expires_at > $3"
            )
            .into(),
            touch_many: many(&|locked| {
                format!(
                    "with {locked}, done as (update {table} t set expires_at = i.expires_at \
                 from unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[]) i (key, expected, now, expires_at) join cur on cur.key = i.key \
                 where t.key = cur.key and cur.version = i.expected \
                 and cur.expires_at > i.now and cur.expires_at < i.expires_at) \
                 select key, version, expires_at from cur"
                )
            }),
            delete: format!(
                "delete from {table} where key = $1 and expires_at > $2 and ($3::bigint is null or version = $3)"
            )
            .into(),
            delete_many: many(&|locked| {
                format!(
                    "with {locked}, done as (delete from {table} t \
                 using unnest($1::bytea[], $2::bigint[], $3::bigint[]) i (key, now, expected) join cur on cur.key = i.key \
                 where t.key = cur.key and cur.expires_at > i.now and (i.expected is null or cur.version = i.expected)) \
                 select key, version, expires_at from cur"
                )
            }),
            existing: format!("select key from {table} where key = any($1)").into(),
            // The locks keep the rows as they were found. Rows are named by their keys, because a `ctid` names one row in each
            // partition, and each condition is repeated, because nothing live may ever be removed.
            purge: format!(
                "with due as materialized (select key, expires_at from {table} where purge_at <= {cutoff} \
                 order by purge_at limit $2 for update skip locked), \
                 later as (update {table} set purge_at = expires_at \
                 where key = any(array(select key from due where expires_at > {cutoff})) and expires_at > {cutoff}), \
                 done as (delete from {table} \
                 where key = any(array(select key from due where expires_at <= {cutoff})) and expires_at <= {cutoff} \
                 returning 1) \
                 select (select count(*) from due), (select count(*) from done)"
            )
            .into(),
            sessions_of: format!(
                "select key, {selected} from {table} where principal = $1 and expires_at > $2 and {primary} limit $3"
            )
            .into(),
            // The rows are found without locks, and locked in the order of their keys, in which all writers lock.
            delete_all: format!(
                "with found as materialized (select key from {table} \
                 where principal = $1 and expires_at > $2 and key is distinct from $3 limit $4), \
                 cur as materialized (select key from {table} where key = any(array(select key from found)) \
                 and principal = $1 and expires_at > $2 order by key for update), \
                 done as (delete from {table} t using cur where t.key = cur.key returning 1) \
                 select (select count(*) from found), (select count(*) from done)"
            )
            .into(),
            scan: format!(
                "select key, {selected} from {table} where key > $1 and expires_at > $2 and {primary} order by key limit $3"
            )
            .into(),
        }
    }
}

/// Returns the clause that replaces the stored row `s`, unless it is live and has another version. If it already has the new
/// version, it is this very record. It may have been touched since, so a live row keeps its expiry.
fn replace(now: &str) -> String {
    format!(
        "on conflict (key) do update set version = excluded.version, created_at = excluded.created_at, \
         expires_at = case when s.expires_at > {now} then s.expires_at else excluded.expires_at end, \
         purge_at = case when s.expires_at > {now} then s.purge_at else excluded.purge_at end, \
         principal = excluded.principal, data = excluded.data \
         where s.expires_at <= {now} or s.version = excluded.version"
    )
}

fn create_one(table: &str) -> Statement {
    let replace = replace("$7");
    format!("insert into {table} as s (key, {COLUMN_LIST}, purge_at) values ($1, $2, $3, $4, $5, $6, $4) {replace}")
        .into()
}

fn create_many(table: &str) -> Statement {
    let replace = replace("(select i.now from i where i.key = excluded.key)");
    format!(
        "with i as materialized (select * from \
         unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::bytea[], $7::bigint[]) \
         i (key, {COLUMN_LIST}, now)) \
         insert into {table} as s (key, {COLUMN_LIST}, purge_at) select key, {COLUMN_LIST}, expires_at from i order by key \
         {replace} returning s.key"
    )
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_enough_not_to_be_cut() {
        let longest = Namespace::new(&"x".repeat(Namespace::MAX_LEN)).unwrap();
        let schema = create(&longest);
        let names = schema.split('"').skip(1).step_by(2);
        assert!(names.clone().count() > 5);
        for name in names {
            assert!(name.len() <= 63, "{name}");
        }
    }

    #[test]
    fn names_that_are_postgres_own_are_refused() {
        assert_eq!(namespace("pg_class").unwrap_err().kind(), ErrorKind::Config);
        assert!(namespace("pgsessions").is_ok());
    }
}
