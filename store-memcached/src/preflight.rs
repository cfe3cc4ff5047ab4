//! Checks of a server, before the first call is sent to it.

use std::collections::HashMap;

use session_core::{Error, ErrorKind, Result, Version};
use session_store_kit::{ClockCheck, MAX_DATA_LEN};

use crate::connection::Connection;
use crate::error::{self, NEEDS_LOGIN};
use crate::protocol::Reply;
use crate::schema::{Names, OVERHEAD};

/// Bytes of an item besides its value, its name included, which the server counts towards its limit.
const ITEM: usize = 512;

/// The limit of a server that does not tell its own: the default.
const DEFAULT_ITEM: usize = 1 << 20;

const NO_META: Error = Error::fixed(
    ErrorKind::Config,
    "the server does not know the meta commands, or not as the store needs them: it must be Memcached 1.6.10 or newer, without a proxy before it",
);

const NO_NUMBERS: Error = Error::fixed(
    ErrorKind::Config,
    "the server keeps no numbers for compare-and-set, so it would lose updates: start it without `-C`",
);

/// Checks a server. Returns the maximum length of a record's data.
pub(crate) async fn check(connection: &mut Connection, names: &Names) -> Result<usize> {
    // A server that asks for a password closes the connection after a shorter command.
    match connection.ask("version\r\n").await? {
        Reply::Line(line) if line.starts_with("VERSION ") => {}
        Reply::Error(line) if line.contains("unauthenticated") => return Err(NEEDS_LOGIN),
        Reply::Error(_) => return Err(NO_META),
        other => return Err(error::unexpected(&other)),
    }
    let settings = settings(connection).await;
    if settings.get("cas_enabled").is_some_and(|enabled| enabled != "yes") {
        return Err(NO_NUMBERS);
    }
    compare_and_set(connection, &names.probe(Version::random().as_i64())).await?;
    clock(connection).await;
    let item = settings.get("item_size_max").and_then(|size| size.parse().ok()).unwrap_or(DEFAULT_ITEM);
    Ok(item.saturating_sub(ITEM + OVERHEAD).clamp(1, MAX_DATA_LEN))
}

/// Returns the server's settings, or none if it does not tell them.
async fn settings(connection: &mut Connection) -> HashMap<String, String> {
    let lines = connection.list("stats settings\r\n").await.unwrap_or_default();
    let pair = |line: &String| {
        let (name, value) = line.strip_prefix("STAT ")?.split_once(' ')?;
        Some((name.to_owned(), value.to_owned()))
    };
    lines.iter().filter_map(pair).collect()
}

/// Tries each command that the store needs, on a name that belongs to no record.
async fn compare_and_set(connection: &mut Connection, name: &str) -> Result<()> {
    let add = format!("ms {name} 1 T60 ME\r\na\r\n");
    let (first, second) = (connection.ask(&add).await?, connection.ask(&add).await?);
    let number = match connection.ask(&format!("mg {name} v c\r\n")).await? {
        Reply::Value(_, number) => number,
        Reply::Error(line) if line.starts_with("SERVER_ERROR") => return Err(error::unexpected(&Reply::Error(line))),
        _ => return Err(NO_META),
    };
    let set = format!("ms {name} 1 T60 C{number}\r\nb\r\n");
    let (set, again) = (connection.ask(&set).await?, connection.ask(&set).await?);
    let stale = connection.ask(&format!("md {name} C{number}\r\n")).await?;
    let removed = connection.ask(&format!("md {name}\r\n")).await?;
    let gone = connection.ask(&format!("ms {name} 1 T60 C{number}\r\nc\r\n")).await?;
    let expected =
        [Reply::Done, Reply::NotStored, Reply::Done, Reply::Changed, Reply::Changed, Reply::Done, Reply::NotFound];
    let replies = [first, second, set, again, stale, removed, gone];
    if let Some(error) =
        replies.iter().find(|reply| matches!(reply, Reply::Error(line) if line.contains("out of memory")))
    {
        return Err(error::unexpected(error));
    }
    if replies == expected { Ok(()) } else { Err(NO_META) }
}

/// Compares the server's clock with this machine's.
async fn clock(connection: &mut Connection) {
    let check = ClockCheck::begin();
    let Ok(lines) = connection.list("stats\r\n").await else { return };
    let time = lines.iter().find_map(|line| line.strip_prefix("STAT time ")?.parse::<i64>().ok());
    if let Some(time) = time {
        check.end("the Memcached server", time.saturating_mul(1000));
    }
}
