//! One container, held by a thread of its own.
//!
//! Whoever drops a server may be on any runtime, on one that is shutting down, or on none: a clause has panicked,
//! a test's runtime ends, `main` returns. The container's removal must not depend on it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use testcontainers::core::{IntoContainerPort as _, WaitFor};
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{ContainerAsync, ContainerRequest, GenericImage, ImageExt as _, TestcontainersError};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use super::kind::Kind;

/// How long a server may take from its container's start to its first answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a container may take to start, once its image is there.
const STARTUP: Duration = Duration::from_secs(120);

/// How long the container's own address may take to let somebody connect.
const NEAR: Duration = Duration::from_millis(500);

/// How many ports are tried: the one that was free may have been taken when Docker asks for it.
const PORTS: usize = 5;

/// How much of a log goes into an error.
const LOG_LINES: usize = 15;

/// A running container of a server that has answered.
pub(super) struct Container {
    reached: Reached,
    /// Closed by dropping it, which ends the thread.
    orders: Option<mpsc::UnboundedSender<Order>>,
    thread: Option<JoinHandle<()>>,
}

/// Where the server listens.
#[derive(Clone)]
struct Reached {
    /// `host:port` of each node.
    addresses: Vec<String>,
    /// The address within the container's own network, if this machine is on it.
    direct: Option<String>,
}

/// What the thread is to do with the container, and where to say how it went.
struct Order {
    what: What,
    done: oneshot::Sender<Result<(), String>>,
}

enum What {
    Stop,
    Resume,
}

impl Container {
    /// Starts a container and waits for the server in it. A caller who stops waiting leaves none behind.
    pub(super) async fn start(kind: &'static Kind, image: &str, password: &str) -> Result<Self, String> {
        let (ready, answer) = oneshot::channel();
        let (orders, waiting) = mpsc::unbounded_channel();
        let (image, password) = (image.to_owned(), password.to_owned());
        let thread = thread::Builder::new()
            .name(format!("container {}", kind.name))
            .spawn(move || keep(kind, &image, &password, ready, waiting))
            .map_err(|error| error.to_string())?;
        let reached = answer.await.map_err(|_| "the thread that holds it has ended".to_owned())??;
        Ok(Self { reached, orders: Some(orders), thread: Some(thread) })
    }

    /// `host:port` of each node.
    pub(super) fn addresses(&self) -> &[String] {
        &self.reached.addresses
    }

    /// `host:port` without Docker's forwarding.
    pub(super) fn direct(&self) -> Option<&str> {
        self.reached.direct.as_deref()
    }

    pub(super) async fn stop(&self) -> Result<(), String> {
        self.order(What::Stop).await
    }

    pub(super) async fn resume(&self) -> Result<(), String> {
        self.order(What::Resume).await
    }

    async fn order(&self, what: What) -> Result<(), String> {
        let (done, answer) = oneshot::channel();
        let sent = self.orders.as_ref().is_some_and(|orders| orders.send(Order { what, done }).is_ok());
        let ended = || "the thread that holds it has ended".to_owned();
        if sent { answer.await.map_err(|_| ended())? } else { Err(ended()) }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.orders.take();
        if let Some(thread) = self.thread.take() {
            // It removes the container. A panic of its own has been printed.
            let _ = thread.join();
        }
    }
}

/// The thread: starts the container, does as it is told, and removes the container when nobody can tell it anything.
fn keep(
    kind: &'static Kind,
    image: &str,
    password: &str,
    ready: oneshot::Sender<Result<Reached, String>>,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(error.to_string()));
            return;
        }
    };
    runtime.block_on(async {
        // Somebody who stops waiting closes both channels.
        let begun = tokio::select! {
            begun = begin(kind, image, password) => begun,
            None = orders.recv() => return,
        };
        let (container, reached) = match begun {
            Ok(begun) => begun,
            Err(why) => {
                let _ = ready.send(Err(why));
                return;
            }
        };
        if ready.send(Ok(reached.clone())).is_err() {
            return;
        }
        while let Some(Order { what, done }) = orders.recv().await {
            let result = match what {
                What::Stop => container.stop().await.map_err(|error| words(&error)),
                What::Resume => resume(kind, &container, &reached.addresses, password).await,
            };
            let _ = done.send(result);
        }
    });
}

