//! Reads the definition of a namespace's table, and checks all that the store relies on.
//!
//! A restore, a migration tool or a change by hand may leave a table on which the statements mean something else.

use sqlx::{PgConnection, Row as _};

use crate::statement::{Query, Sending, Statement};

/// Columns of the store and their types, by the names in SQL and in `pg_type`. A table may have more.
const COLUMNS: [(&str, &str, &str); 7] = [
    ("key", "bytea", "bytea"),
    ("version", "bigint", "int8"),
    ("created_at", "bigint", "int8"),
    ("expires_at", "bigint", "int8"),
    ("purge_at", "bigint", "int8"),
    ("principal", "text", "text"),
    ("data", "bytea", "bytea"),
];

/// Query with a quoted table name. Returns a row if it exists: kind, persistence, qualified name, whether row-level security is
/// active for this role, a rule, a table that inherits from it, an index that keeps keys unique, an index that keeps something
/// else unique, and whether there is an index for the purge and one for lists.
///
/// Kinds and persistence are letters; see <https://www.postgresql.org/docs/current/catalog-pg-class.html>.
const TABLE: &str = "
    select c.relkind::text, c.relpersistence::text, quote_ident(n.nspname) || '.' || quote_ident(c.relname),
           row_security_active(c.oid),
           (select min(quote_ident(rulename)) from pg_rewrite where ev_class = c.oid),
           (select min(inhrelid::regclass::text) from pg_inherits where inhparent = c.oid and c.relkind = 'r'),
           exists(select from pg_index i where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indimmediate
                  and i.indpred is null and i.indnkeyatts = 1 and i.indkey[0] = k.attnum),
           (select min(i.indexrelid::regclass::text) from pg_index i where i.indrelid = c.oid
            and (i.indisunique or i.indisexclusion) and (k.attnum is null or k.attnum <> all (i.indkey))),
           exists(select from pg_index i join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
                  where i.indrelid = c.oid and i.indisvalid and i.indpred is null and a.attname = 'purge_at'),
           exists(select from pg_index i join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
                  where i.indrelid = c.oid and i.indisvalid and a.attname = 'principal'
                  and (i.indpred is null
                       or replace(pg_get_expr(i.indpred, c.oid), '\"', '') = '(principal IS NOT NULL)'))
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    left join pg_attribute k on k.attrelid = c.oid and k.attname = 'key' and not k.attisdropped
    where c.oid = to_regclass($1)";
/// Query with a quoted table name. Returns the columns: name, type if it is the system's own, whether it may be null, whether an insert has to name it,
/// whether the server computes it, and whether its collation takes different strings for equal.
const COLUMNS_OF: &str = "
    select attname::text, case when typnamespace = 'pg_catalog'::regnamespace then typname::text else '' end,
           not attnotnull, attnotnull and not atthasdef and attidentity = '',
           attgenerated <> '' or attidentity = 'a', not coalesce(collisdeterministic, true)
    from pg_attribute join pg_type t on t.oid = atttypid left join pg_collation c on c.oid = attcollation
    where attrelid = to_regclass($1) and attnum > 0 and not attisdropped";

/// Definition of a table.
#[derive(Debug)]
pub(crate) struct Table {
    kind: String,
    persistence: String,
    /// Qualified and quoted name.
    name: String,
    row_security: bool,
    /// Quoted name of a rule.
    rule: Option<String>,
    /// Quoted name of a table that inherits from this one.
    child: Option<String>,
    unique_keys: bool,
    /// Quoted name of an index that keeps something other than keys unique.
    other_unique: Option<String>,
    by_purge: bool,
    by_principal: bool,
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    name: String,
    kind: String,
    nullable: bool,
    /// Whether an insert that does not name the column fails.
    demanded: bool,
    computed: bool,
    /// Whether the collation takes different strings for equal.
    folds: bool,
}

