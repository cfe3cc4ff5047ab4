//! Store over which scenes are played.

use std::sync::Arc;

use session_conformance::model::Target;
use session_core::{Error, ErrorKind, Result, Store};
use tempfile::TempDir;

use crate::options::Options;

/// A target, with the folder or server that must exist as long as it is used.
pub(crate) struct Opened {
    pub(crate) target: Target,
    /// Two instances of the store, as of two processes. `None` for the memory of this one.
    pub(crate) instances: Option<[Arc<dyn Store>; 2]>,
    #[cfg(feature = "all")]
    trouble: Option<crate::trouble::Trouble>,
    _folder: Option<TempDir>,
    #[cfg(feature = "all")]
    _server: Option<Arc<session_conformance::server::Server>>,
}

pub(crate) async fn open(options: &Options) -> Result<Opened> {
    if options.trouble && (options.url.is_some() || ["memory", "file", "sqlite", "redb"].contains(&&*options.store)) {
        return config("`--trouble` needs a server that the suite starts: name it with `--store`");
    }
    if let Some(url) = &options.url {
        return over(url).await;
    }
    match &*options.store {
        "memory" if options.history => {
            let store: Arc<dyn Store> = Arc::new(session_store_memory::MemoryStore::new());
            Ok(Opened::at([Arc::clone(&store), store]))
        }
        "memory" => {
            let target = Target::Memory(|| Arc::new(session_store_memory::MemoryStore::new()));
            Ok(Opened::of(target, None))
        }
        "file" => {
            let folder = folder()?;
            let opened = over(&format!("file:{}", folder.path().join("sessions").display())).await?;
            Ok(Opened { _folder: Some(folder), ..opened })
        }
        "sqlite" => {
            let folder = folder()?;
            let opened = over(&format!("sqlite:{}", folder.path().join("sessions.db").display())).await?;
            Ok(Opened { _folder: Some(folder), ..opened })
        }
        "redb" => {
            let folder = folder()?;
            let opened = over(&format!("redb:{}", folder.path().join("sessions.redb").display())).await?;
            Ok(Opened { _folder: Some(folder), ..opened })
        }
        server => on_server(server, options).await,
    }
}

impl Opened {
    /// Returns the network that leads to the server, if it is troubled.
    pub(crate) fn network(&self) -> Option<&Arc<session_conformance::proxy::Proxy>> {
        #[cfg(feature = "all")]
        return self.trouble.as_ref().map(|trouble| &trouble.network);
        #[cfg(not(feature = "all"))]
        None
    }

    /// Checks that the trouble goes on, if it was asked for.
    ///
    /// # Errors
    /// [`ErrorKind::Other`] if the server could not be restarted. What is seen without it says nothing about the store.
    pub(crate) fn check_trouble(&self) -> Result<()> {
        #[cfg(feature = "all")]
        if self.trouble.as_ref().is_some_and(crate::trouble::Trouble::has_ended) {
            return Err(Error::fixed(ErrorKind::Other, "the server could not be restarted"));
        }
        Ok(())
    }

    fn at(instances: [Arc<dyn Store>; 2]) -> Self {
        Self::of(Target::Store(Arc::clone(&instances[0])), Some(instances))
    }

    fn of(target: Target, instances: Option<[Arc<dyn Store>; 2]>) -> Self {
        Self {
            target,
            instances,
            #[cfg(feature = "all")]
            trouble: None,
            _folder: None,
            #[cfg(feature = "all")]
            _server: None,
        }
    }
}

fn config<T>(text: &'static str) -> Result<T> {
    Err(Error::fixed(ErrorKind::Config, text))
}

fn folder() -> Result<TempDir> {
    tempfile::tempdir().map_err(|error| Error::new(ErrorKind::Other, error.to_string()))
}

async fn over(url: &str) -> Result<Opened> {
    Ok(Opened::at([session_store_any::connect(url).await?, session_store_any::connect(url).await?]))
}

#[cfg(feature = "all")]
async fn on_server(name: &str, options: &Options) -> Result<Opened> {
    use session_conformance::proxy::Proxy;
    use session_conformance::server;

    let Some((_, start)) = server::ALL.iter().find(|(known, _)| *known == name) else {
        return Err(Error::new(ErrorKind::Config, format!("there is no server `{name}`")));
    };
    let server = Arc::new(start().await?);
    if !options.trouble {
        return Ok(Opened { _server: Some(Arc::clone(&server)), ..over(server.url()).await? });
    }
    if server.addresses().len() > 1 {
        return config(
            "`--trouble` needs a single server, because a cluster names addresses that lead around the proxy",
        );
    }
    let network = Proxy::before(server.address()).await;
    let network = Arc::new(network.map_err(|error| Error::new(ErrorKind::Other, error.to_string()))?);
    // Short, because calls that have lost their server wait as long.
    let opened = over(&server::with(&server.url_through(network.address()), "timeout=2000")).await?;
    let trouble = crate::trouble::Trouble::begin(network, Arc::clone(&server), options.seed);
    Ok(Opened { trouble: Some(trouble), _server: Some(server), ..opened })
}

#[cfg(not(feature = "all"))]
async fn on_server(name: &str, _options: &Options) -> Result<Opened> {
    Err(Error::new(ErrorKind::Config, format!("`{name}` is not compiled in: it takes the feature `all`")))
}
