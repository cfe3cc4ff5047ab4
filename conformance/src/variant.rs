//! Surroundings of a store that can break some promises and leave the others as they are.

use crate::Clause;

/// Surroundings of a store that is proved without them as well, such as a pooler before its server.
///
/// A normal run checks the clauses that the surroundings can break. With `CONFORMANCE_FULL` set it checks all of them.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// Topics or names of clauses, each with what the surroundings change about them.
    breaks: &'static [(&'static str, &'static str)],
    /// Long clauses of these topics, each with the reason why a normal run needs none of them.
    spares: &'static [(&'static str, &'static str)],
}

const DATA: &str = "values and answers travel as text, in statements of another form";
const OPENING: &str = "the server is asked and the tables are made in other messages";
const SETTINGS: &str = "limits are set in another way, and connections are lost in other places";

/// A pooler that runs each transaction in another session of the server.
pub const TRANSACTION_POOLER: Variant = Variant {
    breaks: &[
        ("create", DATA),
        ("load", DATA),
        ("save", DATA),
        ("touch", DATA),
        ("delete", DATA),
        ("purge", DATA),
        ("expiry", DATA),
        ("principal", DATA),
        ("scan", DATA),
        ("namespace", OPENING),
        ("open", OPENING),
        ("close", SETTINGS),
        ("fault", SETTINGS),
        ("cancel", SETTINGS),
        ("redacted", "errors of the pooler, and of statements whose text holds their values"),
        ("history.cuts", "the pooler loses a connection at another moment than the store"),
    ],
    spares: &[
        ("save.counter", "`save.race` and `history.cuts` meet the same conflicts"),
        ("delete.beats-writers", "`save.waits-for-delete` meets the same lock"),
        ("touch.burst", "`save.burst` sends the same batches"),
    ],
};

/// A pooler of transactions that drops the settings of a connection without a word, beside [`TRANSACTION_POOLER`].
pub const SILENT_POOLER: Variant = Variant {
    breaks: &[
        ("open", "the pooler is found out by what it drops, not by what it refuses"),
        ("create.exists", DATA),
        ("save.race", "batches of several stores share the sessions of the server"),
        ("fault.black-hole", SETTINGS),
    ],
    spares: &[],
};

/// A pooler that gives each connection a session of the server.
pub const SESSION_POOLER: Variant = Variant {
    breaks: &[
        ("open", "settings are made after the connection, not in its first message"),
        ("create.round-trip", "statements are prepared through the pooler"),
        ("save.race", "statements are prepared through the pooler"),
        ("fault", SETTINGS),
        ("cancel", SETTINGS),
    ],
    spares: &[],
};

/// Several servers, each of which keeps its share of the records.
pub const SEVERAL_SERVERS: Variant = Variant {
    breaks: &[
        ("create", ELSEWHERE),
        ("save", ELSEWHERE),
        ("touch", ELSEWHERE),
        ("delete", ELSEWHERE),
        ("limits", "each server has its own limit"),
        ("open", "several servers are checked"),
        ("close", "connections to several servers are given back"),
        ("fault", "each server has connections of its own"),
        ("runtime", "each server has connections of its own"),
        ("history", ELSEWHERE),
    ],
    spares: &[],
};

const ELSEWHERE: &str = "two instances could look for a record on different servers";

const CERTIFIED: &str = "a node refuses a write only when it commits, and two instances may be on different nodes";
const BEHIND: &str = "a node may be behind the one that has confirmed a write";

/// Servers that each take writes and have all the records, such as the nodes of a Galera cluster. The instances of a store are on
/// different ones.
pub const SEVERAL_PRIMARIES: Variant = Variant {
    breaks: &[
        ("create", CERTIFIED),
        ("load.burst", BEHIND),
        ("save", CERTIFIED),
        ("touch", CERTIFIED),
        ("delete", CERTIFIED),
        ("purge", CERTIFIED),
        ("principal", BEHIND),
        ("scan", BEHIND),
        ("namespace", "tables are made by one node for all"),
        ("open", "instances are opened on different nodes at once"),
        ("close", "connections to several nodes are given back"),
        ("fault", "a node that is not reached is left for another"),
        ("session", BEHIND),
        ("history", BEHIND),
    ],
    spares: &[],
};

const ADDRESS: &str = "the server's address is read from the URL, resolved, and named by errors";

/// A server that is reached by an IPv6 address.
pub const IPV6: Variant = Variant {
    breaks: &[
        ("open", ADDRESS),
        ("redacted", ADDRESS),
        ("create.round-trip", "what is sent on such a connection arrives"),
        ("fault.outage", "connections are made again to the same address"),
    ],
    spares: &[],
};

const PROXY: &str =
    "the proxy ends connections at other moments than the server, and takes them when the server does not";

/// A proxy that passes TCP connections on, such as a load balancer, and ends those that are idle.
pub const TCP_PROXY: Variant = Variant {
    breaks: &[
        ("open", "the proxy takes a connection before the server does"),
        ("create.round-trip", "what is sent through the proxy arrives"),
        ("save.race", "batches of several stores share the proxy"),
        ("close", PROXY),
        ("fault", PROXY),
        ("cancel", PROXY),
        ("runtime.idle", "the proxy ends connections that are idle"),
        ("history.cuts", PROXY),
    ],
    spares: &[],
};

