//! Clauses: promises with a name, each with a program that tries to catch a store breaking it.

use std::fmt;

use futures_util::future::BoxFuture;
use session_core::Capabilities;

use crate::context::Context;
use crate::failure::Verdict;
use crate::harness::Subject;

/// A promise of the store's contract, with the program that checks it.
///
/// Names are stable. The promise documents the clause: `cargo xtask matrix` prints it beside the results.
///
/// ```
/// let clause = session_conformance::clauses().find(|clause| clause.name == "save.deleted").unwrap();
/// assert_eq!(clause.topic(), "save");
/// assert!(clause.requires.is_empty());
/// println!("{}: {}", clause.name, clause.promise);
/// ```
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Clause {
    /// Name of the form `topic.promise`, such as `save.deleted`.
    pub name: &'static str,
    /// Requirements on the store or its harness. The clause is ignored if one of them is not met.
    pub requires: &'static [Need],
    /// The promise in one sentence.
    pub promise: &'static str,
    pub(crate) run: fn(Context) -> BoxFuture<'static, Verdict>,
}

impl Clause {
    /// Returns the part of the name before the dot.
    ///
    /// ```
    /// let topics: std::collections::BTreeSet<_> = session_conformance::clauses().map(|clause| clause.topic()).collect();
    /// assert!(topics.contains("purge"));
    /// ```
    pub fn topic(&self) -> &'static str {
        self.name.split('.').next().unwrap_or(self.name)
    }

    /// Returns the first requirement that is not met, if any.
    ///
    /// ```
    /// use session_conformance::{Need, Subject, clauses};
    /// use session_core::Capabilities;
    ///
    /// let subject = Subject::new("store-mine", "0.1.0");
    /// let clause = clauses().find(|clause| clause.requires == [Need::Durable]).unwrap();
    /// assert_eq!(clause.unmet(&Capabilities::new(), &subject), Some(Need::Durable));
    /// assert_eq!(clause.unmet(&Capabilities::new().durable(true), &subject), None);
    /// ```
    pub fn unmet(&self, capabilities: &Capabilities, subject: &Subject) -> Option<Need> {
        self.requires.iter().copied().find(|need| !need.is_met(capabilities, subject))
    }
}

impl fmt::Debug for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clause").field("name", &self.name).field("requires", &self.requires).finish_non_exhaustive()
    }
}

/// Creates a row of a topic's table.
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

/// A requirement of a clause on the store or its harness.
///
/// ```
/// assert_eq!(session_conformance::Need::Proxy.to_string(), "a server behind TCP");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Need {
    /// [`Capabilities::durable`].
    Durable,
    /// [`Capabilities::by_principal`].
    ByPrincipal,
    /// The store lacks [`Capabilities::by_principal`], so its operations must refuse.
    NotByPrincipal,
    /// [`Capabilities::scan`].
    Scan,
    /// The store lacks [`Capabilities::scan`], so the operation must refuse.
    NotScan,
    /// [`Capabilities::expires_itself`].
    ExpiresItself,
    /// The store lacks [`Capabilities::expires_itself`]: expired records stay until `purge` removes them.
    KeepsExpired,
    /// [`Capabilities::max_data_len`].
    MaxDataLen,
    /// The subject has namespaces.
    Namespaces,
    /// The subject has a server's address, so that a proxy can be put in front of it.
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
