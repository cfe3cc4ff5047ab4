//! A socket file that leads to a server.

use std::io;
use std::thread::{self, JoinHandle};

use session_core::Version;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpStream, UnixListener};
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// A socket file before a server, which may be in a container with its own files. Everything passes it as it is.
///
/// It has a thread of its own, because a clause may stop the runtime that opened a store.
pub(crate) struct Socket {
    path: String,
    over: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Socket {
    /// Listens on a new socket file.
    pub(crate) fn before(server: &str) -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("session-store-{:x}.sock", Version::random().as_i64()));
        let path =
            path.into_os_string().into_string().map_err(|_| io::Error::other("the folder's name is not UTF-8"))?;
        let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
        let listener = {
            let _entered = runtime.enter();
            UnixListener::bind(&path)?
        };
        let (over, ended) = oneshot::channel::<()>();
        let server = server.to_owned();
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                // The sender is dropped at the end.
                tokio::select! { () = relay(&listener, &server) => {} _ = ended => {} }
            });
        });
        Ok(Self { path, over: Some(over), thread: Some(thread) })
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }
}

async fn relay(listener: &UnixListener, server: &str) {
    let mut connections = JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        let server = server.to_owned();
        connections.spawn(async move {
            let mut server = TcpStream::connect(server).await?;
            server.set_nodelay(true)?;
            copy_bidirectional(&mut client, &mut server).await
        });
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.over.take();
        if let Some(thread) = self.thread.take() {
            // Its own panic has been printed already.
            let _ = thread.join();
        }
        // An error is ignored, because the folder is for temporary files.
        let _ = std::fs::remove_file(&self.path);
    }
}