impl Table {
    /// Reads the definition of the table with this quoted name. Returns `None` if there is no table.
    pub(crate) async fn read(
        connection: &mut PgConnection,
        sending: &Sending,
        name: &str,
    ) -> sqlx::Result<Option<Self>> {
        let (table, columns) = (Statement::from(TABLE.to_owned()), Statement::from(COLUMNS_OF.to_owned()));
        let Some(row) = Query::new(&table, sending).bind(name).fetch_optional(connection).await? else {
            return Ok(None);
        };
        let columns = Query::new(&columns, sending).bind(name).fetch_all(connection).await?;
        let columns = columns.iter().map(|row| Column {
            name: row.get(0),
            kind: row.get(1),
            nullable: row.get(2),
            demanded: row.get(3),
            computed: row.get(4),
            folds: row.get(5),
        });
        Ok(Some(Self {
            columns: columns.collect(),
            kind: row.get(0),
            persistence: row.get(1),
            name: row.get(2),
            row_security: row.get(3),
            rule: row.get(4),
            child: row.get(5),
            unique_keys: row.get(6),
            other_unique: row.get(7),
            by_purge: row.get(8),
            by_principal: row.get(9),
        }))
    }

    /// Checks all that the store relies on. Returns what is wrong, with the statement that mends it.
    pub(crate) fn check(&self) -> Result<(), String> {
        let name = &self.name;
        match (self.kind.as_str(), self.persistence.as_str()) {
            ("r" | "p", "p") => {}
            ("r" | "p", "u") => {
                return Err(format!(
                    "the table {name} is unlogged, so a crash would empty it; run: alter table {name} set logged"
                ));
            }
            ("r" | "p", _) => {
                return Err(format!("{name} is a temporary table, which hides the store's; choose another namespace"));
            }
            _ => return Err(format!("{name} is not a table; choose another namespace")),
        }
        self.check_columns()?;
        if !self.unique_keys {
            return Err(format!(
                "the table {name} has no primary key, or not on `key` alone, or a deferrable one, \
                 so two sessions could have one key; run: alter table {name} add primary key (key)"
            ));
        }
        if let Some(index) = &self.other_unique {
            return Err(format!("the unique index {index} of the table {name} refuses sessions; drop it"));
        }
        for (there, column, suffix) in
            [(self.by_purge, "purge_at", ""), (self.by_principal, "principal", " where principal is not null")]
        {
            if !there {
                return Err(format!(
                    "the table {name} has no index on `{column}`; \
                     run: create index concurrently on {name} ({column}){suffix}"
                ));
            }
        }
        if let Some(rule) = &self.rule {
            return Err(format!(
                "the rule {rule} of the table {name} may replace statements; run: drop rule {rule} on {name}"
            ));
        }
        if let Some(child) = &self.child {
            return Err(format!(
                "the table {child} inherits from {name}, and keys are not unique across both; \
                 run: alter table {child} no inherit {name}"
            ));
        }
        if self.row_security {
            return Err(format!(
                "row-level security hides rows of the table {name} from this role; \
                 run: alter table {name} disable row level security, or alter role … bypassrls"
            ));
        }
        Ok(())
    }

    fn check_columns(&self) -> Result<(), String> {
        let name = &self.name;
        for (column, kind, internal) in COLUMNS {
            let Some(found) = self.columns.iter().find(|found| found.name == column && found.kind == internal) else {
                return Err(format!(
                    "the table {name} has no column `{column}` of type {kind}; restore the tables, or choose another namespace"
                ));
            };
            if found.computed {
                return Err(format!(
                    "the server computes the column `{column}` of the table {name}; \
                     run: alter table {name} alter {column} drop expression"
                ));
            }
            if found.folds {
                return Err(format!(
                    "the collation of the column `{column}` of the table {name} takes different names for equal; \
                     run: alter table {name} alter {column} type {kind} collate \"C\""
                ));
            }
            if column == "principal" && !found.nullable {
                return Err(format!(
                    "the column `{column}` of the table {name} has to allow null; \
                     run: alter table {name} alter {column} drop not null"
                ));
            }
        }
        let known = |name: &str| COLUMNS.iter().any(|(column, ..)| *column == name);
        if let Some(Column { name: column, .. }) =
            self.columns.iter().find(|found| found.demanded && !known(&found.name))
        {
            return Err(format!(
                "the table {name} has a column `{column}` that an insert must name; \
                 give it a default value, or drop it"
            ));
        }
        Ok(())
    }
}
