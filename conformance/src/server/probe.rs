//! Probes that tell whether a server answers.
//!
//! An open port proves little, because Docker's proxy opens it before the server does.

use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::check::poll_until;

/// Time limit of one attempt. A server that is starting may accept a connection and stay silent.
const ATTEMPT: Duration = Duration::from_secs(2);

/// First exchange of a protocol: a question that only a server which is ready answers in this way.
pub(super) enum Probe {
    /// A start-up message. The answer is a request to authenticate, or an error while the server is starting.
    Postgres { user: &'static str, database: &'static str },
    /// `PING`. The answer is `PONG`, an error that asks for a password, or `LOADING`.
    Redis,
    /// `CLUSTER INFO`. The answer is a state of `ok`.
    RedisCluster,
    /// `version`. The answer is the version, or an error that asks for a password.
    Memcached,
    /// `CONNECT`, and a request for the names of all streams. The answer comes from JetStream's leader. A server without JetStream answers
    /// as well.
    Nats { user: &'static str },
    /// `SENTINEL MASTER` of the master `main`. The answer names two replicas and two other sentinels. A server that is none answers an error.
    RedisSentinel,
    /// No question: the server speaks first, with its version or an error.
    Mysql,
    /// `hello`. The answer describes the server. A server that is starting takes no writes yet.
    Mongo,
    /// An HTTP request. Any status is an answer.
    Http,
}

/// Result of one attempt.
enum Readiness {
    Ready,
    /// The reason, in the server's words or ours.
    NotYet(String),
}

impl Probe {
    /// Waits poll_until all nodes of a server answer, each for `patience` at most.
    pub(super) async fn all_answered(
        &self,
        nodes: &[String],
        password: &str,
        patience: Duration,
    ) -> Result<(), String> {
        for node in nodes {
            self.answered(node, password, patience).await?;
        }
        Ok(())
    }

    /// Waits poll_until the server at `address` answers, for `patience` at most.
    async fn answered(&self, address: &str, password: &str, patience: Duration) -> Result<(), String> {
        let attempt = || async {
            ControlFlow::Continue(match timeout(ATTEMPT, self.ask(address, password)).await {
                Ok(Ok(Readiness::Ready)) => return ControlFlow::Break(()),
                Ok(Ok(Readiness::NotYet(why))) => why,
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("silent for {} s", ATTEMPT.as_secs()),
            })
        };
        let answered = poll_until(patience, attempt).await;
        answered.map_err(|why| format!("it does not answer within {} s: {why}", patience.as_secs()))
    }