async fn begin(
    kind: &'static Kind,
    image: &str,
    password: &str,
) -> Result<(ContainerAsync<GenericImage>, Reached), String> {
    for attempt in 1.. {
        // Ports of our own choice stay the same when the server is stopped and started.
        let ports = free_ports(kind.nodes)?;
        match request(kind, image, password, &ports).start().await {
            Ok(container) => {
                let host = container.get_host().await.map_err(|error| words(&error))?.to_string();
                // Where `localhost` is IPv6 first, Docker may not listen.
                let host = if host == "localhost" { "127.0.0.1".to_owned() } else { host };
                let addresses: Vec<_> = ports.iter().map(|port| format!("{host}:{port}")).collect();
                answered(kind, &container, &addresses, password).await?;
                let direct = if kind.nodes == 1 { direct(kind, &container).await } else { None };
                return Ok((container, Reached { addresses, direct }));
            }
            Err(error) => {
                let why = words(&error);
                let taken = why.contains("already allocated") || why.contains("already in use");
                if !taken || attempt == PORTS {
                    return Err(why);
                }
            }
        }
    }
    unreachable!("the loop ends by returning")
}

/// The container's own address, if it is reached: Docker's engine may be on another machine, or in a virtual one.
async fn direct(kind: &Kind, container: &ContainerAsync<GenericImage>) -> Option<String> {
    let address = SocketAddr::new(container.get_bridge_ip_address().await.ok()?, kind.port);
    let connected = tokio::time::timeout(NEAR, TcpStream::connect(address)).await;
    matches!(connected, Ok(Ok(_))).then(|| address.to_string())
}

fn request(kind: &Kind, image: &str, password: &str, ports: &[u16]) -> ContainerRequest<GenericImage> {
    // A colon before the last slash belongs to a registry's port.
    let (name, tag) = image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).unwrap_or((image, "latest"));
    let listed = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(" ");
    let filled = |text: &str| text.replace("{password}", password).replace("{ports}", &listed);
    let mut request = GenericImage::new(name, tag).with_wait_for(WaitFor::Nothing).with_startup_timeout(STARTUP);
    for port in ports {
        let inside = if kind.nodes == 1 { kind.port } else { *port };
        request = request.with_mapped_port(*port, inside.tcp());
    }
    for (variable, value) in kind.environment {
        request = request.with_env_var(*variable, filled(value));
    }
    if !kind.command.is_empty() {
        request = request.with_cmd(kind.command.iter().map(|word| filled(word)));
    }
    // Whoever runs the tests removes by it what a killed test program has left.
    match std::env::var("CONFORMANCE_RUN") {
        Ok(run) if !run.is_empty() => request.with_label("conformance.run", run),
        _ => request,
    }
}

async fn resume(
    kind: &Kind,
    container: &ContainerAsync<GenericImage>,
    addresses: &[String],
    password: &str,
) -> Result<(), String> {
    container.start().await.map_err(|error| words(&error))?;
    answered(kind, container, addresses, password).await
}

/// Waits for the server; what it said for itself goes into the error.
async fn answered(
    kind: &Kind,
    container: &ContainerAsync<GenericImage>,
    addresses: &[String],
    password: &str,
) -> Result<(), String> {
    let why = tokio::select! {
        answer = kind.probe.all_answered(addresses, password, PATIENCE) => match answer {
            Ok(()) => return Ok(()),
            Err(why) => why,
        },
        why = ended(container) => why,
    };
    let mut log = container.stdout_to_vec().await.unwrap_or_default();
    log.extend(container.stderr_to_vec().await.unwrap_or_default());
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    let last = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n  ");
    Err(if last.is_empty() { why } else { format!("{why}; the end of its log:\n  {last}\n") })
}

/// Comes back when the container does not run any more.
async fn ended(container: &ContainerAsync<GenericImage>) -> String {
    loop {
        // sleep: Docker is asked now and then, and says nothing by itself.
        tokio::time::sleep(Duration::from_millis(500)).await;
        match container.is_running().await {
            Ok(true) => {}
            Ok(false) => return "the server has ended".to_owned(),
            Err(error) => return words(&error),
        }
    }
}

/// So many ports that are free, all held until the last is found: no two are the same.
fn free_ports(count: usize) -> Result<Vec<u16>, String> {
    let listeners: io::Result<Vec<_>> = (0..count).map(|_| TcpListener::bind("0.0.0.0:0")).collect();
    let ports = listeners.and_then(|all| all.iter().map(|one| Ok(one.local_addr()?.port())).collect());
    ports.map_err(|error| format!("no port is free: {error}"))
}

/// An error with its reasons.
fn words(error: &TestcontainersError) -> String {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        let text = error.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        source = error.source();
    }
    words
}
