//! Kinds of stores, and the server or folder for the data of each. Servers are started as for the conformance suite.

mod kind;

use anyhow::Result;
use session_conformance::server::{self, Server};

pub use kind::Kind;

/// Server or folder for the data of one kind of store, removed when dropped.
pub enum Target {
    Nowhere,
    /// A folder with a file for each subject, because a file has one writer.
    Folder(Kind, tempfile::TempDir),
    Server(Server),
}

impl Target {
    pub async fn of(kind: Kind) -> Result<Self> {
        Ok(Self::Server(match kind {
            Kind::Memory => return Ok(Self::Nowhere),
            Kind::Sqlite | Kind::SqliteFull | Kind::Redb => return Ok(Self::Folder(kind, tempfile::tempdir()?)),
            Kind::Postgres => server::postgres().await?,
            Kind::Mysql => server::mysql().await?,
            Kind::Mariadb => server::mariadb().await?,
            Kind::Redis => server::redis().await?,
            Kind::Valkey => server::valkey().await?,
            // Enough for all that is created, because a server with full memory drops sessions.
            Kind::Memcached => server::memcached_with(&["-m", "12288"]).await?,
            Kind::Mongo => server::mongo().await?,
            Kind::Nats => server::nats().await?,
            Kind::Dynamo => server::dynamo().await?,
        }))
    }

    /// Returns a URL for one subject, on the same server or disk as the other subjects.
    /// An earlier state of this project has a namespace of its own, because its layout may be another.
    pub fn url(&self, subject: &str) -> String {
        match self {
            Self::Nowhere => "memory://".into(),
            Self::Folder(kind, folder) => {
                let path = folder.path().join(subject.replace('/', "-")).with_extension("db");
                let (scheme, options) = match kind {
                    Kind::Redb => ("redb", ""),
                    Kind::SqliteFull => ("sqlite", "?synchronous=full"),
                    _ => ("sqlite", ""),
                };
                format!("{scheme}://{}{options}", path.display())
            }
            Self::Server(server) if subject.starts_with("before/") => {
                server::with(&as_drivers_write_it(&server.direct_url()), "namespace=before")
            }
            Self::Server(server) => as_drivers_write_it(&server.direct_url()),
        }
    }
}

/// Replaces the scheme of a URL by the one that drivers know.
fn as_drivers_write_it(url: &str) -> String {
    for (ours, theirs) in [("mariadb://", "mysql://"), ("valkey://", "redis://")] {
        if let Some(rest) = url.strip_prefix(ours) {
            return format!("{theirs}{rest}");
        }
    }
    url.into()
}
