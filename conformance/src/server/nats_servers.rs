//! NATS servers, one or a cluster.

use session_core::Result;

use super::instance::Server;
use super::kind;

/// Returns a NATS server with JetStream, which writes each message to its disk before it confirms it.
///
/// The process of the server is in the file `/tmp/sessions/4222.pid` of the container, for [`Server::run`](super::Server::run), and `sh /tmp/sessions/start 4222`
/// starts it again.
///
/// ```no_run
/// # async fn example() -> session_core::Result<()> {
/// let server = session_conformance::server::nats().await?;
/// println!("open the store on {}", server.url());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If no server is available, or it does not answer.
pub async fn nats() -> Result<Server> {
    Server::of(&kind::NATS).await
}

/// Returns a NATS server with these further lines of configuration, such as `max_payload: 65536`. `$PASSWORD` is the password in it.
///
/// Lines about `jetstream` or `authorization` replace the usual ones.
///
/// ```no_run
/// # async fn example() -> session_core::Result<()> {
/// let server = session_conformance::server::nats_with("jetstream: disabled").await?;
/// println!("open the store on {}", server.url());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If no server is available, it is an external one, or it does not answer.
pub async fn nats_with(configuration: &str) -> Result<Server> {
    Server::with(&kind::NATS, &[configuration]).await
}

/// Returns three NATS servers, which are a cluster with JetStream. The URL names all of them, and has the option `replicas=3`:
/// `nats://user:password@host:port,host:port,host:port/sessions?replicas=3`.
///
/// So must the URL in `CONFORMANCE_NATS_CLUSTER_URL`. The image is that of NATS, which `CONFORMANCE_NATS_IMAGE` overrides.
///
/// The process of a server is in the file `/tmp/sessions/<port>.pid` of the container, for [`Server::run`](super::Server::run), and
/// `sh /tmp/sessions/start <port>` starts it again.
///
/// ```no_run
/// # async fn example() -> session_core::Result<()> {
/// let server = session_conformance::server::nats_cluster().await?;
/// println!("open the store on {}", server.url());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If no cluster is available, or a server does not answer.
pub async fn nats_cluster() -> Result<Server> {
    Server::of(&kind::NATS_CLUSTER).await
}
