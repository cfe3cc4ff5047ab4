//! Size of a store's data, as the server reports it.

use anyhow::{Context, Result, bail};
use sqlx::Connection as _;
use targets::{Kind, Target};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Returns the bytes of the whole database at `target`; `None` if they are not reported.
///
/// Indexes and the server's own data are included. The difference before and after filling is the size of the sessions.
pub async fn bytes(kind: Kind, target: &Target) -> Result<Option<u64>> {
    let url = target.url("scale");
    match kind {
        // Memory is counted by an allocator, in a separate program. DynamoDB Local keeps its tables in the memory of a Java machine,
        // and NATS counts messages without its own files.
        Kind::Memory | Kind::Dynamo | Kind::Nats => Ok(None),
        Kind::Sqlite | Kind::SqliteFull => sqlite(&url).map(Some),
        Kind::Redb => redb(&url).map(Some),
        Kind::Postgres => postgres(&url).await.map(Some),
        Kind::Mysql | Kind::Mariadb => mysql(&url).await.map(Some),
        Kind::Redis | Kind::Valkey => redis(&url).await.map(Some),
        Kind::Memcached => memcached(&url).await.map(Some),
        Kind::Mongo => mongo(&url).await.map(Some),
    }
}

/// Returns the bytes of the database's pages. The write-ahead log does not count, because it is emptied repeatedly.
fn sqlite(url: &str) -> Result<u64> {
    let connection = rusqlite::Connection::open(file(url, "sqlite://")?)?;
    let sql = "select page_count * page_size from pragma_page_count(), pragma_page_size()";
    let bytes: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(bytes.try_into()?)
}

/// Returns the bytes of the file, in which free pages remain.
fn redb(url: &str) -> Result<u64> {
    Ok(std::fs::metadata(file(url, "redb://")?)?.len())
}

fn file<'u>(url: &'u str, scheme: &str) -> Result<&'u str> {
    let rest = url.strip_prefix(scheme).context("not a file")?;
    Ok(rest.split('?').next().unwrap_or(rest))
}

async fn postgres(url: &str) -> Result<u64> {
    let mut connection = sqlx::PgConnection::connect(url).await?;
    let bytes: i64 =
        sqlx::query_scalar("select pg_database_size(current_database())").fetch_one(&mut connection).await?;
    Ok(bytes.try_into()?)
}

async fn mysql(url: &str) -> Result<u64> {
    let mut connection = sqlx::MySqlConnection::connect(url).await?;
    // Otherwise MySQL reports cached figures, up to a day old. MariaDB has no such variable and needs none.
    let _ = sqlx::query("set session information_schema_stats_expiry = 0").execute(&mut connection).await;
    sqlx::query("analyze table sessions").fetch_all(&mut connection).await?;
    let bytes: u64 = sqlx::query_scalar(
        "select cast(sum(data_length + index_length) as unsigned) from information_schema.tables where table_schema = database()",
    )
    .fetch_one(&mut connection)
    .await?;
    Ok(bytes)
}

async fn redis(url: &str) -> Result<u64> {
    let mut connection = ::redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let info: String = ::redis::cmd("INFO").arg("memory").query_async(&mut connection).await?;
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    used.context("the server does not tell its memory")?.trim().parse().context("its memory is no number")
}

/// Returns the bytes of all items with their headers, which is what counts for the server's limit.
async fn memcached(url: &str) -> Result<u64> {
    let (login, rest) = url.strip_prefix("memcached://").and_then(|rest| rest.split_once('@')).context("no login")?;
    let mut stream = BufReader::new(TcpStream::connect(rest.split('/').next().unwrap_or(rest)).await?);
    let login = login.replacen(':', " ", 1);
    let asked = format!("set login 0 0 {}\r\n{login}\r\nstats\r\n", login.len());
    stream.get_mut().write_all(asked.as_bytes()).await?;
    let mut lines = stream.lines();
    while let Some(line) = lines.next_line().await?.filter(|line| line != "END") {
        if let Some(bytes) = line.strip_prefix("STAT bytes ") {
            return bytes.trim().parse().context("the items' bytes are no number");
        }
    }
    bail!("the server does not tell the items' bytes")
}

async fn mongo(url: &str) -> Result<u64> {
    let client = mongodb::Client::with_uri_str(url).await?;
    let database = client.default_database().context("the URL names no database")?;
    let stats = database.run_command(mongodb::bson::doc! { "dbStats": 1 }).await?;
    let number = |name: &str| {
        let value = stats.get(name).with_context(|| format!("the server does not tell its {name}"))?;
        value.as_f64().or(value.as_i64().map(|n| n as f64)).or(value.as_i32().map(f64::from)).context("no number")
    };
    Ok((number("storageSize")? + number("indexSize")?) as u64)
}
