//! Reads the definition of a namespace's table, and checks all that the store relies on.
//!
//! A restore, a migration tool or a change by hand may leave a table on which the statements mean something else.

use session_core::Namespace;
use session_store_sqlx::rows::Columns as _;
use sqlx::mysql::MySqlRow;
use sqlx::{MySqlConnection, Row as _};

/// Columns of the store, with their definitions. A table may have more.
const COLUMNS: [(&str, &str); 7] = [
    ("key", "varbinary(32) not null"),
    ("version", "bigint not null"),
    ("created_at", "bigint not null"),
    ("expires_at", "bigint not null"),
    ("purge_at", "bigint not null"),
    ("principal", "varbinary(255) null"),
    ("data", "longblob not null"),
];

// The limits are there because `sql_select_limit` cuts results without one.

/// Query with a table name. Returns the table's kind and storage engine.
const KIND_OF: &str = "select cast(`table_type` as binary), cast(coalesce(`engine`, '-') as binary) \
    from `information_schema`.`tables` where `table_schema` = database() and `table_name` = ? limit 1";
/// Query with a table name. Returns the columns: name, type, whether they may be null, whether an insert has to name them, and
/// whether the server computes them.
const COLUMNS_OF: &str = "select cast(`column_name` as binary), cast(lower(`column_type`) as binary), \
    `is_nullable` = 'YES', \
    `column_default` is null and `is_nullable` = 'NO' and `extra` not like '%auto_increment%' and `extra` not like '%GENERATED%', \
    `extra` like '%VIRTUAL%' or `extra` like '%STORED%' or `extra` like '%PERSISTENT%' \
    from `information_schema`.`columns` where `table_schema` = database() and `table_name` = ? limit 5000";
/// Query with a table name. Returns the columns of the indexes: name of the index, whether it is unique, name of the column or
/// null, whether the index holds the whole column, and whether the optimizer may use the index.
const INDEXES_OF: &str = "select cast(`index_name` as binary), `non_unique` = 0, cast(`column_name` as binary), \
    `sub_part` is null, /*!80000 `is_visible` = 'YES' */ /*M!100600 `ignored` = 'NO' */ \
    from `information_schema`.`statistics` where `table_schema` = database() and `table_name` = ? \
    order by `index_name`, `seq_in_index` limit 5000";

/// Definition of a table.
#[derive(Debug)]
pub(crate) struct Table {
    kind: String,
    engine: String,
    columns: Vec<Column>,
    indexes: Vec<IndexPart>,
}

#[derive(Debug)]
struct Column {
    name: String,
    kind: String,
    nullable: bool,
    /// Whether an insert that does not name the column fails.
    demanded: bool,
    computed: bool,
}

/// Column of an index.
#[derive(Debug)]
struct IndexPart {
    index: String,
    unique: bool,
    /// Name of the column, or none for an expression.
    column: Option<String>,
    /// Whether the index holds the whole column.
    whole: bool,
    visible: bool,
}

impl Table {
    /// Reads the definition of the table of `namespace` in the connection's database. Returns `None` if there is no table.
    pub(crate) async fn read(connection: &mut MySqlConnection, namespace: &Namespace) -> sqlx::Result<Option<Self>> {
        let rows = sqlx::query(KIND_OF).bind(namespace.as_str()).fetch_all(&mut *connection).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let (kind, engine) = (text(row, 0)?.unwrap_or_default(), text(row, 1)?.unwrap_or_default());
        let columns = sqlx::query(COLUMNS_OF).bind(namespace.as_str()).fetch_all(&mut *connection).await?;
        let columns = columns.iter().map(|row| {
            let (name, kind) = (text(row, 0)?.unwrap_or_default(), text(row, 1)?.unwrap_or_default());
            Ok(Column { name, kind, nullable: is(row, 2)?, demanded: is(row, 3)?, computed: is(row, 4)? })
        });
        let columns = columns.collect::<sqlx::Result<_>>()?;
        let indexes = sqlx::query(INDEXES_OF).bind(namespace.as_str()).fetch_all(&mut *connection).await?;
        let indexes = indexes.iter().map(|row| {
            let index = text(row, 0)?.unwrap_or_default();
            let (unique, column, whole, visible) = (is(row, 1)?, text(row, 2)?, is(row, 3)?, is(row, 4)?);
            Ok(IndexPart { index, unique, column, whole, visible })
        });
        let indexes = indexes.collect::<sqlx::Result<_>>()?;
        Ok(Some(Self { kind, engine, columns, indexes }))
    }

