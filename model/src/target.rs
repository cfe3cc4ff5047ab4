//! Store over which scenes are played.

use std::sync::Arc;

use session_conformance::model::Target;
use session_core::{Error, ErrorKind, Result};
use tempfile::TempDir;

use crate::options::Options;

/// A target, with the folder or server that must exist as long as it is used.
pub(crate) struct Opened {
    pub(crate) target: Target,
    _folder: Option<TempDir>,
    #[cfg(feature = "all")]
    _server: Option<session_conformance::server::Server>,
}

pub(crate) async fn open(options: &Options) -> Result<Opened> {
    if let Some(url) = &options.url {
        return over(url, None).await;
    }
    match &*options.store {
        "memory" => Ok(Opened {
            target: Target::Memory(|| Arc::new(session_store_memory::MemoryStore::new())),
            _folder: None,
            #[cfg(feature = "all")]
            _server: None,
        }),
        "file" => {
            let folder = folder()?;
            over(&format!("file:{}", folder.path().join("sessions").display()), Some(folder)).await
        }
        "sqlite" => {
            let folder = folder()?;
            over(&format!("sqlite:{}", folder.path().join("sessions.db").display()), Some(folder)).await
        }
        server => on_server(server).await,
    }
}

fn folder() -> Result<TempDir> {
    tempfile::tempdir().map_err(|error| Error::new(ErrorKind::Other, error.to_string()))
}

async fn over(url: &str, folder: Option<TempDir>) -> Result<Opened> {
    let store = session_store_any::connect(url).await?;
    Ok(Opened {
        target: Target::Store(store),
        _folder: folder,
        #[cfg(feature = "all")]
        _server: None,
    })
}

#[cfg(feature = "all")]
async fn on_server(name: &str) -> Result<Opened> {
    let Some((_, start)) = session_conformance::server::ALL.iter().find(|(known, _)| *known == name) else {
        return Err(Error::new(ErrorKind::Config, format!("there is no server `{name}`")));
    };
    let server = start().await?;
    let mut opened = over(server.url(), None).await?;
    opened._server = Some(server);
    Ok(opened)
}

#[cfg(not(feature = "all"))]
async fn on_server(name: &str) -> Result<Opened> {
    Err(Error::new(ErrorKind::Config, format!("`{name}` is not compiled in: it takes the feature `all`")))
}
