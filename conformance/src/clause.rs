//! A clause: one promise with a name, and the code that tries to catch a store breaking it.

use std::fmt;

use futures_util::future::BoxFuture;
use session_core::Capabilities;

use crate::{Context, Subject};

/// One promise of the contract, and the program that checks it.
///
/// Names are stable. The promise is the documentation: `cargo xtask matrix` prints it beside the results.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Clause {
    /// `topic.promise`, as in `save.deleted`.
    pub name: &'static str,
    /// What a store or its harness must have for the clause to make sense. Without it the clause is ignored.
    pub requires: &'static [Need],
    /// The promise in one sentence.
    pub promise: &'static str,
    pub(crate) run: fn(Context) -> BoxFuture<'static, Verdict>,
}

impl Clause {
    /// The part of the name before the dot.
    pub fn topic(&self) -> &'static str {
        self.name.split('.').next().unwrap_or(self.name)
    }

    /// The first need that is not met, if any.
    pub fn unmet(&self, capabilities: &Capabilities, subject: &Subject) -> Option<Need> {
        self.requires.iter().copied().find(|need| !need.is_met(capabilities, subject))
    }
}

impl fmt::Debug for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clause").field("name", &self.name).field("requires", &self.requires).finish_non_exhaustive()
    }
}

/// A row of a topic's table.
macro_rules! clause {
    ($name:literal, [$($need:ident),*], $run:path, $promise:literal) => {
        $crate::clause::Clause {
            name: $name,
            requires: &[$($crate::clause::Need::$need),*],
            promise: $promise,
            run: |context| Box::pin($run(context)),
        }
    };
}
pub(crate) use clause;

/// What a clause needs of a store or of its harness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Need {
    /// [`Capabilities::durable`].
    Durable,
    /// [`Capabilities::by_principal`].
    ByPrincipal,
    /// The opposite of it: the operations must then refuse.
    NotByPrincipal,
    /// [`Capabilities::scan`].
    Scan,
    /// The opposite of it.
    NotScan,
    /// [`Capabilities::expires_itself`].
    ExpiresItself,
    /// The opposite of it: expired records stay until `purge` takes them.
    KeepsExpired,
    /// [`Capabilities::max_data_len`].
    MaxDataLen,
    /// The subject has namespaces.
    Namespaces,
    /// The subject has a server's address, so that a proxy can stand before it.
    Proxy,
}

impl Need {
    fn is_met(self, can: &Capabilities, subject: &Subject) -> bool {
        match self {
            Self::Durable => can.durable,
            Self::ByPrincipal => can.by_principal,
            Self::NotByPrincipal => !can.by_principal,
            Self::Scan => can.scan,
            Self::NotScan => !can.scan,
            Self::ExpiresItself => can.expires_itself,
            Self::KeepsExpired => !can.expires_itself,
            Self::MaxDataLen => can.max_data_len.is_some(),
            Self::Namespaces => subject.namespaces,
            Self::Proxy => subject.address.is_some(),
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Durable => "a durable store",
            Self::ByPrincipal => "sessions by principal",
            Self::NotByPrincipal => "a store without sessions by principal",
            Self::Scan => "scan",
            Self::NotScan => "a store without scan",
            Self::ExpiresItself => "a server that expires by itself",
            Self::KeepsExpired => "a server that keeps expired records until they are purged",
            Self::MaxDataLen => "a limit of the data's length",
            Self::Namespaces => "namespaces",
            Self::Proxy => "a server behind TCP",
        })
    }
}

/// How a clause ended: nothing to say, or what was promised and what was seen.
pub type Verdict = Result<(), Failure>;

/// What was promised and what was seen instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(String);

impl Failure {
    /// A failure with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}