const RIGHTS: &str = "a statement may need a right that the role lacks";

/// A role that may do no more than the store's README grants, on tables that another role has made.
///
/// One clause for each kind of statement is enough, because a right is missing for all callers or for none.
pub const LEAST_RIGHTS: Variant = Variant {
    breaks: &[
        ("create.exists", RIGHTS),
        ("create.over-expired", RIGHTS),
        ("create.race", RIGHTS),
        ("load.unknown", RIGHTS),
        ("load.burst", RIGHTS),
        ("save.replaces", RIGHTS),
        ("save.stale", RIGHTS),
        ("save.expired", RIGHTS),
        ("save.race", RIGHTS),
        ("save.burst", RIGHTS),
        ("touch.extends", RIGHTS),
        ("touch.conflict", RIGHTS),
        ("touch.burst", RIGHTS),
        ("delete.removes", RIGHTS),
        ("delete.stale", RIGHTS),
        ("delete.beats-writers", RIGHTS),
        ("purge.only-expired", RIGHTS),
        ("purge.bounded", RIGHTS),
        ("principal", RIGHTS),
        ("scan.complete", RIGHTS),
        ("namespace.apart", RIGHTS),
        ("open.again", RIGHTS),
    ],
    spares: &[("principal.delete-all-races", "`principal.delete-all` sends the same statements")],
};

const PLACE: &str = "connections are opened in another way, and lost in other places";
const FOUND: &str = "the server is found first, by its name, and its answers are believed only while it is still named";

/// A server that others name, such as the master of Redis Sentinel.
pub const NAMED_SERVER: Variant = Variant {
    breaks: &[
        ("open", FOUND),
        ("close", "the task that asks for the name ends with the store"),
        ("create.round-trip", FOUND),
        ("load.burst", FOUND),
        ("save.burst", FOUND),
        ("save.race", FOUND),
        ("fault", PLACE),
        ("cancel", "a call that is dropped is no longer in flight, and what asks for the name ends"),
        ("runtime", "what asks for the name belongs to a runtime"),
        ("redacted", "errors about who names the server, and a second password"),
        ("history.cuts", PLACE),
    ],
    spares: &[],
};

/// A server that is reached by a socket file.
pub const SOCKET_FILE: Variant = Variant {
    breaks: &[
        ("open", PLACE),
        ("create.round-trip", PLACE),
        ("load.burst", PLACE),
        ("save.burst", PLACE),
        ("fault", PLACE),
        ("cancel", PLACE),
        ("redacted", "the password stands at another place of the URL"),
    ],
    spares: &[],
};

const RIGHT: &str = "a command that the user may not call, or a key that the user may not access";

/// A user who may call no more commands, on no more keys, than the README of the store grants.
pub const LEAST_COMMANDS: Variant = Variant {
    breaks: &[
        ("open", RIGHT),
        ("create", RIGHT),
        ("load", RIGHT),
        ("save", RIGHT),
        ("touch", RIGHT),
        ("delete", RIGHT),
        ("purge", RIGHT),
        ("expiry", RIGHT),
        ("principal", RIGHT),
        ("scan", RIGHT),
        ("namespace", RIGHT),
        ("limits", "the server may not be asked for its limits"),
        ("redacted", "errors about rights"),
    ],
    spares: &[
        ("save.counter", "`save.race` sends the same commands"),
        ("delete.beats-writers", "`save.waits-for-delete` sends the same commands"),
    ],
};

impl Variant {
    /// Whether a normal run checks `clause`.
    ///
    /// ```
    /// use session_conformance::clauses;
    /// use session_conformance::variant::TRANSACTION_POOLER;
    ///
    /// let checked = |topic: &str| clauses().filter(|clause| clause.topic() == topic).any(|clause| TRANSACTION_POOLER.can_break(clause));
    /// assert!(checked("save"));
    /// assert!(!checked("session"), "a manager does the same over every store");
    /// ```
    pub fn can_break(&self, clause: &Clause) -> bool {
        let names = |row: &(&str, &str)| row.0 == clause.name || row.0 == clause.topic();
        self.breaks.iter().any(names) && !self.spares.iter().any(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clauses;

    #[test]
    fn every_row_of_a_table_selects_a_clause() {
        let poolers = [TRANSACTION_POOLER, SILENT_POOLER, SESSION_POOLER];
        let others = [
            IPV6,
            TCP_PROXY,
            LEAST_RIGHTS,
            LEAST_COMMANDS,
            SEVERAL_SERVERS,
            NAMED_SERVER,
            SOCKET_FILE,
            SEVERAL_PRIMARIES,
        ];
        for Variant { breaks, spares } in poolers.into_iter().chain(others) {
            for (name, _) in breaks.iter().chain(spares) {
                assert!(clauses().any(|clause| *name == clause.name || *name == clause.topic()), "{name}");
            }
        }
    }
}
