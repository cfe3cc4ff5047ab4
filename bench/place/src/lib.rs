//! The kinds of stores, and where their data is: on servers as the conformance suite starts them, or in a folder.

mod kind;

use anyhow::Result;
use conformance::server::{self, Server};

pub use kind::Kind;

/// A place for one kind of store, removed when dropped.
pub enum Place {
    Nowhere,
    Folder(tempfile::TempDir),
    Server(Server),
}

impl Place {
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
            Kind::Dynamo => server::dynamo().await?,
        }))
    }

    /// A URL for one subject: on the same server or disk as the others', apart from their data.
    pub fn url(&self, subject: &str) -> String {
        match self {
            Self::Nowhere => "memory://".into(),
            // A file each: SQLite has one writer per file.
            Self::Folder(folder) => {
                format!("sqlite://{}", folder.path().join(subject.replace('/', "-")).with_extension("db").display())
            }
            Self::Server(server) => as_drivers_write_it(&server.direct_url()),
        }
    }
}

/// The schemes that drivers know.
fn as_drivers_write_it(url: &str) -> String {
    for (ours, theirs) in [("mariadb://", "mysql://"), ("valkey://", "redis://")] {
        if let Some(rest) = url.strip_prefix(ours) {
            return format!("{theirs}{rest}");
        }
    }
    url.into()
}
