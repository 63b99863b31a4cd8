//! The floor: a server that does only what no durable server can leave out. It reads a request, verifies and signs as often as an enrolment demands, appends
//! an entry to a file, waits for an `fdatasync` that it shares with others, and answers. It decodes, decides, checks and remembers nothing.
//!
//! Its CPU time ÷ the bound is what sockets, waking and the disk cost beside cryptography. No enrolment of the program can cost less.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use rcgen::{CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::client::Target;
use crate::measure::{Scratch, Server};
use crate::primitives::EllipticBench;
use crate::protocols::{Lane, Volley, volley};
use crate::site::eventually;

/// An entry of the journal, in octets.
const ENTRY: usize = 900;
/// The body of an answer of CMP with the CA's certificate, in octets. Those of EST are of the same order.
const ANSWER: usize = 1800;

/// The transport of a floor.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Transport {
    /// HTTP, as CMP
    Clear,
    /// TLS 1.3, as EST
    Tls,
}

/// A running floor.
pub struct Floor {
    server: Server,
    target: Target,
    /// The body of its requests, in octets.
    body: usize,
    _scratch: Scratch,
}

impl Floor {
    /// A floor whose answers take this many verifications and as many signatures, to requests with a body of this many octets.
    pub fn start(name: &str, transport: Transport, pairs: u32, body: usize) -> Self {
        let scratch = Scratch::new(name);
        let transport_name = match transport {
            Transport::Clear => "clear",
            Transport::Tls => "tls",
        };
        let server = Command::new(std::env::current_exe().unwrap())
            .args(["serve-floor", scratch.0.to_str().unwrap(), transport_name, &pairs.to_string()])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let server = Server(server);
        let address = eventually(|| fs::read_to_string(scratch.0.join("ready")).ok());
        let target = match transport {
            Transport::Clear => Target::cmp(&address, "/"),
            Transport::Tls => {
                let root = fs::read(scratch.0.join("root.der")).unwrap();
                Target::est(&address, "/", &root, None)
            }
        };
        Self { server, target, body, _scratch: scratch }
    }

    /// Sends this many requests over this many connections.
    pub fn volley(&self, connections: usize, count: usize) -> Volley {
        let request = self.target.post(&vec![b'.'; self.body]);
        let lane = || Lane {
            target: self.target.clone(),
            requests: vec![request.clone(); count / connections],
        };
        let lanes: Vec<_> = (0..connections).map(|_| lane()).collect();
        volley(self.server.0.id(), &lanes)
    }
}

/// What a connection hands to the writer: an entry, and the sender of the news that it is durable.
type Record = (Vec<u8>, oneshot::Sender<()>);

/// The server, in its own process, with two threads for connections and one that writes, as the program has them on two CPUs.
pub fn serve(folder: &Path, transport: Transport, pairs: u32) {
    let acceptor = (transport == Transport::Tls).then(|| acceptor(folder));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let (records, to_write) = channel();
    let file = File::create(folder.join("journal")).unwrap();
    std::thread::spawn(move || write(file, &to_write));
    fs::write(folder.join("making"), listener.local_addr().unwrap().to_string()).unwrap();
    fs::rename(folder.join("making"), folder.join("ready")).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let (listener, acceptor, records) =
                (listener.try_clone().unwrap(), acceptor.clone(), records.clone());
            scope.spawn(move || accept(listener, acceptor, &records, pairs));
        }
    });
}

/// Writes entries, and waits once for all that came meanwhile.
fn write(mut file: File, records: &Receiver<Record>) {
    while let Ok(first) = records.recv() {
        let batch: Vec<_> = std::iter::once(first).chain(records.try_iter()).collect();
        let octets: Vec<u8> = batch.iter().flat_map(|(entry, _)| entry).copied().collect();
        file.write_all(&octets).unwrap();
        file.sync_data().unwrap();
        for (_, durable) in batch {
            let _ = durable.send(());
        }
    }
}

fn accept(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    records: &Sender<Record>,
    pairs: u32,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bench = std::rc::Rc::new(EllipticBench::new());
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let (acceptor, records, bench) = (acceptor.clone(), records.clone(), bench.clone());
            tokio::task::spawn_local(async move {
                // A client that leaves ends its connection.
                let _ = match acceptor {
                    None => answer(stream, &records, &bench, pairs).await,
                    Some(acceptor) => match acceptor.accept(stream).await {
                        Ok(stream) => answer(stream, &records, &bench, pairs).await,
                        Err(e) => Err(e),
                    },
                };
            });
        }
    });
}

async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    records: &Sender<Record>,
    bench: &EllipticBench,
    pairs: u32,
) -> io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {ANSWER}\r\n\r\n");
    let answer = [head.as_bytes(), &[b'.'; ANSWER]].concat();
    let mut buffer = Vec::with_capacity(8192);
    loop {
        buffer.clear();
        while !is_whole(&buffer) {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        for _ in 0..pairs {
            bench.verify();
            bench.sign();
        }
        let (durable, waits) = oneshot::channel();
        records.send((vec![0x5a; ENTRY], durable)).unwrap();
        waits.await.unwrap();
        stream.write_all(&answer).await?;
        stream.flush().await?;
    }
}

/// Whether these octets are a whole request.
fn is_whole(octets: &[u8]) -> bool {
    const LENGTH: &[u8] = b"Content-Length: ";
    let Some(end) = octets.windows(4).position(|window| window == b"\r\n\r\n") else {
        return false;
    };
    let from = octets.windows(LENGTH.len()).position(|window| window == LENGTH).unwrap();
    let digits = &octets[from + LENGTH.len()..end];
    let length = digits.iter().take_while(|octet| octet.is_ascii_digit());
    let length = length.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
    octets.len() >= end + 4 + length
}

/// TLS with a new certificate, whose root is left in the folder.
fn acceptor(folder: &Path) -> TlsAcceptor {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = ca.self_signed(&ca_key).unwrap();
    fs::write(folder.join("root.der"), root.der()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![Ipv4Addr::LOCALHOST.to_string()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
