//! Kinds of stores, and the server or folder for the data of each. Servers are started as for the conformance suite.

mod kind;

use anyhow::Result;
use session_conformance::server::{self, Server};

pub use kind::Kind;

/// Server or folder for the data of one kind of store, removed when dropped.
pub enum Target {
    Nowhere,
    Folder(tempfile::TempDir),
    Server(Server),
}

impl Target {
    pub async fn of(kind: Kind) -> Result<Self> {
        Ok(Self::Server(match kind {
            Kind::Memory => return Ok(Self::Nowhere),
            Kind::Sqlite => return Ok(Self::Folder(tempfile::tempdir()?)),
            Kind::Postgres => server::postgres().await?,
            Kind::Mysql => server::mysql().await?,
            Kind::Mariadb => server::mariadb().await?,
            Kind::Redis => server::redis().await?,
            Kind::Valkey => server::valkey().await?,
            Kind::Mongo => server::mongo().await?,
            Kind::Nats => server::nats().await?,
            Kind::Dynamo => server::dynamo().await?,
        }))
    }

    /// Returns a URL for one subject, on the same server or disk as the other subjects. On SQLite each subject has its own file.
    /// An earlier state of this project has a namespace of its own, because its layout may be another.
    pub fn url(&self, subject: &str) -> String {
        match self {
            Self::Nowhere => "memory://".into(),
            // A file for each subject, because SQLite has one writer per file.
            Self::Folder(folder) => {
                format!("sqlite://{}", folder.path().join(subject.replace('/', "-")).with_extension("db").display())
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
