//! Harness that runs the suite over the peers' stores.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use session_conformance::server::{self, Server};
use session_conformance::{Harness, Subject};
use peers::tower_sessions::MemoryStore;
use peers::{MokaStore, TimeOut, mongo, mysql, postgres, redis, sqlite};
use session_core::{Error, ErrorKind, Result, Store};

use crate::adapter::{Adapter, id};
use crate::kind::Kind;
use crate::lives::Lives;
use crate::peer::{Peer, core_0_11, core_0_14};

/// Time-out stated to the suite, and set in the drivers as far as they support it.
const TIME_OUT: Duration = Duration::from_secs(5);

/// Time limit of a clause. Clauses wait for the clock: `create.race` for three minutes.
const CLAUSE_LIMIT: Duration = Duration::from_secs(600);

/// Place of the data.
enum Place {
    /// A store in this program, whose clones share its data.
    Here(Arc<dyn Peer>),
    Folder(tempfile::TempDir),
    Server(Box<Server>),
}

/// One kind of store, and its server.
pub(crate) struct Peers {
    kind: Kind,
    place: Place,
    limit: TimeOut,
    /// Lives by namespace. The suite gives each clause its own namespace; the peers' stores have none.
    lives: Mutex<HashMap<String, Arc<Lives>>>,
}

impl Peers {
    /// Starts the server that the store needs, if any, and opens the store once. With `as_documented` it gets no time-out.
    pub(crate) async fn start(kind: Kind, as_documented: bool) -> anyhow::Result<Self> {
        let place = match kind {
            Kind::Memory => Place::Here(Arc::new(core_0_14::Of(MemoryStore::default()))),
            Kind::Moka => Place::Here(Arc::new(core_0_14::Of(MokaStore::new(None)))),
            Kind::Sqlite => Place::Folder(tempfile::tempdir()?),
            Kind::Postgres => Place::Server(Box::new(server::postgres().await?)),
            Kind::Mysql => Place::Server(Box::new(server::mysql().await?)),
            Kind::Mariadb => Place::Server(Box::new(server::mariadb().await?)),
            Kind::Redis => Place::Server(Box::new(server::redis().await?)),
            Kind::Valkey => Place::Server(Box::new(server::valkey().await?)),
            Kind::Mongo => Place::Server(Box::new(server::mongo().await?)),
        };
        let limit = (!as_documented).then_some(TIME_OUT);
        let peers = Self { kind, place, limit, lives: Mutex::default() };
        peers.peer(None).await?;
        Ok(peers)
    }

    /// Opens the store with new connections, through the proxy if there is one.
    async fn peer(&self, proxy: Option<SocketAddr>) -> anyhow::Result<Arc<dyn Peer>> {
        let url = match &self.place {
            Place::Here(peer) => return Ok(Arc::clone(peer)),
            Place::Folder(folder) => format!("sqlite://{}", folder.path().join("peers.db").display()),
            Place::Server(server) => proxy.map_or_else(|| server.url().to_owned(), |proxy| server.url_through(proxy)),
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
        let lives = Arc::clone(self.lives().entry(namespace.to_owned()).or_default());
        Ok(Arc::new(Adapter::new(peer, lives, !matches!(self.place, Place::Here(_)))))
    }

    fn lives(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Lives>>> {
        self.lives.lock().unwrap_or_else(PoisonError::into_inner)
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
        Ok(match &self.place {
            Place::Server(server) => subject.server(server.name()).address(server.address()),
            Place::Here(_) | Place::Folder(_) => subject,
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
        let Some(lives) = self.lives().remove(namespace) else { return };
        let Ok(peer) = self.peer(None).await else { return };
        for key in lives.keys() {
            // Errors do not matter here.
            let _ = peer.delete(id(&key)).await;
        }
    }
}
