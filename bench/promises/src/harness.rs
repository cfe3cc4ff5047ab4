//! The peers' stores for the suite.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use conformance::server::{self, Server};
use conformance::{Harness, Subject};
use peers::tower_sessions::MemoryStore;
use peers::{MokaStore, TimeOut, mongo, mysql, postgres, redis, sqlite};
use session_core::{Error, ErrorKind, Result, Store};

use crate::adapter::{Adapter, id};
use crate::kind::Kind;
use crate::lives::Lives;
use crate::peer::{Peer, core_0_11, core_0_14};

/// What the drivers are told, as far as they take it, and the suite in any case.
const TIME_OUT: Duration = Duration::from_secs(5);

/// A clause waits for its clock: `create.race` for three minutes.
const CLAUSE_LIMIT: Duration = Duration::from_secs(600);

/// Where the data is.
enum Place {
    /// A store that lives in this program: its clones share what they keep.
    Here(Arc<dyn Peer>),
    Folder(tempfile::TempDir),
    Server(Box<Server>),
}

/// One kind of store, and its server.
pub(crate) struct Peers {
    kind: Kind,
    place: Place,
    limit: TimeOut,
    /// By namespace, of which the suite gives each clause one; the peers' stores have none.
    lives: Mutex<HashMap<String, Arc<Lives>>>,
}

impl Peers {
    /// Starts what the store needs, and opens it once. `as_documented`, it is told of no time-out.
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

    /// A store of its own connections, through the proxy if there is one.
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

/// The schemes that drivers know.
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

    /// Some clauses have keys that are always the same: a server of somebody's own would have them still the next time.
    async fn clean(&self, namespace: &str) {
        let Some(lives) = self.lives().remove(namespace) else { return };
        let Ok(peer) = self.peer(None).await else { return };
        for key in lives.keys() {
            // Of no interest.
            let _ = peer.delete(id(&key)).await;
        }
    }
}
