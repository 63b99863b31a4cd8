//! The rivals: `openssl cmp`'s mock server, `cfssl serve`, and micromdm's `scepserver`.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use der::pem::{self, LineEnding};

use crate::cli::read_pem;
use crate::client::{Connection, Target};
use crate::load::Peer;
use crate::measure::Server;
use crate::site::{command, eventually};
use crate::wire::{Ask, Key, Protector};

/// A rival, and the request for it.
pub struct Rival {
    pub server: Server,
    pub target: Target,
}

impl Rival {
    pub fn pid(&self) -> u32 {
        self.server.0.id()
    }
}

const P256: [&str; 5] = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];

/// Makes a CA and a client's certificate for both servers.
pub fn prepare(folder: &Path) {
    let openssl = |arguments: &[&str]| command(folder, "openssl", arguments);
    for name in ["ca", "client"] {
        let file = format!("{name}.key");
        openssl(&[&P256[..], &["-out", &file]].concat());
    }
    let ca = ["req", "-x509", "-key", "ca.key", "-subj", "/CN=ca", "-days", "30", "-out", "ca.crt"];
    openssl(&ca);
    openssl(&["req", "-new", "-key", "client.key", "-subj", "/CN=client", "-out", "client.csr"]);
    let usage =
        "keyUsage=digitalSignature\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";
    fs::write(folder.join("client.ext"), usage).unwrap();
    let sign = ["x509", "-req", "-in", "client.csr", "-CA", "ca.crt", "-CAkey", "ca.key"];
    let rest = ["-CAcreateserial", "-days", "30", "-extfile", "client.ext", "-out", "client.crt"];
    openssl(&[&sign[..], &rest].concat());
}

/// The mock server: it verifies the protection, the signer's certificate and the proof of possession, answers every
/// request with the same certificate, and signs its answer. It records nothing.
pub fn mock(folder: &Path) -> (Rival, Peer) {
    let port = free_port().to_string();
    let server = Command::new("openssl")
        .args(["cmp", "-port", &port, "-srv_cert", "ca.crt", "-srv_key", "ca.key"])
        .args(["-srv_trusted", "ca.crt", "-rsp_cert", "client.crt", "-grant_implicitconf"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl: run `make deps`");
    let mut target = Target::cmp(&format!("127.0.0.1:{port}"), "/");
    // It serves one connection at a time, so that kept ones would shut the others out.
    target.fresh = true;
    let rival = Rival { server: Server(server), target };
    let signer = Key::from_pkcs8(&read_pem(&folder.join("client.key")).unwrap()).unwrap();
    let certificate = read_pem(&folder.join("client.crt")).unwrap();
    let protector = Protector::signature(signer, certificate).unwrap();
    eventually(|| TcpStream::connect(&rival.target.address).ok());
    (rival, Peer { protector, key: Key::generate() })
}

/// `cfssl serve`: it verifies a PKCS #10 request and signs a certificate. It authenticates nobody and records nothing.
pub fn cfssl(folder: &Path) -> (Rival, Vec<u8>) {
    let port = free_port().to_string();
    let server = Command::new("cfssl")
        .args([
            "serve",
            "-address",
            "127.0.0.1",
            "-port",
            &port,
            "-ca",
            "ca.crt",
            "-ca-key",
            "ca.key",
        ])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("cfssl: run `make bench-deps`");
    let target = Target {
        media: "application/json",
        ..Target::cmp(&format!("127.0.0.1:{port}"), "/api/v1/cfssl/sign")
    };
    let request = Key::generate().request(Ask::P10cr, Some("gw1.example.net"));
    let request = pem::encode_string("CERTIFICATE REQUEST", LineEnding::LF, &request).unwrap();
    let body = serde_json::json!({ "certificate_request": request }).to_string();
    let request = target.post(body.as_bytes());
    let rival = Rival { server: Server(server), target };
    eventually(|| Connection::new(&rival.target).exchange(&request).ok());
    (rival, request)
}

/// micromdm's `scepserver`, with a new CA, and the certificate of that CA. It checks one secret for all, decrypts, issues and signs its answer with
/// the one RSA key of its CA, encrypts its answer by DES, and writes certificates to files.
pub fn scepserver(folder: &Path, secret: &str) -> (Rival, Vec<u8>) {
    command(folder, "scepserver", &["ca", "-init", "-keySize", "3072", "-depot", "depot"]);
    let port = free_port().to_string();
    let server = Command::new("scepserver")
        .args(["-depot", "depot", "-port", &port, "-challenge", secret, "-allowrenew", "0"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("scepserver: run `make deps`");
    let target = Target::scep(&format!("127.0.0.1:{port}"), "/scep?operation=PKIOperation");
    eventually(|| TcpStream::connect(&target.address).ok());
    let ca = read_pem(&folder.join("depot/ca.pem")).unwrap();
    (Rival { server: Server(server), target }, ca)
}

/// Sends the same request this often over this many connections. Gives requests per second.
pub fn volley(rival: &Rival, request: &[u8], connections: usize, count: usize) -> f64 {
    let next = AtomicUsize::new(0);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| {
                let mut connection = Connection::new(&rival.target);
                while next.fetch_add(1, Ordering::Relaxed) < count {
                    let answer = connection.exchange(request).unwrap_or_else(|e| panic!("{e}"));
                    let text = String::from_utf8_lossy(&answer);
                    assert!(text.contains("BEGIN CERTIFICATE"), "{text}");
                }
            });
        }
    });
    count as f64 / began.elapsed().as_secs_f64()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
