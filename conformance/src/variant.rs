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

/// A user with the least rights that the documentation of the store grants.
pub const LEAST_RIGHTS: Variant = Variant {
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
        let all = [TRANSACTION_POOLER, SILENT_POOLER, SESSION_POOLER, NAMED_SERVER, SOCKET_FILE, LEAST_RIGHTS];
        for Variant { breaks, spares } in all {
            for (name, _) in breaks.iter().chain(spares) {
                assert!(clauses().any(|clause| *name == clause.name || *name == clause.topic()), "{name}");
            }
        }
    }
}
