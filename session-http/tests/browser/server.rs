//! Server that sets cookies as it is told, and answers with those that it gets. It speaks HTTP/1.1, with TLS and without.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Server of all hosts.
pub(crate) struct Server {
    /// Ports for `https` and `http`.
    pub(crate) ports: [u16; 2],
    /// Lines for the next response to a request for [`SET`].
    pub(crate) lines: Arc<Mutex<Vec<String>>>,
}

/// End of the path whose response sets cookies.
pub(crate) const SET: &str = "/page?set";

impl Server {
    pub(crate) fn start() -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let ports = [Some(tls()), None].map(|tls| listen(tls, Arc::clone(&lines)));
        Self { ports, lines }
    }
}

/// TLS with a certificate that the browser is told to accept.
fn tls() -> Arc<ServerConfig> {
    let certified = rcgen::generate_simple_self_signed(["*.example.com".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    Arc::new(config.with_single_cert(vec![certified.cert.der().clone()], key).unwrap())
}

fn listen(tls: Option<Arc<ServerConfig>>, lines: Arc<Mutex<Vec<String>>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(stream), tls, lines) = (stream, tls.clone(), Arc::clone(&lines)) else { return };
            let _ = stream.set_nodelay(true);
            // A browser also opens connections that it does not use, so an error ends only its connection.
            thread::spawn(move || match tls {
                Some(tls) => serve(StreamOwned::new(ServerConnection::new(tls).unwrap(), stream), &lines),
                None => serve(stream, &lines),
            });
        }
    });
    port
}

/// Answers requests until the browser closes the connection.
fn serve(stream: impl Read + Write, lines: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut target, mut origin, mut cookies) = (String::new(), "null".to_owned(), Vec::new());
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("cookie") => cookies.push(value.to_owned()),
                Some((name, value)) if name.eq_ignore_ascii_case("origin") => origin = value.to_owned(),
                _ if target.is_empty() => target = line,
                _ if line == "\r\n" => break,
                _ => {}
            }
        }
        let body = cookies.join("; ");
        let mut head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
             Access-Control-Allow-Origin: {origin}\r\nAccess-Control-Allow-Credentials: true\r\n",
            body.len()
        );
        if target.contains(SET) {
            for line in lines.lock().unwrap().drain(..) {
                head += &format!("Set-Cookie: {line}\r\n");
            }
        }
        stream.get_mut().write_all(format!("{head}\r\n{body}").as_bytes())?;
        stream.get_mut().flush()?;
    }
}