    /// Checks all that the store relies on. Returns what is wrong, with the statement that mends it.
    pub(crate) fn check(&self, namespace: &Namespace) -> Result<(), String> {
        let table = format!("`{namespace}`");
        let alter = format!("alter table {table}");
        match self.kind.as_str() {
            "BASE TABLE" => {}
            // A removed session would stay in the history, and `system_versioning_asof` would bring it back.
            "SYSTEM VERSIONED" => {
                return Err(format!(
                    "the table {table} keeps old versions of rows; run: {alter} drop system versioning"
                ));
            }
            kind => {
                let kind = kind.to_lowercase();
                return Err(format!("{table} is a {kind}, not a table; choose another namespace"));
            }
        }
        for (name, definition) in COLUMNS {
            let Some(column) = self.columns.iter().find(|column| column.name == name) else {
                return Err(format!(
                    "the table {table} has no column `{name}` of type {definition}; restore the tables, or choose another namespace"
                ));
            };
            if !column.fits(definition) {
                return Err(format!(
                    "the table {table} has no column `{name}` of type {definition}; \
                     run: {alter} modify `{name}` {definition}"
                ));
            }
        }
        let known = |name: &str| COLUMNS.iter().any(|(column, _)| *column == name);
        if let Some(Column { name, .. }) = self.columns.iter().find(|column| column.demanded && !known(&column.name)) {
            return Err(format!(
                "the table {table} has a column `{name}` that an insert must name; give it a default value, or run: \
                 {alter} drop column `{name}`"
            ));
        }
        if self.engine != "InnoDB" {
            let engine = &self.engine;
            return Err(format!(
                "the table {table} uses the engine {engine}, which has no transactions; change it to InnoDB: \
                 {alter} engine = InnoDB"
            ));
        }
        self.check_indexes(&table, &alter)
    }

    fn check_indexes(&self, table: &str, alter: &str) -> Result<(), String> {
        if self.parts("PRIMARY").map(|part| part.is("key")).ne([true]) {
            let drop = if self.parts("PRIMARY").next().is_some() { "drop primary key, " } else { "" };
            return Err(format!(
                "`key` alone is not the primary key of the table {table}, so two sessions could have one key; \
                 run: {alter} {drop}add primary key (`key`)"
            ));
        }
        for name in ["purge_at", "principal"] {
            if !self.parts(name).next().is_some_and(|part| part.is(name)) {
                return Err(format!(
                    "the table {table} has no visible index `{name}` on `{name}`; run: {alter} add key `{name}` (`{name}`)"
                ));
            }
        }
        let other = self
            .indexes
            .iter()
            .find(|part| part.unique && !self.parts(&part.index).any(|part| part.column.as_deref() == Some("key")));
        if let Some(IndexPart { index, .. }) = other {
            return Err(format!(
                "the unique index `{index}` of the table {table} refuses sessions; run: {alter} drop key `{index}`"
            ));
        }
        Ok(())
    }

    /// Returns the columns of an index, in their order.
    fn parts<'a>(&'a self, index: &'a str) -> impl Iterator<Item = &'a IndexPart> {
        self.indexes.iter().filter(move |part| part.index == index)
    }
}

impl Column {
    /// Whether the column keeps what a column with this definition keeps. It may be longer.
    fn fits(&self, definition: &str) -> bool {
        let (kind, null) = definition.split_once(' ').unwrap_or((definition, ""));
        let size = |kind: &str| kind.split(['(', ')']).nth(1).and_then(|size| size.parse::<u32>().ok());
        let name = |kind: &str| kind.split('(').next().map(str::to_owned);
        let signed = !self.kind.contains("unsigned");
        let long = size(kind).is_none_or(|least| size(&self.kind).is_some_and(|size| size >= least));
        name(&self.kind) == name(kind) && signed && long && !self.computed && (self.nullable || null != "null")
    }
}

impl IndexPart {
    /// Whether the optimizer can find rows by `column` with this part of an index.
    fn is(&self, column: &str) -> bool {
        self.visible && self.whole && self.column.as_deref() == Some(column)
    }
}

fn text(row: &MySqlRow, at: usize) -> sqlx::Result<Option<String>> {
    let bytes: Option<&[u8]> = row.try_get_unchecked(at)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
}

fn is(row: &MySqlRow, at: usize) -> sqlx::Result<bool> {
    row.integer(at).map(|value| value != 0).map_err(|error| sqlx::Error::Decode(error.into()))
}
