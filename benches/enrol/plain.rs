//! A server without the program: the library's handler and HTTP endpoint over an authority of the bench, in a process of its own. With it,
//! the bench measures what the program has no option for: a store that does not wait for the disk, and the instructions of the handler
//! alone.

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpServer};
use countersign_ca::authority::accounts::{AccountDraft, SecretPolicy};
use countersign_ca::authority::{Authority, CrlSettings, LockSettings, Settings};
use countersign_ca::founding::CaOptions;
use countersign_ca::founding::Foundation;
use countersign_ca::profile::{DefaultUrls, Profiles};
use countersign_ca::store::{EmbeddedOptions, EmbeddedStore};
use countersign_ca::{KeyAlgorithm, KeyFolder, Passphrase, SystemClock, SystemEntropy};
use countersign_enroll::cmp::Endpoint;
use countersign_enroll::cmp::{CmpConfig, CmpService, Route};

use crate::client::Target;
use crate::goals::SIGNED_IR;
use crate::load::Peer;
use crate::measure::{Scratch, Server};
use crate::meter::Bench;
use crate::site::{PEERS, Secret, enrolled, eventually};
use crate::wire::{Ask, Key, Protector, request};

const DAY: u64 = 86_400;

/// A running server of the bench.
pub struct Plain {
    pub target: Target,
    pub peers: Vec<Peer>,
    _server: Server,
    _scratch: Scratch,
}

