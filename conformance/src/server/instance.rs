//! A server that answers, external or in a container.

use std::env;
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use session_core::{Error, ErrorKind, Result};

use super::container::Container;
use super::kind::ServerKind;
use super::url::{Url, with};

/// Time in which an external server must answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// A server that answers. If it was started for this value, it is removed when the value is dropped.
pub struct Server {
    kind: &'static ServerKind,
    url: Url,
    container: Option<Container>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("name", &self.kind.name).field("address", &self.address()).finish()
    }
}

/// Function that starts a server: one of this module's, as `|| Box::pin(server::postgres())`.
pub type Start = fn() -> Pin<Box<dyn Future<Output = Result<Server>> + Send>>;

impl Server {
    pub(super) async fn of(kind: &'static ServerKind) -> Result<Self> {
        Self::with(kind, &[]).await
    }

    /// Like [`of`](Self::of), with arguments after the command of the container.
    pub(super) async fn with(kind: &'static ServerKind, arguments: &[&str]) -> Result<Self> {
        if let Some((name, text)) = variable(kind, "URL") {
            if !arguments.is_empty() {
                let text =
                    format!("{name} names a server that is there already, and a test needs one with its own arguments");
                return Err(Error::new(ErrorKind::Unsupported, text));
            }
            let url = Url::parse(&text, kind.port)
                .map_err(|why| Error::new(ErrorKind::Config, format!("{name} is no URL of a server: {why}")))?;
            kind.probe.all_answered(url.addresses(), url.password(), PATIENCE).await.map_err(|why| {
                let text = format!("{} at {}, where {name} says that it is: {why}", kind.name, url.address());
                Error::new(ErrorKind::Unavailable, text)
            })?;
            return Ok(Self { kind, url, container: None });
        }
        Self::contained(kind, arguments, &format!("{:016x}", rand::random::<u64>())).await
    }

    /// Starts a server that passes its clients on to `upstream`, with the same user and password.
    ///
    /// The upstream's address follows the command of the container, as host and port.
    pub(super) async fn before(kind: &'static ServerKind, upstream: &Self) -> Result<Self> {
        if variable(kind, "URL").is_some() {
            return Self::with(kind, &[]).await;
        }
        let inside = upstream.container.as_ref().and_then(Container::inside);
        let Some((host, port)) = inside.and_then(|address| address.rsplit_once(':')) else {
            let text = format!("{} can only stand before a {} in a container", kind.name, upstream.name());
            return Err(Error::new(ErrorKind::Unsupported, text));
        };
        Self::contained(kind, &[host, port], upstream.password()).await
    }

    async fn contained(kind: &'static ServerKind, arguments: &[&str], password: &str) -> Result<Self> {
        let image = variable(kind, "IMAGE").map_or_else(|| kind.image.to_owned(), |(_, image)| image);
        let container = Container::start(kind, &image, password, arguments).await.map_err(|why| {
            let text = format!(
                "{} in a container of {image}: {why}. CONFORMANCE_{}_IMAGE names another image, \
                 CONFORMANCE_{}_URL a server that is there already",
                kind.name,
                kind.image_of.to_uppercase(),
                kind.name.to_uppercase(),
            );
            Error::new(ErrorKind::Unavailable, text)
        })?;
        let url = kind.url(container.addresses(), password);
        let url = Url::parse(&url, kind.port).map_err(|why| Error::new(ErrorKind::Other, why))?;
        Ok(Self { kind, url, container: Some(container) })
    }

