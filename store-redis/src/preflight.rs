//! Checks of a server when a store is opened.

use redis::{Cmd, ErrorKind as Driver, ServerErrorKind, Value};
use session_core::{Error, ErrorKind, Namespace, Result};
use session_store_kit::ClockCheck;
use tracing::{debug, warn};

use crate::connection::{Failure, Node};
use crate::error::CLUSTER;
#[cfg(feature = "cluster")]
use crate::error::NO_CLUSTER;
use crate::router::Topology;

/// Oldest supported major release, the first with `PEXPIRETIME`. Valkey reports the release of Redis that it is compatible with.
const OLDEST: u32 = 7;

/// Refuses servers that cannot keep the store's promises, and warns about those that may not.
pub(crate) async fn check(topology: &Topology, namespace: &Namespace) -> Result<()> {
    match topology {
        Topology::Single(node) => {
            check_node(node, namespace, |mode| if mode == "cluster" { Err(CLUSTER) } else { Ok(()) }).await
        }
        #[cfg(feature = "cluster")]
        Topology::Cluster(cluster) => {
            cluster.discover().await?;
            for member in cluster.members() {
                let mode = |mode: &str| if mode == "cluster" { Ok(()) } else { Err(NO_CLUSTER) };
                check_node(&member.node, namespace, mode).await?;
            }
            Ok(())
        }
    }
}

async fn check_node(node: &Node, namespace: &Namespace, fits: impl Fn(&str) -> Result<(), &'static str>) -> Result<()> {
    let clock = ClockCheck::begin();
    let Some(server) = info(node, "server").await? else { return Ok(()) };
    if let Some(micros) = field(&server, "server_time_usec").and_then(|micros| micros.parse::<i64>().ok()) {
        let _ = clock.end("the server", micros / 1000);
    }
    let major = field(&server, "redis_version").and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    if major.is_some_and(|major| major < OLDEST) {
        return Err(Error::fixed(ErrorKind::Config, "the server is too old: Redis 7.0 or later, or Valkey, is needed"));
    }
    if let Some(mode) = field(&server, "redis_mode").or_else(|| field(&server, "server_mode")) {
        fits(mode).map_err(|why| Error::fixed(ErrorKind::Config, why))?;
    }
    let Some(memory) = info(node, "memory").await? else { return Ok(()) };
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

/// Returns a section of `INFO`, or `None` if the server's user may not call it.
async fn info(node: &Node, section: &str) -> Result<Option<String>> {
    let mut command = Cmd::new();
    command.arg("INFO").arg(section);
    match node.send(&command).await {
        Ok(Value::BulkString(bytes)) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Ok(Value::VerbatimString { text, .. }) => Ok(Some(text)),
        Ok(_) => Ok(None),
        Err(Failure::Server(error)) if error.kind() == Driver::Server(ServerErrorKind::NoPerm) => {
            debug!("the server's user may not call INFO: the release and maxmemory-policy are not checked");
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
