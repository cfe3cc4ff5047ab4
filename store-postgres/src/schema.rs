//! Tables, indexes, statements: all the SQL there is.
//!
//! Names made from a namespace hold a dot, which no namespace has, so that nobody's index is another's table.
//! The longest of them has 52 bytes, so PostgreSQL, which cuts names at 63, cuts none.

use session_core::{Error, ErrorKind, Namespace, Result};
use sqlx::Postgres;

/// Which layout this release reads and writes.
pub(crate) const LAYOUT: i32 = 1;

/// `name` as a namespace of this database.
pub(crate) fn namespace(name: &str) -> Result<Namespace> {
    if name.starts_with("pg_") {
        return Err(Error::fixed(ErrorKind::Config, "PostgreSQL keeps names that begin with pg_ for itself"));
    }
    Namespace::new(name)
}

/// Everything a namespace needs. Running it again changes nothing.
///
/// It is sent as one message, which PostgreSQL runs as one transaction. The lock makes ten processes that start at once take turns:
/// `if not exists` alone lets two of them meet in the catalogue. The number is any that nobody else is likely to use.
///
/// `expires_at` serves the purge, `principal` the lists; sessions of nobody cost nothing there.
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
  principal text collate "C" null,
  data bytea not null
);
create index if not exists "{namespace}.expires_at" on "{namespace}" (expires_at);
create index if not exists "{namespace}.principal" on "{namespace}" (principal) where principal is not null;
insert into "session.layouts" (namespace, layout) values ('{namespace}', {LAYOUT}) on conflict do nothing;
"#
    )
}

/// The columns of a namespace's table and their types, as `COLUMNS_OF` tells them.
pub(crate) const COLUMNS: [(&str, &str); 6] = [
    ("key", "bytea"),
    ("version", "bigint"),
    ("created_at", "bigint"),
    ("expires_at", "bigint"),
    ("principal", "text"),
    ("data", "bytea"),
];

/// The database's encoding, the schema in which tables are made, whether the table of layouts is there and may be read.
pub(crate) const SURROUNDINGS: &str = r#"
    select current_setting('server_encoding'), coalesce(current_schema()::text, ''),
           to_regclass('"session.layouts"') is not null,
           coalesce(has_table_privilege(to_regclass('"session.layouts"'), 'select'), false)"#;
/// Whether this connection is encrypted. Everybody may ask that of their own.
pub(crate) const ENCRYPTED: &str = "select exists(select from pg_stat_ssl where pid = pg_backend_pid() and ssl)";
/// Table in quotes: its columns and their types.
pub(crate) const COLUMNS_OF: &str = "
    select attname::text, format_type(atttypid, null) from pg_attribute
    where attrelid = to_regclass($1) and attnum > 0 and not attisdropped";
/// Table in quotes: the rights on it that are missing.
pub(crate) const MISSING_RIGHTS: &str = "
    select p from unnest(array['select', 'insert', 'update', 'delete']) p
    where not has_table_privilege(to_regclass($1), p)";
/// A namespace's layout.
pub(crate) const GET_LAYOUT: &str = r#"select layout from "session.layouts" where namespace = $1"#;

type Sql = store_sqlx::Sql<Postgres>;

/// The statements of one namespace. Those for many keys take arrays, an element for each key.
pub(crate) struct Statements {
    /// key, now: version, created_at, expires_at, principal, data.
    pub(crate) load: Sql,
    /// keys: key and what `load` gives, expired ones too.
    pub(crate) load_many: Sql,
    /// key, now: version.
    pub(crate) version: Sql,
    /// key, version, created_at, expires_at, principal, data, now: changes a row if no live one was there or it is the same.
    pub(crate) create: Sql,
    /// The same, for many: the keys that were done.
    pub(crate) create_many: Sql,
    /// key, expected, now, version, created_at, expires_at, principal, data: changes a row if it was live in that version.
    pub(crate) save: Sql,
    /// The same, for many: key, version and expires_at of what was there.
    pub(crate) save_many: Sql,
    /// key, expected, now, expires_at: matches a row if it was live in that version.
    pub(crate) touch: Sql,
    /// The same, for many: key, version and expires_at of what was there.
    pub(crate) touch_many: Sql,
    /// key, now, version or null for any.
    pub(crate) delete: Sql,
    /// The same, for many: key, version and expires_at of what was there.
    pub(crate) delete_many: Sql,
    /// instant, limit.
    pub(crate) purge: Sql,
    /// principal, now, limit: key and what `load` gives.
    pub(crate) sessions_of: Sql,
    /// principal, now, key to keep or null.
    pub(crate) delete_all: Sql,
    /// key to go on after, now, limit: key and what `load` gives.
    pub(crate) scan: Sql,
}

