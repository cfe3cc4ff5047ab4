//! A connection to a server: how it is made, and how commands are sent on it.

use std::io;
use std::pin::Pin;

use bytes::BytesMut;
use session_core::{Error, ErrorKind, Result};
use session_store_kit::wrong;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::address::Address;
use crate::error;
use crate::protocol::{self, Reply};

/// Size of the buffer for replies. It grows for a longer one.
const BUFFER: usize = 16 * 1024;

/// An open connection. If a call is dropped in the middle of an exchange, so is the connection.
pub(crate) struct Connection {
    stream: Pin<Box<dyn Stream>>,
    read: BytesMut,
}

trait Stream: AsyncRead + AsyncWrite + Send {}

impl<S: AsyncRead + AsyncWrite + Send> Stream for S {}

/// User and password.
#[derive(Clone)]
pub(crate) struct Login {
    user: String,
    password: String,
}

impl Login {
    /// Checks that user and password can be sent: the server splits them at the first space, and takes them from one line.
    pub(crate) fn new(user: String, password: String) -> Result<Self> {
        let splits = |text: &str| text.bytes().any(|byte| byte.is_ascii_whitespace() || byte == 0);
        if splits(&user) || splits(&password) {
            return wrong("a user or password of Memcached holds no white space");
        }
        Ok(Self { user, password })
    }
}

impl Connection {
    /// Connects to a server and logs in.
    pub(crate) async fn open(address: &Address, login: Option<&Login>) -> Result<Self> {
        let stream = TcpStream::connect((&*address.host, address.port)).await;
        let stream =
            stream.map_err(|error| Error::fixed(ErrorKind::Unavailable, "no connection").with_source(&error))?;
        let _ = stream.set_nodelay(true);
        let stream: Pin<Box<dyn Stream>> = match &address.security {
            None => Box::pin(stream),
            Some(security) => Box::pin(security.secured(stream).await?),
        };
        let mut connection = Self { stream, read: BytesMut::with_capacity(BUFFER) };
        connection.log_in(login).await?;
        Ok(connection)
    }

    /// Logs in where the server asks for it.
    ///
    /// A server that asks for no password would store it as a value that others can read, so it is asked first.
    async fn log_in(&mut self, login: Option<&Login>) -> Result<()> {
        let Some(login) = login else { return Ok(()) };
        match self.ask("version\r\n").await? {
            Reply::Error(line) if line.contains("unauthenticated") => {}
            Reply::Line(_) => return Err(error::NEEDS_NO_LOGIN),
            other => return Err(error::unexpected(&other)),
        }
        let text = format!("{} {}", login.user, login.password);
        match self.ask(&format!("set login 0 0 {}\r\n{text}\r\n", text.len())).await? {
            Reply::Line(line) if line == "STORED" => Ok(()),
            _ => Err(error::WRONG_LOGIN),
        }
    }

    /// Sends one command and returns its reply.
    pub(crate) async fn ask(&mut self, command: &str) -> Result<Reply> {
        let mut replies = self.exchange(command.as_bytes(), 1).await.map_err(|error| error::broken(&error))?;
        replies.pop().ok_or(error::LOST)
    }

    /// Sends a command whose reply has several lines, and returns them without the last, which is `END`.
    pub(crate) async fn list(&mut self, command: &str) -> Result<Vec<String>> {
        let (mut lines, mut reply) = (Vec::new(), self.ask(command).await?);
        loop {
            match reply {
                Reply::Line(line) if line == "END" => return Ok(lines),
                Reply::Line(line) => lines.push(line),
                other => return Err(error::unexpected(&other)),
            }
            reply = self.next().await.map_err(|error| error::broken(&error))?;
        }
    }

    /// Sends commands and returns their replies, in the same order.
    pub(crate) async fn exchange(&mut self, commands: &[u8], replies: usize) -> io::Result<Vec<Reply>> {
        self.stream.write_all(commands).await?;
        self.stream.flush().await?;
        let mut all = Vec::with_capacity(replies);
        while all.len() < replies {
            all.push(self.next().await?);
        }
        Ok(all)
    }

    async fn next(&mut self) -> io::Result<Reply> {
        loop {
            if let Some(reply) = protocol::take(&mut self.read)? {
                return Ok(reply);
            }
            if self.read.capacity() - self.read.len() < 1024 {
                self.read.reserve(BUFFER);
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}
