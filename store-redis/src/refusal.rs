//! Finds out why a server cannot be opened, if it closes the connection or does not answer.

use std::time::Duration;

use redis::{Client, ConnectionAddr, ErrorKind as Driver, RedisError, Value};
use session_core::{Error, ErrorKind};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time;

use crate::error::{Moment, driver_error};

const NEEDS_TLS: Error =
    Error::fixed(ErrorKind::Config, "the server requires TLS on this port: use a URL that begins with rediss://");

const HAS_NO_TLS: Error = Error::fixed(
    ErrorKind::Config,
    "the server does not use TLS on this port: use its TLS port, or a URL that begins with redis://",
);

/// Connects to the server of `client` in other ways, and returns the reason that it finds within `limit`.
pub(crate) async fn reason(client: &Client, limit: Duration) -> Option<Error> {
    let looking = async {
        tokio::select! {
            Some(reason) = greeting(client) => Some(reason),
            Some(mismatch) = mismatch(client) => Some(mismatch),
            else => None,
        }
    };
    time::timeout(limit, looking).await.ok().flatten()
}

/// Waits for an error that the server sends before the client has sent anything.
///
/// It closes the connection afterwards. A client that has already sent its first command may lose such an error.
async fn greeting(client: &Client) -> Option<Error> {
    let ConnectionAddr::Tcp(host, port) = client.get_connection_info().addr() else { return None };
    let mut line = Vec::new();
    let stream = TcpStream::connect((host.as_str(), *port)).await.ok()?;
    BufReader::new(stream).read_until(b'\n', &mut line).await.ok()?;
    let answer = redis::parse_redis_value(&line).and_then(Value::extract_error);
    answer.err().filter(is_answer).map(|error| driver_error(&error, Moment::Opening))
}

/// Connects with TLS if the URL has none, and the other way round. Returns an error if the server answers.
///
/// It does not verify the server's certificate, and sends no user or password.
async fn mismatch(client: &Client) -> Option<Error> {
    let info = client.get_connection_info();
    let (other, mismatch) = match info.addr().clone() {
        ConnectionAddr::Tcp(host, port) if cfg!(feature = "tls") => {
            (ConnectionAddr::TcpTls { host, port, insecure: true, tls_params: None }, NEEDS_TLS)
        }
        ConnectionAddr::TcpTls { host, port, .. } => (ConnectionAddr::Tcp(host, port), HAS_NO_TLS),
        _ => return None,
    };
    let anonymous = redis::RedisConnectionInfo::default().set_protocol(redis::ProtocolVersion::RESP3);
    let client = Client::open(info.clone().set_addr(other).set_redis_settings(anonymous)).ok()?;
    match client.get_multiplexed_async_connection().await {
        Err(error) if !is_answer(&error) => None,
        _ => Some(mismatch),
    }
}

/// Whether the server has answered in its own protocol, for example that it requires a password.
fn is_answer(error: &RedisError) -> bool {
    !matches!(error.kind(), Driver::Io | Driver::Parse | Driver::Client | Driver::InvalidClientConfig)
}
