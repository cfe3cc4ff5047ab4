//! A container, held by its own thread.
//!
//! A server may be dropped on any runtime, on one that shuts down, or outside a runtime: a clause panics, a test's
//! runtime ends, or `main` returns. The thread removes the container in all of these cases.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use testcontainers::core::{CmdWaitFor, ExecCommand, IntoContainerPort as _, WaitFor};
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{ContainerAsync, ContainerRequest, GenericImage, ImageExt as _, TestcontainersError};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use super::kind::ServerKind;

/// Time limit from a container's start to the server's first answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Time limit for the start of a container, once its image is available.
const STARTUP: Duration = Duration::from_secs(120);

/// Time limit for a connection to the container's own address.
const NEAR: Duration = Duration::from_millis(500);

/// Number of attempts to find a port. Another program may take a free port before Docker does.
const PORTS: usize = 5;

/// Number of lines of a log that an error includes.
const LOG_LINES: usize = 15;

/// A running container whose server has answered.
pub(super) struct Container {
    reached: Addresses,
    /// Orders for the thread. Dropping the sender ends the thread.
    commands: Option<mpsc::UnboundedSender<Command>>,
    thread: Option<JoinHandle<()>>,
}

/// Addresses of the server.
#[derive(Clone)]
struct Addresses {
    /// `host:port` of each node.
    addresses: Vec<String>,
    /// Address within the container's own network, for other containers.
    inside: Option<String>,
    /// The same, if this machine can reach it.
    direct: Option<String>,
}

/// A command for the thread, with the channel for its result.
struct Command {
    what: CommandKind,
    done: oneshot::Sender<Result<(), String>>,
}

enum CommandKind {
    Stop,
    Resume,
    Run(Vec<String>),
}

impl Container {
    /// Starts a container and waits for the server in it. If the caller stops waiting, the container is removed.
    ///
    /// `arguments` are appended to the kind's command.
    pub(super) async fn start(
        kind: &'static ServerKind,
        image: &str,
        password: &str,
        arguments: &[&str],
    ) -> Result<Self, String> {
        let (ready, answer) = oneshot::channel();
        let (commands, waiting) = mpsc::unbounded_channel();
        let begin = Begin {
            kind,
            image: image.to_owned(),
            password: password.to_owned(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        };
        let thread = thread::Builder::new()
            .name(format!("container {}", kind.name))
            .spawn(move || keep(&begin, ready, waiting))
            .map_err(|error| error.to_string())?;
        let reached = answer.await.map_err(|_| "the thread that holds it has ended".to_owned())??;
        Ok(Self { reached, commands: Some(commands), thread: Some(thread) })
    }

    /// Returns `host:port` of each node.
    pub(super) fn addresses(&self) -> &[String] {
        &self.reached.addresses
    }

    /// Returns the address in Docker's network, where other containers reach the server.
    pub(super) fn inside(&self) -> Option<&str> {
        self.reached.inside.as_deref()
    }

    /// Returns `host:port` without Docker's port forwarding.
    pub(super) fn direct(&self) -> Option<&str> {
        self.reached.direct.as_deref()
    }

    pub(super) async fn stop(&self) -> Result<(), String> {
        self.command(CommandKind::Stop).await
    }

    pub(super) async fn resume(&self) -> Result<(), String> {
        self.command(CommandKind::Resume).await
    }

    /// Runs a command in the container.
    pub(super) async fn run(&self, command: Vec<String>) -> Result<(), String> {
        self.command(CommandKind::Run(command)).await
    }

    async fn command(&self, what: CommandKind) -> Result<(), String> {
        let (done, answer) = oneshot::channel();
        let sent = self.commands.as_ref().is_some_and(|commands| commands.send(Command { what, done }).is_ok());
        let ended = || "the thread that holds it has ended".to_owned();
        if sent { answer.await.map_err(|_| ended())? } else { Err(ended()) }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.commands.take();
        if let Some(thread) = self.thread.take() {
            // The thread removes the container. Its own panic has been printed already.
            let _ = thread.join();
        }
    }
}

/// What a container is started with.
struct Begin {
    kind: &'static ServerKind,
    image: String,
    password: String,
    arguments: Vec<String>,
}

/// Main function of the thread: starts the container, carries out commands, and removes the container when all senders
/// are gone.
fn keep(
    start: &Begin,
    ready: oneshot::Sender<Result<Addresses, String>>,
    mut commands: mpsc::UnboundedReceiver<Command>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(error.to_string()));
            return;
        }
    };
    runtime.block_on(async {
        // A caller that stops waiting closes both channels.
        let begun = tokio::select! {
            begun = begin(start) => begun,
            None = commands.recv() => return,
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
        while let Some(Command { what, done }) = commands.recv().await {
            let result = match what {
                CommandKind::Stop => container.stop().await.map_err(|error| words(&error)),
                CommandKind::Run(command) => execute(&container, command).await,
                CommandKind::Resume => resume(start.kind, &container, &reached.addresses, &start.password).await,
            };
            let _ = done.send(result);
        }
    });
}

