//! What is asked of a server when a store is opened.

use redis::{Cmd, ErrorKind as Driver, ServerErrorKind, Value};
use session_core::{Error, ErrorKind, Namespace, Result};
use tracing::{debug, warn};

use crate::error::CLUSTER;
use crate::link::{Failure, Pool};

/// The first release with `PEXPIRETIME`. Valkey gives a release of Redis here that it is compatible with.
const OLDEST: u32 = 7;

/// Refuses a server that cannot keep the promises, and tells of one that may not.
pub(crate) async fn check(pool: &Pool, namespace: &Namespace) -> Result<()> {
    let Some(server) = info(pool, "server").await? else { return Ok(()) };
    let major = field(&server, "redis_version").and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    if major.is_some_and(|major| major < OLDEST) {
        return Err(Error::fixed(ErrorKind::Config, "the server is older than Redis 7.0"));
    }
    if field(&server, "redis_mode") == Some("cluster") {
        return Err(Error::fixed(ErrorKind::Config, CLUSTER));
    }
    let Some(memory) = info(pool, "memory").await? else { return Ok(()) };
    if let Some(policy) = field(&memory, "maxmemory_policy").filter(|policy| *policy != "noeviction") {
        let maxmemory = field(&memory, "maxmemory").unwrap_or("?");
        warn!(
            %namespace,
            policy,
            maxmemory,
            "when its memory is full the server removes live sessions; `maxmemory-policy noeviction` keeps them"
        );
    }
    Ok(())
}

/// A section of `INFO`, or none where the server's user may not ask.
async fn info(pool: &Pool, section: &str) -> Result<Option<String>> {
    let mut command = Cmd::new();
    command.arg("INFO").arg(section);
    match pool.send(&command).await {
        Ok(Value::BulkString(bytes)) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Ok(Value::VerbatimString { text, .. }) => Ok(Some(text)),
        Ok(_) => Ok(None),
        Err(Failure::Server(error)) if error.kind() == Driver::Server(ServerErrorKind::NoPerm) => {
            debug!("the server's user may not call INFO: neither release nor maxmemory-policy are checked");
            Ok(None)
        }
        Err(failure) => Err(failure.into()),
    }
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn fields_are_found_by_their_whole_names() {
        let info = "# Memory\r\nmaxmemory:0\r\nmaxmemory_human:0B\r\nmaxmemory_policy:allkeys-lru\r\n";
        assert_eq!(field(info, "maxmemory"), Some("0"));
        assert_eq!(field(info, "maxmemory_policy"), Some("allkeys-lru"));
        assert_eq!(field(info, "memory"), None);
    }
}
