//! A request that is held between loading its session and saving it.
//!
//! HTTP itself keeps the order: the server says `100 Continue` when it has loaded the session and waits for the body. The test
//! sends the body after the requests that belong in between.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::server::Server;

/// A request to the counter that has loaded its session and waits.
pub(crate) struct SlowRequest(BufReader<TcpStream>);

impl SlowRequest {
    pub(crate) fn begin(server: &Server, cookie: &str) -> Self {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let head = format!(
            "POST /api/counter?hold=50 HTTP/1.1\r\nHost: {}\r\nCookie: id={cookie}\r\nContent-Length: 2\r\n\
             Expect: 100-continue\r\nConnection: close\r\n\r\n",
            server.address()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        assert_eq!(line, "HTTP/1.1 100 Continue\r\n");
        line.clear();
        stream.read_line(&mut line).unwrap();
        assert_eq!(line, "\r\n");
        Self(stream)
    }

    /// Sends the body, and returns the whole answer.
    pub(crate) fn finish(&mut self) -> String {
        self.0.get_mut().write_all(b"{}").unwrap();
        let mut answer = String::new();
        self.0.read_to_string(&mut answer).unwrap();
        answer
    }
}
