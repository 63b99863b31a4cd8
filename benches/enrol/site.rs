//! A running server with enrolled peers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::client::Target;
use crate::load::{Check, Manner, Peer, prepare, run};
use crate::measure::{Scratch, Server};
use crate::wire::{Ask, Key, Protector};

pub const COUNTERSIGN: &str = env!("CARGO_BIN_EXE_countersign");
/// The number of peers. Each has an account.
pub const PEERS: usize = 256;

/// A reference and its secret.
pub type Secret = (String, String);

/// `countersign serve` over a folder of its own.
pub struct Site {
    program: PathBuf,
    server: Server,
    scratch: Scratch,
    pub target: Target,
    pub secrets: Vec<Secret>,
    /// The peers, with certificates.
    pub peers: Vec<Peer>,
}

impl Site {
    /// Founds an instance, calls `fill` with its data folder, starts the server, and enrols the peers.
    pub fn start(name: &str, fill: impl FnOnce(&Path)) -> Self {
        Self::of(Path::new(COUNTERSIGN), name, fill)
    }

    /// The same with the program of another build.
    pub fn of(program: &Path, name: &str, fill: impl FnOnce(&Path)) -> Self {
        Self::founded(program, name, &[], fill)
    }

    /// The same, founded with these options of `init`.
    pub fn founded(program: &Path, name: &str, options: &[&str], fill: impl FnOnce(&Path)) -> Self {
        let scratch = Scratch::new(name);
        let folder = scratch.0.clone();
        command(&folder, program, &[&["--data", "data", "init"], options].concat());
        let config = folder.join("data/countersign.toml");
        let text = fs::read_to_string(&config).unwrap();
        let url = "[http]\npublic_url = \"http://pki.example.net\"\n";
        fs::write(&config, text.replacen("[http]\n", url, 1)).unwrap();
        fill(&folder.join("data"));
        let server = Command::new(program)
            .args(["--data", "data", "--log", "error", "serve"])
            .args(["--listen", "127.0.0.1:0", "--ldap-listen", "127.0.0.1:0"])
            .current_dir(&folder)
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("server.log")).unwrap())
            .spawn()
            .unwrap();
        let server = Server(server);
        let listen = eventually(|| {
            let text = fs::read_to_string(folder.join("data/listen")).ok()?;
            text.trim().strip_prefix("http://").map(str::to_owned)
        });
        let target = Target::cmp(&listen, "/.well-known/cmp");
        let program = program.to_owned();
        let (secrets, peers) = (Vec::new(), Vec::new());
        let mut site = Self { program, server, scratch, target, secrets, peers };
        site.secrets = site.accounts();
        site.peers = enrolled(&site.target, &site.secrets);
        site
    }

    pub fn folder(&self) -> &Path {
        &self.scratch.0
    }

    pub fn pid(&self) -> u32 {
        self.server.0.id()
    }

    /// The peers with protection by their secrets, with this many iterations.
    pub fn by_secret(&self, iterations: u32) -> Vec<Peer> {
        by_secret(&self.secrets, iterations)
    }

    fn accounts(&self) -> Vec<Secret> {
        let rows: String = (0..PEERS).map(|n| format!("gw{n},fqdn:gw{n}.example.net\n")).collect();
        fs::write(self.folder().join("peers.csv"), format!("name,ids\n{rows}")).unwrap();
        let import = ["--data", "data", "--format", "json", "peer", "import", "peers.csv"];
        let all = [&import[..], &["--uses", "4000000000"]].concat();
        let text = command(self.folder(), &self.program, &all);
        let added: serde_json::Value = serde_json::from_str(&text).unwrap();
        let field = |peer: &serde_json::Value, name| peer[name].as_str().unwrap().to_owned();
        let peers = added.as_array().unwrap().iter();
        peers.map(|peer| (field(peer, "reference"), field(peer, "secret"))).collect()
    }

    /// Stops the server by SIGTERM, and gives its folder.
    pub fn stop(mut self) -> Scratch {
        let pid = rustix::process::Pid::from_child(&self.server.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.server.0.wait().unwrap().success(), "the server ends in good order");
        self.scratch
    }

    /// The server's log, which has errors only.
    pub fn log(&self) -> PathBuf {
        self.folder().join("server.log")
    }
}

fn by_secret(secrets: &[Secret], iterations: u32) -> Vec<Peer> {
    let peer = |(reference, secret): &Secret| Peer {
        protector: Protector::mac(reference, secret.as_bytes(), iterations),
        key: Key::generate(),
    };
    secrets.iter().map(peer).collect()
}

/// Enrols a peer with each secret. Its first certificate, which is requested under a MAC, signs its further messages.
pub fn enrolled(target: &Target, secrets: &[Secret]) -> Vec<Peer> {
    let manner = Manner { ask: Ask::Ir, implicit: true };
    let mut peers = by_secret(secrets, 100);
    let prepared = prepare(target, &peers, manner, peers.len(), None);
    let first = run(target, &peers, &prepared, 16, manner, Check::Ours);
    let mut signers: Vec<_> = first.certificates;
    signers.sort_by_key(|(peer, _)| std::cmp::Reverse(*peer));
    for peer in &mut peers {
        let (_, certificate) = signers.pop().unwrap();
        let key = std::mem::replace(&mut peer.key, Key::generate());
        peer.protector = Protector::signature(key, certificate).unwrap();
    }
    peers
}

/// Runs a command, which must succeed.
pub fn command(folder: &Path, program: impl AsRef<Path>, arguments: &[&str]) -> String {
    let program = program.as_ref();
    let output = Command::new(program).args(arguments).current_dir(folder).output();
    let program = program.display();
    let output = output.unwrap_or_else(|e| panic!("`{program}`: {e}; run `make deps`"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Calls a function until it gives a value.
pub fn eventually<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(Instant::now() < deadline, "it does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
}