impl Plain {
    pub fn start(name: &str, durable: bool) -> Self {
        let scratch = Scratch::new(name);
        let server = Command::new(std::env::current_exe().unwrap())
            .args(["serve-plain", scratch.0.to_str().unwrap()])
            .args(durable.then_some("--durable"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let server = Server(server);
        let text = eventually(|| fs::read_to_string(scratch.0.join("ready")).ok());
        let mut lines = text.lines();
        let target = Target::cmp(lines.next().unwrap(), "/.well-known/cmp");
        let secret = |line: &str| {
            let (reference, secret) = line.split_once(' ').unwrap();
            (reference.to_owned(), secret.to_owned())
        };
        let secrets: Vec<Secret> = lines.map(secret).collect();
        let peers = enrolled(&target, &secrets);
        Self { target, peers, _server: server, _scratch: scratch }
    }
}

/// The server, in its own process.
pub fn serve(folder: &Path, durable: bool) {
    let service = Arc::new(service(folder, durable));
    let secrets = accounts(service.authority(), PEERS);
    let endpoint = Endpoint::new(service, 256, Arc::new(|_| {}));
    let server = HttpServer::new(move || {
        let endpoint = endpoint.clone();
        App::new().configure(move |routes| endpoint.configure(routes))
    });
    let server = server.workers(2).bind("127.0.0.1:0").unwrap();
    let secrets: String =
        secrets.iter().map(|(reference, secret)| format!("{reference} {secret}\n")).collect();
    let text = format!("{}\n{secrets}", server.addrs()[0]);
    fs::write(folder.join("making"), text).unwrap();
    fs::rename(folder.join("making"), folder.join("ready")).unwrap();
    actix_web::rt::System::new().block_on(server.run()).unwrap();
}

fn service(folder: &Path, sync: bool) -> CmpService {
    let options = EmbeddedOptions { sync, ..EmbeddedOptions::default() };
    let ground = Foundation {
        store: Arc::new(EmbeddedStore::open(folder, options, &mut |_| {}).unwrap()),
        keys: KeyFolder::new(folder.join("keys")),
        passphrase: Passphrase::new("secret").unwrap(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::default()),
    };
    ground.create_own_keys().unwrap();
    ground.create_root(&ca("CN=Root", None), KeyAlgorithm::P256).unwrap();
    let name = "issuing".parse().unwrap();
    ground.create_issuing(&name, &ca("CN=Issuing", Some(0)), KeyAlgorithm::P256).unwrap();
    let settings = Settings {
        default_ca: Some(name),
        crl: CrlSettings {
            full_urls: Vec::new(),
            validity: Duration::from_secs(7 * DAY),
            root_validity: Duration::from_secs(180 * DAY),
            interval: None,
            partitions: 0,
            partition_urls: Vec::new(),
            delta: false,
            delta_urls: Vec::new(),
            folder: folder.join("crl"),
        },
        locks: LockSettings::default(),
        responder_validity: Duration::from_secs(30 * DAY),
    };
    let urls = DefaultUrls {
        crl: vec!["http://pki.example.net/crl/{ca}.crl".into()],
        ocsp: vec!["http://pki.example.net/ocsp".into()],
        ca_issuers: vec!["http://pki.example.net/ca/{ca}.cer".into()],
    };
    let profiles = Profiles::new(&BTreeMap::new(), &urls).unwrap();
    let authority = Authority::open(ground, profiles, settings).unwrap();
    CmpService::new(Arc::new(authority), CmpConfig::default())
}

fn ca(subject: &str, path_length: Option<u8>) -> CaOptions {
    CaOptions {
        subject: countersign_ca::name::distinguished_name(subject).unwrap(),
        validity: Duration::from_secs(3650 * DAY),
        path_length,
        permitted: Vec::new(),
        excluded: Vec::new(),
        policies: Vec::new(),
        crl_urls: path_length
            .map(|_| "http://pki.example.net/crl/root.crl".into())
            .into_iter()
            .collect(),
        ocsp_urls: Vec::new(),
        ca_issuers_urls: Vec::new(),
    }
}

fn accounts(authority: &Authority, count: usize) -> Vec<Secret> {
    let draft = |n| AccountDraft {
        remarks: Default::default(),
        line: None,
        name: format!("gw{n}").parse().unwrap(),
        identities: vec![format!("fqdn:gw{n}.example.net").parse().unwrap()],
        profile: "gateway".parse().unwrap(),
        ca: None,
        equipment: None,
        secret: Some(SecretPolicy { lifetime: Duration::from_secs(DAY), uses: u32::MAX }),
        permissions: Default::default(),
    };
    let added = authority.add_accounts(&(0..count).map(draft).collect::<Vec<_>>()).unwrap();
    let secret = |new: &countersign_ca::authority::accounts::NewAccount| {
        (
            new.account.secret.as_ref().unwrap().reference.clone(),
            new.secret.as_ref().unwrap().to_string(),
        )
    };
    added.iter().map(secret).collect()
}

/// How many messages are counted.
const COUNTED: usize = 50;

/// Goal 2: the instructions from the octets of a request to the octets of its answer ÷ those of the cryptography alone, on the working
/// thread. `None` without valgrind.
pub fn instructions() -> Option<(f64, f64)> {
    let count = |function: &str| {
        let scratch = Scratch::new("instructions");
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(format!("--toggle-collect=*{function}*"))
            .arg(std::env::current_exe().ok()?)
            .args(["count", scratch.0.to_str()?])
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = text.lines().find_map(|line| line.split_once("Collected : "));
        let count: f64 = line.unwrap_or_else(|| panic!("{text}")).1.trim().parse().ok()?;
        Some(count / COUNTED as f64)
    };
    Some((count("whole_handler")?, count("cryptography_alone")?))
}

/// The work whose instructions are counted, in a process of its own: signed ir, each with two verifications and two signatures for
/// comparison.
pub fn counted(folder: &Path) {
    let service = service(folder, false);
    let (reference, secret) = accounts(service.authority(), 1).remove(0);
    let key = Key::generate();
    let by_secret = Protector::mac(&reference, secret.as_bytes(), 100);
    let first = request(Ask::Ir, &key.request(Ask::Ir, None), &by_secret, true);
    let answer = whole_handler(&service, &first.message);
    let certificate = first.granted(&answer, Some(&key.public)).unwrap().certificate.to_vec();
    let peer =
        Peer { protector: Protector::signature(key, certificate).unwrap(), key: Key::generate() };
    let content = peer.key.request(SIGNED_IR.ask, None);
    let bench = Bench::new(folder);
    for _ in 0..COUNTED {
        let request = request(SIGNED_IR.ask, &content, &peer.protector, true);
        let answer = whole_handler(&service, &request.message);
        request.granted(&answer, Some(&peer.key.public)).unwrap();
        cryptography_alone(&bench);
    }
}

#[inline(never)]
fn whole_handler(service: &CmpService, message: &[u8]) -> Vec<u8> {
    black_box(service.answer(&Route::default(), black_box(message)).unwrap().octets)
}

#[inline(never)]
fn cryptography_alone(bench: &Bench) {
    for _ in 0..2 {
        black_box(bench).verify();
        black_box(bench).sign();
    }
}
