//! Calls of every command that the store needs, in a way that changes nothing.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use redis::{Cmd, ErrorKind as Driver, RedisError, ServerErrorKind, Value};
use session_core::{Error, ErrorKind, Namespace, Version};
use tracing::warn;

use crate::error::{Moment, TOO_OLD, driver_error, is_starting};
use crate::failure::Failure;
use crate::keys::Keys;
use crate::node::Node;

/// Hash of a script that no server knows.
const NO_SCRIPT: &str = "0000000000000000000000000000000000000000";

/// Maximum number of names tried until one is in a slot that the node serves.
#[cfg(feature = "cluster")]
const NAMES: usize = 1 << 20;

/// Commands to try on a node, each with the rule that allows it.
pub(crate) struct Probes(Vec<(&'static str, Cmd)>);

impl Probes {
    /// Returns the commands of a store on a single server.
    pub(crate) fn single(keys: &Keys) -> Self {
        let (record, index) = (keys.record_probe(&suffix()), keys.index_probe(&suffix()));
        let mut probes = Self::both(keys, &record, &index);
        probes.add("mget", &["MGET"], &[&record]);
        probes
    }

    /// Returns the commands of a store on a node of a cluster. `serves` says whether the node serves a key.
    #[cfg(feature = "cluster")]
    pub(crate) fn cluster(keys: &Keys, serves: impl Fn(&[u8]) -> bool) -> Self {
        let served = |name: &dyn Fn(&str) -> Vec<u8>| (0..NAMES).map(|_| name(&suffix())).find(|name| serves(name));
        let record = served(&|suffix| keys.record_probe(suffix));
        let index = served(&|suffix| keys.index_probe(suffix));
        let (Some(record), Some(index)) = (record, index) else { return Self(Vec::new()) };
        let slot = crate::cluster::slot(&record).to_string();
        let mut probes = Self::both(keys, &record, &index);
        probes.add("exists", &["EXISTS"], &[&record]);
        probes.add("zscore", &["ZSCORE"], &[&index, b"x"]);
        probes.add("cluster|nodes", &["CLUSTER", "NODES"], &[]);
        probes.add("cluster|getkeysinslot", &["CLUSTER", "GETKEYSINSLOT", &slot, "0"], &[]);
        // The next command on the connection is not redirected, which is harmless: this node serves its key.
        probes.add("asking", &["ASKING"], &[]);
        probes
    }

    fn both(keys: &Keys, record: &[u8], index: &[u8]) -> Self {
        let mut probes = Self(Vec::new());
        // No key of these names exists, so `XX` and an empty `SETRANGE` store nothing.
        probes.add("get", &["GET"], &[record]);
        probes.add("getrange", &["GETRANGE"], &[record, b"0", b"0"]);
        probes.add("setrange", &["SETRANGE"], &[record, b"0", b""]);
        probes.add("set", &["SET"], &[record, b"", b"XX", b"PXAT", b"1"]);
        probes.add("pexpireat", &["PEXPIREAT"], &[record, b"1"]);
        probes.add("unlink", &["UNLINK"], &[record]);
        probes.add("eval", &["EVAL", "return 0", "1"], &[record]);
        probes.add("evalsha", &["EVALSHA", NO_SCRIPT, "1"], &[record]);
        probes.add("zadd", &["ZADD"], &[index, b"XX", b"1", b"x"]);
        probes.add("zrem", &["ZREM"], &[index, b"x"]);
        probes.add("zrange", &["ZRANGE"], &[index, b"-inf", b"+inf", b"BYSCORE"]);
        probes.add("zremrangebyscore", &["ZREMRANGEBYSCORE"], &[index, b"-inf", b"1"]);
        probes.add("pexpiretime", &["PEXPIRETIME"], &[index]);
        probes.add("time", &["TIME"], &[]);
        probes.add("scan", &["SCAN", "0", "COUNT", "1", "MATCH"], &[&keys.pattern()]);
        probes
    }

    fn add(&mut self, rule: &'static str, words: &[&str], arguments: &[&[u8]]) {
        let mut command = Cmd::new();
        for word in words {
            command.arg(word);
        }
        for argument in arguments {
            command.arg(*argument);
        }
        self.0.push((rule, command));
    }

    /// Sends all commands at once.
    pub(crate) async fn run(&self, node: &Node) -> Result<Findings, Failure> {
        let answers = join_all(self.0.iter().map(|(_, command)| node.send(command))).await;
        let mut findings = Findings::default();
        for ((rule, _), answer) in self.0.iter().zip(answers) {
            findings.note(rule, answer)?;
        }
        Ok(findings)
    }
}

/// Returns the end of a name that no key has. It is shorter than the key of a record.
fn suffix() -> String {
    format!("{:016x}", Version::random().as_i64())
}

/// What is missing on a server.
#[derive(Default)]
pub(crate) struct Findings {
    /// Commands that the server does not know.
    unknown: BTreeSet<&'static str>,
    /// Commands that the user may not call.
    forbidden: BTreeSet<&'static str>,
    /// Whether the user may not access the store's keys.
    keys: bool,
}

impl Findings {
    fn note(&mut self, rule: &'static str, answer: Result<Value, Failure>) -> Result<(), Failure> {
        use ServerErrorKind::{Ask, BusyLoading, CrossSlot, Moved, NoPerm, NoScript, ResponseError, TryAgain};
        let error = match answer {
            Ok(_) => return Ok(()),
            Err(Failure::Server(error)) => error,
            Err(failure) => return Err(failure),
        };
        let text = error.detail().unwrap_or_default();
        match error.kind() {
            Driver::Server(NoPerm) if text.contains("to access") => self.keys = true,
            Driver::Server(NoPerm) => _ = self.forbidden.insert(rule),
            Driver::Server(ResponseError) if text.starts_with("unknown ") => _ = self.unknown.insert(rule),
            // A server without the option `BYSCORE` or `PXAT`.
            Driver::Server(ResponseError) if text.starts_with("syntax error") => return Err(Failure::NotSent(TOO_OLD)),
            Driver::Server(NoScript) => {}
            // The slot has moved since the node was chosen.
            Driver::Server(Moved | Ask | TryAgain) if cfg!(feature = "cluster") && rule != "get" => {}
            Driver::Server(BusyLoading | Moved | CrossSlot) => return Err(Failure::Server(error)),
            _ if is_starting(&error) || !takes_no_writes_now(&error) => return Err(Failure::Server(error)),
            _ => {}
        }
        Ok(())
    }

    /// Adds what another node lacks.
    #[cfg(feature = "cluster")]
    pub(crate) fn add(&mut self, other: Self) {
        self.unknown.extend(other.unknown);
        self.forbidden.extend(other.forbidden);
        self.keys |= other.keys;
    }

    /// Returns an error that names all that is missing, with the remedy.
    pub(crate) fn verdict(&self, namespace: &Namespace) -> Result<(), Failure> {
        let mut lacks = Vec::new();
        if self.unknown.contains("pexpiretime") && self.unknown.len() == 1 {
            return Err(Failure::NotSent(TOO_OLD));
        }
        if !self.unknown.is_empty() {
            let names: Vec<_> = self.unknown.iter().map(|name| name.to_uppercase().replace('|', " ")).collect();
            lacks.push(format!(
                "the server does not know {}: remove `rename-command` for them from its configuration",
                names.join(", ")
            ));
        }
        if self.keys || !self.forbidden.is_empty() {
            let mut rules: Vec<_> = self.forbidden.iter().map(|name| format!("+{name}")).collect();
            rules.extend(self.keys.then(|| format!("~{namespace}:*")));
            lacks.push(format!("the server's user lacks rights: add `{}` with `ACL SETUSER`", rules.join(" ")));
        }
        if lacks.is_empty() {
            return Ok(());
        }
        Err(Failure::NotSent(Error::new(ErrorKind::Config, lacks.join("; "))))
    }
}

/// Whether the server takes no writes at present. A store can be opened on it, to read, and it may take writes again.
fn takes_no_writes_now(error: &RedisError) -> bool {
    let shown = driver_error(error, Moment::Opening);
    if shown.kind() == ErrorKind::Unavailable {
        warn!(error = %shown, "the store was opened, but the server does not take writes");
        return true;
    }
    shown.kind() == ErrorKind::Corrupt
}
