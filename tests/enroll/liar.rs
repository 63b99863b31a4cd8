//! An attacker between client and server, who forwards messages or answers them himself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::http;

/// The answer to the client.
pub enum Reply {
    /// A CMP message.
    Message(Vec<u8>),
    /// These octets as the HTTP response.
    Raw(String),
    /// Nothing: the connection ends.
    Nothing,
}

/// A message on its way.
pub struct Passing<'p> {
    /// How many messages came before.
    pub number: usize,
    /// The request.
    pub request: Vec<u8>,
    upstream: &'p str,
}

impl Passing<'_> {
    /// The server's answer.
    pub fn answer(&self) -> Vec<u8> {
        let path = "/.well-known/cmp";
        let answer =
            http(self.upstream, "POST", path, "application/pkixcmp", &self.request).unwrap();
        assert_eq!(answer.status, 200);
        answer.body
    }

    /// The context tag of the request's body.
    pub fn kind(&self) -> u8 {
        crate::common::der::Message::read(&self.request).body.tag
    }
}

/// An attacker in front of a server.
pub struct Liar {
    pub url: String,
    count: Arc<AtomicUsize>,
}

impl Liar {
    /// Starts an attacker in front of the server at this address.
    pub fn before(
        upstream: &str,
        reply: impl Fn(Passing<'_>) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let count = Arc::new(AtomicUsize::new(0));
        let (upstream, counted) = (upstream.to_owned(), Arc::clone(&count));
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(request) = read(&stream) else { continue };
                let number = counted.fetch_add(1, Ordering::SeqCst);
                write(stream, reply(Passing { number, request, upstream: &upstream }));
            }
        });
        Self { url, count }
    }

    /// How many messages came.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

fn read(stream: &TcpStream) -> Option<Vec<u8>> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().ok()?;
            }
            None if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}

fn write(mut stream: TcpStream, reply: Reply) {
    let _ = match reply {
        Reply::Nothing => Ok(()),
        Reply::Raw(text) => stream.write_all(text.as_bytes()),
        Reply::Message(body) => {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/pkixcmp\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body))
        }
    };
}
