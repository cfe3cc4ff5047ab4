//! Checks that a namespace's table has all that the store relies on.
//!
//! A restore, a migration tool or a change by hand may leave a table on which the statements mean something else.

use rusqlite::Connection;

/// Columns of the store and their types. A table may have more.
const COLUMNS: [(&str, &str); 7] = [
    ("key", "BLOB"),
    ("version", "INTEGER"),
    ("created_at", "INTEGER"),
    ("expires_at", "INTEGER"),
    ("purge_at", "INTEGER"),
    ("principal", "TEXT"),
    ("data", "BLOB"),
];

/// Query with a table name. Returns the columns: name, type, whether it must not be null, whether it has no default value, and
/// whether SQLite computes it.
const COLUMNS_OF: &str =
    "select name, upper(type), \"notnull\", dflt_value is null, hidden <> 0 from pragma_table_xinfo(?1)";
/// Query with a table name. Returns the indexes: whether it is unique, whether it is partial, and its columns.
const INDEXES_OF: &str = "select l.\"unique\", l.partial, \
    (select group_concat(coalesce(i.name, ''), ',') from (select name from pragma_index_info(l.name) order by seqno) i) \
    from pragma_index_list(?1) l";

struct Column {
    name: String,
    kind: String,
    not_null: bool,
    no_default: bool,
    computed: bool,
}

struct Index {
    unique: bool,
    partial: bool,
    columns: String,
}

/// Returns what is wrong with the table of this name, and how to mend it, or `None` if the store can rely on it.
pub(crate) fn problem(connection: &Connection, table: &str) -> rusqlite::Result<Option<String>> {
    let mut columns = connection.prepare(COLUMNS_OF)?;
    let columns = columns.query_map([table], |row| {
        let (name, kind) = (row.get(0)?, row.get(1)?);
        Ok(Column { name, kind, not_null: row.get(2)?, no_default: row.get(3)?, computed: row.get(4)? })
    })?;
    let columns = columns.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut indexes = connection.prepare(INDEXES_OF)?;
    let indexes = indexes.query_map([table], |row| {
        let columns = row.get::<_, Option<String>>(2)?.unwrap_or_default();
        Ok(Index { unique: row.get(0)?, partial: row.get(1)?, columns })
    })?;
    let indexes = indexes.collect::<rusqlite::Result<Vec<_>>>()?;
    if let Some(problem) = of_columns(&columns, table).or_else(|| of_indexes(&indexes, table)) {
        return Ok(Some(problem));
    }
    // A column of a view has the collation of the table's column.
    let folds = format!(
        "with p as (select principal from \"{table}\" where false union all select 'a') \
         select principal = 'A' or principal = 'a ' from p"
    );
    let folds: bool = connection.query_row(&folds, [], |row| row.get(0))?;
    Ok(folds.then(|| {
        format!(
            "the collation of the column `principal` of the table `{table}` takes different names for equal; \
             rename the table, create it with the SQL of SqliteStore::schema, and copy the rows"
        )
    }))
}

fn of_columns(columns: &[Column], table: &str) -> Option<String> {
    for (name, kind) in COLUMNS {
        let Some(column) = columns.iter().find(|column| column.name == name && column.kind == kind) else {
            return Some(format!(
                "the table `{table}` has no column `{name}` of type {kind}; restore the tables, or choose another namespace"
            ));
        };
        if column.computed || (name == "principal" && column.not_null) {
            return Some(format!(
                "the column `{name}` of the table `{table}` does not take every value; \
                 rename the table, create it with the SQL of SqliteStore::schema, and copy the rows"
            ));
        }
    }
    let demanded = columns.iter().find(|column| {
        column.not_null && column.no_default && !column.computed && COLUMNS.iter().all(|(name, _)| *name != column.name)
    });
    demanded.map(|Column { name, .. }| {
        format!(
            "the table `{table}` has a column `{name}` that an insert must name; \
             run: alter table \"{table}\" drop column \"{name}\""
        )
    })
}

fn of_indexes(indexes: &[Index], table: &str) -> Option<String> {
    if !indexes.iter().any(|index| index.unique && !index.partial && index.columns == "key") {
        return Some(format!(
            "`key` alone is not the primary key of the table `{table}`, so two sessions could have one key; \
             run: create unique index \"{table}.key\" on \"{table}\" (key)"
        ));
    }
    let other = indexes.iter().find(|index| index.unique && !index.columns.split(',').any(|column| column == "key"));
    if let Some(Index { columns, .. }) = other {
        return Some(format!("the unique index on `{columns}` of the table `{table}` refuses sessions; drop it"));
    }
    let missing = [("purge_at", ""), ("principal", " where principal is not null")]
        .into_iter()
        .find(|(column, _)| !indexes.iter().any(|index| index.columns.split(',').next() == Some(column)));
    missing.map(|(column, suffix)| {
        format!(
            "the table `{table}` has no index on `{column}`; \
             run: create index \"{table}.{column}\" on \"{table}\" ({column}){suffix}"
        )
    })
}