    async fn ask(&self, address: &str, password: &str) -> io::Result<Readiness> {
        let mut stream = TcpStream::connect(address).await?;
        match self {
            Self::Postgres { user, database } => {
                stream.write_all(&startup(user, database)).await?;
                let mut head = [0; 5];
                stream.read_exact(&mut head).await?;
                if head[0] == b'R' {
                    return Ok(Readiness::Ready);
                }
                let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
                refusal(&mut stream, length.saturating_sub(4)).await
            }
            Self::Mysql => {
                // The packet's length and number, followed by its type: 10 is the version of the handshake.
                let mut head = [0; 5];
                stream.read_exact(&mut head).await?;
                if head[4] == 10 {
                    return Ok(Readiness::Ready);
                }
                refusal(&mut stream, u32::from_le_bytes([head[0], head[1], head[2], 0]).saturating_sub(1)).await
            }
            Self::Mongo => {
                stream.write_all(&HELLO).await?;
                let mut length = [0; 4];
                stream.read_exact(&mut length).await?;
                let length = u64::from(u32::from_le_bytes(length).saturating_sub(4).min(1 << 16));
                let mut reply = Vec::new();
                stream.take(length).read_to_end(&mut reply).await?;
                let writes = reply.windows(WRITABLE.len()).any(|part| part == WRITABLE);
                Ok(if writes { Readiness::Ready } else { Readiness::NotYet("it takes no writes".into()) })
            }
            Self::Http => {
                stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
                let line = line(&mut stream).await?;
                Ok(if line.starts_with("HTTP/") { Readiness::Ready } else { Readiness::NotYet(line) })
            }
            Self::Redis => {
                stream.write_all(b"PING\r\n").await?;
                let line = line(&mut stream).await?;
                let ready = line.starts_with("+PONG") || line.starts_with("-NOAUTH");
                Ok(if ready { Readiness::Ready } else { Readiness::NotYet(line) })
            }
            Self::RedisCluster => cluster(&mut stream, password).await,
            Self::Memcached => {
                stream.write_all(b"version\r\n").await?;
                let line = line(&mut stream).await?;
                let ready = line.starts_with("VERSION") || line.starts_with("CLIENT_ERROR unauthenticated");
                Ok(if ready { Readiness::Ready } else { Readiness::NotYet(line) })
            }
            Self::Nats { user } => nats(&mut stream, user, password).await,
            Self::RedisSentinel => sentinel(&mut stream, password).await,
        }
    }
}

/// Asks a node of a Redis cluster whether it knows a serving node for every slot.
async fn cluster(stream: &mut TcpStream, password: &str) -> io::Result<Readiness> {
    if !password.is_empty() {
        stream.write_all(format!("AUTH {password}\r\n").as_bytes()).await?;
        let said = line(stream).await?;
        if said.starts_with("-LOADING") {
            return Ok(Readiness::NotYet(said));
        }
    }
    stream.write_all(b"CLUSTER INFO\r\n").await?;
    let length = line(stream).await?;
    let Some(length) = length.strip_prefix('$').and_then(|length| length.parse::<u64>().ok()) else {
        // Only another user may have the permission to ask. The node answers, and the store will find out the rest.
        let there = length.starts_with("-NOAUTH") || length.starts_with("-NOPERM");
        return Ok(if there { Readiness::Ready } else { Readiness::NotYet(length) });
    };
    let mut text = String::new();
    stream.take(length.min(1 << 16)).read_to_string(&mut text).await?;
    let ready =
        ["cluster_state:ok", "cluster_slots_ok:16384"].iter().all(|word| text.lines().any(|line| line == *word));
    Ok(if ready { Readiness::Ready } else { Readiness::NotYet("the cluster's state is not ok".into()) })
}

/// Asks a NATS server whether JetStream has a leader.
async fn nats(stream: &mut TcpStream, user: &str, password: &str) -> io::Result<Readiness> {
    let said = info(stream).await?;
    if !said.contains("\"jetstream\":true") {
        return Ok(if said.starts_with("INFO ") { Readiness::Ready } else { Readiness::NotYet(said) });
    }
    let login = format!("CONNECT {{\"verbose\":true,\"user\":\"{user}\",\"pass\":\"{password}\"}}\r\n");
    stream.write_all(login.as_bytes()).await?;
    let mut said = info(stream).await?;
    if said.starts_with("+OK") {
        stream.write_all(b"SUB probe.reply 1\r\nPUB $JS.API.STREAM.NAMES probe.reply 0\r\n\r\n").await?;
        while said.starts_with("+OK") {
            said = info(stream).await?;
        }
    }
    if said.starts_with("-ERR") {
        // Only another user may have the permission to ask. The server answers, and the store will find out the rest.
        return Ok(Readiness::Ready);
    }
    // The reply follows the line that announces it.
    let reply = info(stream).await?;
    let ready = reply.contains("stream_names_response") && !reply.contains("\"error\"");
    Ok(if ready { Readiness::Ready } else { Readiness::NotYet(reply) })
}

/// Asks a sentinel whether it knows two replicas of the master, which is up, and two other sentinels.
async fn sentinel(stream: &mut TcpStream, password: &str) -> io::Result<Readiness> {
    if !password.is_empty() {
        stream.write_all(format!("AUTH {password}\r\n").as_bytes()).await?;
        line(stream).await?;
    }
    stream.write_all(b"SENTINEL MASTER main\r\n").await?;
    let count = line(stream).await?;
    let Some(count) = count.strip_prefix('*').and_then(|count| count.parse::<u16>().ok()) else {
        // One of the servers, which is there.
        return Ok(if count.contains("SENTINEL") { Readiness::Ready } else { Readiness::NotYet(count) });
    };
    let mut words = Vec::new();
    for _ in 0..count.min(128) {
        // Each word comes after its length.
        line(stream).await?;
        words.push(line(stream).await?);
    }
    let field = |name: &str| words.iter().position(|word| word == name).and_then(|at| words.get(at + 1));
    let expected = [("flags", "master"), ("num-slaves", "2"), ("num-other-sentinels", "2")];
    let ready = expected.iter().all(|(name, value)| field(name).is_some_and(|field| field == value));
    Ok(if ready { Readiness::Ready } else { Readiness::NotYet("it does not know the others yet".into()) })
}

/// MongoDB's `OP_MSG` with the command `{ hello: 1, $db: "admin" }`.
const HELLO: [u8; 52] = *b"\x34\0\0\0\x01\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0\0\
    \x1f\0\0\0\x10hello\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0";

/// The field of the reply, with the value true.
const WRITABLE: &[u8] = b"\x08isWritablePrimary\0\x01";

/// PostgreSQL's first message, protocol 3.0.
fn startup(user: &str, database: &str) -> Vec<u8> {
    let body = format!("user\0{user}\0database\0{database}\0\0");
    let length = u32::try_from(8 + body.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &196_608_u32.to_be_bytes(), body.as_bytes()].concat()
}

/// Reads an error as it is in the packet, more or less readable.
async fn refusal(stream: &mut TcpStream, length: u32) -> io::Result<Readiness> {
    let mut text = Vec::new();
    stream.take(u64::from(length.min(4096))).read_to_end(&mut text).await?;
    Ok(Readiness::NotYet(String::from_utf8_lossy(&text).replace('\0', " ").trim().to_owned()))
}

/// Reads up to the end of a line, or 512 bytes.
async fn line(stream: &mut TcpStream) -> io::Result<String> {
    line_of(stream, 512).await
}

/// Reads up to the end of a line of NATS, which can be longer than those of others.
async fn info(stream: &mut TcpStream) -> io::Result<String> {
    line_of(stream, 1 << 16).await
}

/// Reads up to the end of a line, or `limit` bytes.
async fn line_of(stream: &mut TcpStream, limit: usize) -> io::Result<String> {
    let mut line = Vec::new();
    while line.len() < limit {
        match stream.read_u8().await? {
            b'\n' => break,
            byte => line.push(byte),
        }
    }
    Ok(String::from_utf8_lossy(&line).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Starts a server that drops its first connections, like Docker's proxy before the server listens.
    /// It answers the following ones with `answers` in turn, and repeats the last answer.
    async fn server(dropped: usize, answers: &'static [&'static [u8]]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            for _ in 0..dropped {
                drop(listener.accept().await);
            }
            let mut answers = answers.iter();
            let mut answer: &[u8] = b"";
            while let Ok((mut stream, _)) = listener.accept().await {
                answer = answers.next().copied().unwrap_or(answer);
                let mut question = [0; 512];
                let _ = stream.read(&mut question).await;
                let _ = stream.write_all(answer).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn a_server_is_waited_for_until_it_serves() {
        let address = server(3, &[b"-LOADING the data set is being read\r\n", b"-NOAUTH who are you\r\n"]).await;
        Probe::Redis.answered(&address, "", Duration::from_secs(30)).await.unwrap();

        let address = server(1, &[b"E\0\0\0\x0cC57P03\0\0", b"R\0\0\0\x08\0\0\0\x0a"]).await;
        let probe = Probe::Postgres { user: "ann", database: "shop" };
        probe.answered(&address, "", Duration::from_secs(30)).await.unwrap();

        let replies: &[&[u8]] = &[b"\x18\0\0\0\x08isWritablePrimary\0\0", b"\x18\0\0\0\x08isWritablePrimary\0\x01"];
        let address = server(1, replies).await;
        Probe::Mongo.answered(&address, "", Duration::from_secs(30)).await.unwrap();
    }

    #[tokio::test]
    async fn a_server_that_never_serves_is_given_up_with_its_reason() {
        let address = server(0, &[b"-LOADING the data set is being read\r\n"]).await;
        let why = Probe::Redis.answered(&address, "", Duration::from_millis(100)).await.unwrap_err();
        assert!(why.contains("LOADING"), "{why}");
    }
}
