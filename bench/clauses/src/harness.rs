//! Harness that runs the suite over the peers' stores.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use peers::tower_sessions::MemoryStore;
use peers::{MokaStore, TimeOut, mongo, mysql, postgres, redis, sqlite};
use session_conformance::server::{self, Server};
use session_conformance::{Harness, Subject};
use session_core::{Error, ErrorKind, Result, Store};

use crate::adapter::{Adapter, id};
use crate::kind::Kind;
use crate::lifetimes::Lifetimes;
use crate::peer::{Peer, core_0_11, core_0_14};

/// Time-out stated to the suite, and set in the drivers as far as they support it.
const TIME_OUT: Duration = Duration::from_secs(5);

/// Time limit of a clause. Clauses wait for the clock: `create.race` for three minutes.
const CLAUSE_LIMIT: Duration = Duration::from_secs(600);

/// Target of the data.
enum Target {
    /// A store in this program, whose clones share its data.
    Here(Arc<dyn Peer>),
    Folder(tempfile::TempDir),
    Server(Box<Server>),
}

/// One kind of store, and its server.
pub(crate) struct Peers {
    kind: Kind,
    target: Target,
    limit: TimeOut,
    /// Lifetimes by namespace. The suite gives each clause its own namespace; the peers' stores have none.
    lifetimes: Mutex<HashMap<String, Arc<Lifetimes>>>,
}

impl Peers {
    /// Starts the server that the store needs, if any, and opens the store once. With `as_documented` it gets no time-out.
    pub(crate) async fn start(kind: Kind, as_documented: bool) -> anyhow::Result<Self> {
        let target = match kind {
            Kind::Memory => Target::Here(Arc::new(core_0_14::Of(MemoryStore::default()))),
            Kind::Moka => Target::Here(Arc::new(core_0_14::Of(MokaStore::new(None)))),
            Kind::Sqlite => Target::Folder(tempfile::tempdir()?),
            Kind::Postgres => Target::Server(Box::new(server::postgres().await?)),
            Kind::Mysql => Target::Server(Box::new(server::mysql().await?)),
            Kind::Mariadb => Target::Server(Box::new(server::mariadb().await?)),
            Kind::Redis => Target::Server(Box::new(server::redis().await?)),
            Kind::Valkey => Target::Server(Box::new(server::valkey().await?)),
            Kind::Mongo => Target::Server(Box::new(server::mongo().await?)),
        };
        let limit = (!as_documented).then_some(TIME_OUT);
        let peers = Self { kind, target, limit, lifetimes: Mutex::default() };
        peers.peer(None).await?;
        Ok(peers)
    }

    /// Opens the store with new connections, through the proxy if there is one.
    async fn peer(&self, proxy: Option<SocketAddr>) -> anyhow::Result<Arc<dyn Peer>> {
        let url = match &self.target {
            Target::Here(peer) => return Ok(Arc::clone(peer)),
            Target::Folder(folder) => format!("sqlite://{}", folder.path().join("peers.db").display()),
            Target::Server(server) => proxy.map_or_else(|| server.url().to_owned(), |proxy| server.url_through(proxy)),
        };
        let url = as_drivers_write_it(&url);
        let limit = self.limit;
        Ok(match self.kind {
            Kind::Memory | Kind::Moka | Kind::Sqlite => Arc::new(core_0_14::Of(sqlite(&url).await?)),
            Kind::Postgres => Arc::new(core_0_14::Of(postgres(&url, limit).await?)),
            Kind::Mysql | Kind::Mariadb => Arc::new(core_0_14::Of(mysql(&url, limit).await?)),
            Kind::Redis | Kind::Valkey => Arc::new(core_0_14::Of(redis(&url, limit).await?)),
            Kind::Mongo => Arc::new(core_0_11::Of(mongo(&url, limit).await?)),
        })
    }

    async fn adapter(&self, proxy: Option<SocketAddr>, namespace: &str) -> Result<Arc<dyn Store>> {
        let peer = self.peer(proxy).await.map_err(|error| {
            Error::new(ErrorKind::Unavailable, format!("the peer's store cannot be opened: {error:#}"))
        })?;
        let lifetimes = Arc::clone(self.lifetimes().entry(namespace.to_owned()).or_default());
        Ok(Arc::new(Adapter::new(peer, lifetimes, !matches!(self.target, Target::Here(_)))))
    }

    fn lifetimes(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Lifetimes>>> {
        self.lifetimes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Replaces the scheme of a URL by the one that drivers know.
fn as_drivers_write_it(url: &str) -> String {
    url.replacen("mariadb://", "mysql://", 1).replacen("valkey://", "redis://", 1)
}

#[async_trait]
impl Harness for Peers {
    async fn subject(&self) -> Result<Subject> {
        let (name, version) = self.kind.package();
        let subject = Subject::new(name, version).time_out(TIME_OUT).clause_limit(CLAUSE_LIMIT).without_namespaces();
        Ok(match &self.target {
            Target::Server(server) => subject.server(server.name()).address(server.address()),
            Target::Here(_) | Target::Folder(_) => subject,
        })
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>> {
        self.adapter(None, namespace).await
    }

    async fn open_through(&self, proxy: SocketAddr, namespace: &str) -> Result<Arc<dyn Store>> {
        self.adapter(Some(proxy), namespace).await
    }

    /// Deletes the keys of a clause. Some clauses use fixed keys, which an external server would still have in the next run.
    async fn clean(&self, namespace: &str) {
        let Some(lifetimes) = self.lifetimes().remove(namespace) else { return };
        let Ok(peer) = self.peer(None).await else { return };
        for key in lifetimes.keys() {
            // Errors do not matter here.
            let _ = peer.delete(id(&key)).await;
        }
    }
}