    /// Returns the name of the server's kind: `postgres`, `redis`, …
    pub fn name(&self) -> &'static str {
        self.kind.name
    }

    /// Returns the URL for stores, with the password.
    pub fn url(&self) -> &str {
        self.url.text()
    }

    /// Returns the URL with the container's own address if this machine can reach it, otherwise the same as
    /// [`url`](Self::url).
    ///
    /// Use it for measurements, because Docker's port forwarding takes more processor time than a fast server.
    /// After a [`stop`](Self::stop) the address may belong to another container.
    ///
    /// ```no_run
    /// # async fn example() -> session_core::Result<()> {
    /// let server = session_conformance::server::redis().await?;
    /// println!("measure the store on {}", server.direct_url());
    /// # Ok(())
    /// # }
    /// ```
    pub fn direct_url(&self) -> String {
        let direct = self.container.as_ref().and_then(Container::direct);
        direct.map_or_else(|| self.url().to_owned(), |address| self.url.at(address))
    }

    /// Returns the [`url`](Self::url) of one of several nodes, by its position in [`addresses`](Self::addresses).
    ///
    /// # Panics
    /// If there is no such node.
    pub fn url_of(&self, node: usize) -> String {
        self.url.at(&self.addresses()[node])
    }

    /// Returns the [`url`](Self::url) with these options appended.
    ///
    /// ```no_run
    /// # async fn example() -> session_core::Result<()> {
    /// let server = session_conformance::server::mongo().await?;
    /// println!("open the store on {}", server.url_with("namespace=mine&timeout=500"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn url_with(&self, options: &str) -> String {
        with(self.url(), options)
    }

    /// Returns `host:port` for [`Subject::address`](crate::Subject::address), of the first node if there are several.
    pub fn address(&self) -> &str {
        self.url.address()
    }

    /// Returns `host:port` of each node.
    pub fn addresses(&self) -> &[String] {
        self.url.addresses()
    }

    /// Returns the [`url`](Self::url) with the addresses of the server or of all its nodes replaced by a proxy's.
    pub fn url_through(&self, proxy: SocketAddr) -> String {
        self.url.at(&proxy.to_string())
    }

    /// Returns the URL's password for [`Subject::secret`](crate::Subject::secret), or an empty text if there is none.
    /// Every container has a random one, so that a text does not contain it by accident.
    pub fn password(&self) -> &str {
        self.url.password()
    }

    /// Stops the server, like an operator. Data on its disk remains for [`start`](Self::start).
    ///
    /// # Errors
    /// If the server is external, or its container does not stop.
    pub async fn stop(&self) -> Result<()> {
        self.own("be stopped")?.stop().await.map_err(|why| self.failed("stopping", &why))
    }

    /// Starts the server again at its old address, and waits until it answers.
    ///
    /// # Errors
    /// If the server is external, or it does not answer.
    pub async fn start(&self) -> Result<()> {
        self.own("be started")?.resume().await.map_err(|why| self.failed("starting", &why))
    }

    /// Runs a command in the server's container and waits for its end.
    ///
    /// ```no_run
    /// # async fn example() -> session_core::Result<()> {
    /// let server = session_conformance::server::redis().await?;
    /// server.run(&["sh", "-c", "kill -STOP $(pidof redis-server)"]).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the server is external, or the command fails.
    pub async fn run(&self, command: &[&str]) -> Result<()> {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        self.own("run a command")?.run(command).await.map_err(|why| self.failed("running a command beside", &why))
    }

    fn own(&self, what: &str) -> Result<&Container> {
        self.container.as_ref().ok_or_else(|| {
            let text = format!("{} at {} is not ours: it cannot {what} here", self.name(), self.address());
            Error::new(ErrorKind::Unsupported, text)
        })
    }

    fn failed(&self, what: &str, why: &str) -> Error {
        Error::new(ErrorKind::Unavailable, format!("{what} {}: {why}", self.name()))
    }
}

/// Returns an environment variable about a kind of server, with its name, if it is set.
fn variable(kind: &ServerKind, what: &str) -> Option<(String, String)> {
    let of = if what == "IMAGE" { kind.image_of } else { kind.name };
    let name = format!("CONFORMANCE_{}_{what}", of.to_uppercase());
    env::var(&name).ok().filter(|value| !value.is_empty()).map(|value| (name, value))
}