const COLUMN_LIST: &str = "version, created_at, expires_at, principal, data";

impl Statements {
    pub(crate) fn new(namespace: &Namespace) -> Self {
        let table = format!("\"{namespace}\"");
        let columns = COLUMN_LIST;
        // Rows are locked in the order of their keys, so that no two statements wait for each other in a circle, and what was
        // there is told from the locked rows: the statement's snapshot is older than whatever it had to wait for.
        let locked = format!(
            "cur as materialized \
             (select key, version, expires_at from {table} where key = any($1) order by key for update)"
        );
        Self {
            load: format!("select {columns} from {table} where key = $1 and expires_at > $2").into(),
            load_many: format!("select key, {columns} from {table} where key = any($1)").into(),
            version: format!("select version from {table} where key = $1 and expires_at > $2").into(),
            create: create_one(&table),
            create_many: create_many(&table),
            save: format!(
                "update {table} set version = $4, created_at = $5, expires_at = $6, principal = $7, data = $8 \
                 where key = $1 and version = $2 and expires_at > $3"
            )
            .into(),
            save_many: format!(
                "with {locked}, done as (update {table} t set version = i.version, created_at = i.created_at, \
                 expires_at = i.expires_at, principal = i.principal, data = i.data \
                 from unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::bytea[]) \
                 i (key, expected, now, {columns}) join cur on cur.key = i.key \
                 where t.key = cur.key and cur.version = i.expected and cur.expires_at > i.now) \
                 select key, version, expires_at from cur"
            )
            .into(),
            touch: format!(
                "update {table} set expires_at = greatest(expires_at, $4) \
                 where key = $1 and version = $2 and expires_at > $3"
            )
            .into(),
            touch_many: format!(
                "with {locked}, done as (update {table} t set expires_at = i.expires_at \
                 from unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[]) i (key, expected, now, expires_at) join cur on cur.key = i.key \
                 where t.key = cur.key and cur.version = i.expected \
                 and cur.expires_at > i.now and cur.expires_at < i.expires_at) \
                 select key, version, expires_at from cur"
            )
            .into(),
            delete: format!(
                "delete from {table} where key = $1 and expires_at > $2 and ($3::bigint is null or version = $3)"
            )
            .into(),
            delete_many: format!(
                "with {locked}, done as (delete from {table} t \
                 using unnest($1::bytea[], $2::bigint[], $3::bigint[]) i (key, now, expected) join cur on cur.key = i.key \
                 where t.key = cur.key and cur.expires_at > i.now and (i.expected is null or cur.version = i.expected)) \
                 select key, version, expires_at from cur"
            )
            .into(),
            // The inner select locks what it found and looks again: what was touched or saved meanwhile is no longer among it.
            purge: format!(
                "delete from {table} where ctid = any(array(select ctid from {table} \
                 where expires_at <= least($1, floor(extract(epoch from statement_timestamp()) * 1000)::bigint) \
                 order by expires_at limit $2 for update skip locked))"
            )
            .into(),
            sessions_of: format!(
                "select key, {columns} from {table} where principal = $1 and expires_at > $2 limit $3"
            )
            .into(),
            delete_all: format!(
                "with cur as materialized (select key from {table} \
                 where principal = $1 and expires_at > $2 and key is distinct from $3 order by key for update) \
                 delete from {table} t using cur where t.key = cur.key"
            )
            .into(),
            scan: format!(
                "select key, {columns} from {table} where key > $1 and expires_at > $2 order by key limit $3"
            )
            .into(),
        }
    }
}

/// What is done to the row `s` that lies under the key: it is replaced whole. One that has the version already is
/// this very record, except that it may have been touched since.
fn replace(now: &str) -> String {
    format!(
        "on conflict (key) do update set version = excluded.version, created_at = excluded.created_at, \
         expires_at = case when s.expires_at > {now} then s.expires_at else excluded.expires_at end, \
         principal = excluded.principal, data = excluded.data \
         where s.expires_at <= {now} or s.version = excluded.version"
    )
}

fn create_one(table: &str) -> Sql {
    let replace = replace("$7");
    format!("insert into {table} as s (key, {COLUMN_LIST}) values ($1, $2, $3, $4, $5, $6) {replace}").into()
}

fn create_many(table: &str) -> Sql {
    let replace = replace("(select i.now from i where i.key = excluded.key)");
    format!(
        "with i as materialized (select * from \
         unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::bytea[], $7::bigint[]) \
         i (key, {COLUMN_LIST}, now)) \
         insert into {table} as s (key, {COLUMN_LIST}) select key, {COLUMN_LIST} from i order by key {replace} returning s.key"
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