async fn begin(start: &Begin) -> Result<(ContainerAsync<GenericImage>, Addresses), String> {
    let Begin { kind, password, .. } = start;
    for attempt in 1.. {
        // Fixed ports stay the same when the server is stopped and started.
        let ports = free_ports(kind.nodes)?;
        match request(start, &ports).start().await {
            Ok(container) => {
                let host = container.get_host().await.map_err(|error| words(&error))?.to_string();
                // If `localhost` resolves to IPv6 first, Docker may not listen there.
                let host = if host == "localhost" { "127.0.0.1".to_owned() } else { host };
                let addresses: Vec<_> = ports.iter().map(|port| format!("{host}:{port}")).collect();
                answered(kind, &container, &addresses, password).await?;
                let (mut inside, mut direct) = (None, None);
                if kind.nodes == 1 {
                    let address = container.get_bridge_ip_address().await.ok();
                    let address = address.map(|address| SocketAddr::new(address, kind.port));
                    inside = address.map(|address| address.to_string());
                    direct = reachable(address).await;
                }
                return Ok((container, Addresses { addresses, inside, direct }));
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

/// Returns the container's own address if this machine can reach it. Docker may run on another or a virtual machine.
async fn reachable(address: Option<SocketAddr>) -> Option<String> {
    let address = address?;
    let connected = tokio::time::timeout(NEAR, TcpStream::connect(address)).await;
    matches!(connected, Ok(Ok(_))).then(|| address.to_string())
}

fn request(start: &Begin, ports: &[u16]) -> ContainerRequest<GenericImage> {
    let Begin { kind, image, password, arguments } = start;
    // A colon before the last slash belongs to a registry's port.
    let (name, tag) = image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).unwrap_or((image, "latest"));
    let listed = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(" ");
    let filled = |text: &str| text.replace("{password}", password).replace("{ports}", &listed);
    let mut request = GenericImage::new(name, tag).with_wait_for(WaitFor::Nothing).with_startup_timeout(STARTUP);
    for port in ports {
        let inside = if kind.nodes == 1 { kind.port } else { *port };
        request = request.with_mapped_port(*port, inside.tcp());
    }
    // By its name: a container in the network by default does not tell its address there.
    request = request.with_network("bridge");
    for (variable, value) in kind.environment {
        request = request.with_env_var(*variable, filled(value));
    }
    if !kind.command.is_empty() {
        request = request.with_cmd(kind.command.iter().map(|word| filled(word)).chain(arguments.iter().cloned()));
    }
    // The label identifies the containers that a killed test program has left.
    match std::env::var("CONFORMANCE_RUN") {
        Ok(run) if !run.is_empty() => request.with_label("conformance.run", run),
        _ => request,
    }
}

async fn resume(
    kind: &ServerKind,
    container: &ContainerAsync<GenericImage>,
    addresses: &[String],
    password: &str,
) -> Result<(), String> {
    container.start().await.map_err(|error| words(&error))?;
    answered(kind, container, addresses, password).await
}

/// Runs a command and waits for its end. An error includes what it has written.
async fn execute(container: &ContainerAsync<GenericImage>, command: Vec<String>) -> Result<(), String> {
    let command = ExecCommand::new(command).with_cmd_ready_condition(CmdWaitFor::exit());
    let mut ran = container.exec(command).await.map_err(|error| words(&error))?;
    match ran.exit_code().await.map_err(|error| words(&error))? {
        Some(0) => Ok(()),
        code => {
            let written = ran.stderr_to_vec().await.unwrap_or_default();
            Err(format!("it ended with {code:?}: {}", String::from_utf8_lossy(&written).trim()))
        }
    }
}

/// Waits for the server. An error includes the end of the server's log.
async fn answered(
    kind: &ServerKind,
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

/// Waits until the container no longer runs. Returns the reason.
async fn ended(container: &ContainerAsync<GenericImage>) -> String {
    loop {
        // sleep: Docker is polled, because it sends no notification.
        tokio::time::sleep(Duration::from_millis(500)).await;
        match container.is_running().await {
            Ok(true) => {}
            Ok(false) => return "the server has ended".to_owned(),
            Err(error) => return words(&error),
        }
    }
}

/// Returns `count` different free ports. All are held until the last is found.
fn free_ports(count: usize) -> Result<Vec<u16>, String> {
    let listeners: io::Result<Vec<_>> = (0..count).map(|_| TcpListener::bind("0.0.0.0:0")).collect();
    let ports = listeners.and_then(|all| all.iter().map(|one| Ok(one.local_addr()?.port())).collect());
    ports.map_err(|error| format!("no port is free: {error}"))
}

/// Formats an error with its sources.
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
