//! Checks of a server when a store is opened.

use redis::{Cmd, ErrorKind as Driver, ServerErrorKind, Value};
use session_core::{Error, ErrorKind, Namespace, Result};
use session_store_kit::ClockCheck;
use tracing::{debug, warn};

use crate::error::{CLUSTER, SENTINEL, TOO_OLD, UNEXPECTED_REPLY};
use crate::failure::Failure;
use crate::keys::Keys;
use crate::node::Node;
use crate::primary::text;
#[cfg(feature = "cluster")]
use crate::probes::Findings;
use crate::probes::Probes;
use crate::record::UNREFUSED_LEN;
use crate::router::Topology;

/// Oldest supported major release, the first with `PEXPIRETIME`. Valkey reports the release of Redis that it is compatible with.
const OLDEST: u32 = 7;

/// A store's namespace on the server.
pub(crate) struct Place<'a> {
    pub(crate) namespace: &'a Namespace,
    pub(crate) keys: &'a Keys,
}

/// Refuses servers that cannot keep the store's promises, and warns about those that may not.
///
/// Returns the length of the longest argument that every node accepts, or `None` if a node does not tell.
pub(crate) async fn check(topology: &Topology, place: &Place<'_>) -> Result<Option<usize>, Failure> {
    match topology {
        Topology::Single(node) => {
            let longest = check_node(node, place, Expected::Single).await?;
            Probes::single(place.keys).run(node).await?.verdict(place.namespace)?;
            Ok(longest)
        }
        #[cfg(feature = "cluster")]
        Topology::Cluster(cluster) => {
            cluster.discover().await?;
            let mut longest = Some(usize::MAX);
            let mut findings = Findings::default();
            for member in cluster.members() {
                // `None` is less than any length.
                longest = longest.min(check_node(&member.node, place, Expected::Cluster).await?);
                let probes = Probes::cluster(place.keys, |key| cluster.serves(&member, key));
                findings.add(probes.run(&member.node).await?);
            }
            findings.verdict(place.namespace)?;
            Ok(longest)
        }
    }
}

/// Kind of server that the URL or the builder names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Single,
    #[cfg(feature = "cluster")]
    Cluster,
}

fn refused(message: &'static str) -> Failure {
    Failure::NotSent(Error::fixed(ErrorKind::Config, message))
}

/// Checks what a node reports about itself. Returns the length of the longest argument that it accepts, if it tells.
async fn check_node(node: &Node, place: &Place<'_>, expected: Expected) -> Result<Option<usize>, Failure> {
    let clock = ClockCheck::begin();
    if let Some(server) = info(node, "server").await? {
        if let Some(micros) = field(&server, "server_time_usec").and_then(|micros| micros.parse::<i64>().ok()) {
            let _ = clock.end("the server", micros / 1000);
        }
        let major = field(&server, "redis_version").and_then(|version| version.split('.').next()?.parse::<u32>().ok());
        if major.is_some_and(|major| major < OLDEST) {
            return Err(Failure::NotSent(TOO_OLD));
        }
        match field(&server, "redis_mode").or_else(|| field(&server, "server_mode")) {
            Some("sentinel") => return Err(refused(SENTINEL)),
            Some("cluster") if expected == Expected::Single => return Err(refused(CLUSTER)),
            #[cfg(feature = "cluster")]
            Some(mode) if expected == Expected::Cluster && mode != "cluster" => {
                return Err(refused(crate::error::NO_CLUSTER));
            }
            _ => {}
        }
    }
    // For a server whose greeting does not tell its role.
    let replication = info(node, "replication").await?;
    if expected == Expected::Single && replication.is_some_and(|info| field(&info, "role") == Some("slave")) {
        return Err(Failure::Replica);
    }
    let mut longest = longest_argument(node).await?;
    let Some(memory) = info(node, "memory").await? else { return Ok(longest) };
    let maxmemory = field(&memory, "maxmemory").unwrap_or("?");
    if let Some(policy) = field(&memory, "maxmemory_policy").filter(|policy| *policy != "noeviction") {
        warn!(
            namespace = %place.namespace,
            policy,
            maxmemory,
            "when its memory is full the server removes live sessions; `maxmemory-policy noeviction` keeps them"
        );
    }
    if let Ok(limit @ 1..) = maxmemory.parse() {
        longest = longest.map(|longest| longest.min(limit));
    }
    Ok(longest.map(|longest| longest.max(UNREFUSED_LEN)))
}

/// Returns the length of the longest argument that the server accepts, or `None` if it does not tell.
async fn longest_argument(node: &Node) -> Result<Option<usize>, Failure> {
    let mut command = Cmd::new();
    command.arg("CONFIG").arg("GET").arg("proto-max-bulk-len").arg("client-query-buffer-limit");
    let pairs = match node.send(&command).await {
        Ok(Value::Map(pairs)) => pairs,
        Ok(_) => return Err(Failure::NotSent(UNEXPECTED_REPLY)),
        Err(failure) if is_forbidden(&failure) => {
            debug!("the server's user may not call CONFIG GET: the largest record is one that every server accepts");
            return Ok(None);
        }
        Err(failure) => return Err(failure),
    };
    let limits = pairs.iter().filter_map(|(name, value)| {
        let limit: usize = text(value)?.parse().ok()?;
        // The query buffer also holds the beginning of the next command.
        Some(if text(name)? == "proto-max-bulk-len" { limit } else { limit.saturating_sub(64 << 10) })
    });
    Ok(limits.min())
}

/// Returns a section of `INFO`, or `None` if the server does not tell.
async fn info(node: &Node, section: &str) -> Result<Option<String>, Failure> {
    let mut command = Cmd::new();
    command.arg("INFO").arg(section);
    match node.send(&command).await {
        Ok(answer) => Ok(text(&answer).map(str::to_owned)),
        Err(failure) if is_forbidden(&failure) => {
            debug!("the server's user may not call INFO: the release and maxmemory-policy are not checked");
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

/// Whether the server does not know the command, or the user may not call it.
fn is_forbidden(failure: &Failure) -> bool {
    use ServerErrorKind::{NoPerm, ResponseError};
    matches!(failure, Failure::Server(error) if matches!(error.kind(), Driver::Server(NoPerm | ResponseError)))
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
