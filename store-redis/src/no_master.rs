//! Reasons why the sentinels name no master, or one that cannot be used.

use session_core::{Error, ErrorKind};

use crate::error::Moment;

/// Reason why the sentinels name no master, or one that cannot be used.
#[derive(Clone)]
pub(crate) struct NoMaster {
    mends: Mends,
    message: &'static str,
    source: Option<Error>,
}

/// What ends the reason.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mends {
    /// The operator.
    Operator,
    /// The end of an outage.
    Time,
    /// A failover, which the sentinels are expected to make.
    Failover,
    /// A failover, or a server that can be reached again.
    Reach,
}

const fn mistake(message: &'static str) -> NoMaster {
    NoMaster { mends: Mends::Operator, message, source: None }
}

pub(crate) const SILENT: NoMaster =
    NoMaster { mends: Mends::Time, message: "no sentinel answers: check the sentinels' addresses", source: None };

/// Reason after the sentinels have named a server that says that it is a replica.
pub(crate) const NAMED_REPLICA: NoMaster = NoMaster {
    mends: Mends::Failover,
    message: "the server that the sentinels name is a replica: a failover is under way",
    source: None,
};

pub(crate) const UNREACHABLE: NoMaster = NoMaster {
    mends: Mends::Reach,
    message: "the server that the sentinels name cannot be reached: check the address that it announces (replica-announce-ip), \
              or map it with `node_at`",
    source: None,
};

pub(crate) const UNKNOWN: NoMaster =
    mistake("the sentinels know no master of this name: check the name, which is the path of the URL");

pub(crate) const CREDENTIALS: NoMaster = mistake(
    "a sentinel rejected the user or password: check the options `sentinel-user` and `sentinel-password`, which are not those of the master",
);

pub(crate) const NO_RIGHT: NoMaster = mistake(
    "the sentinel's user lacks a right: add `+sentinel|get-master-addr-by-name +sentinel|master` with `ACL SETUSER` on each sentinel",
);

pub(crate) const NO_SENTINEL: NoMaster = mistake(
    "the address is not that of a sentinel: name the sentinels, whose port is usually 26379, or use a URL that begins with redis://",
);

impl NoMaster {
    /// Whether the reason may pass soon.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self.mends, Mends::Failover | Mends::Reach)
    }

    /// Whether the next attempt may do better at once.
    pub(crate) fn is_of_the_network(&self) -> bool {
        self.mends == Mends::Reach
    }

    pub(crate) fn error(self, moment: Moment) -> Error {
        let kind = if self.mends == Mends::Operator { moment.kind() } else { ErrorKind::Unavailable };
        let error = Error::fixed(kind, self.message);
        self.source.iter().fold(error, |error, source| error.with_source(source))
    }

    /// Adds the driver's reason.
    pub(crate) fn with_source(self, source: Error) -> Self {
        Self { source: Some(source), ..self }
    }
}
