//! A running server with a CRL of some 1 MiB and one enrolled peer, and its rivals with the same content.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use countersign_ca::record::{Account, Issued, Label, Reason, Revocation, Serial};
use countersign_ca::store::{EmbeddedOptions, EmbeddedStore};
use countersign_ca::{Store, Timestamp};

use crate::measure::{Scratch, Server};

const COUNTERSIGN: &str = env!("CARGO_BIN_EXE_countersign");
/// The number of entries of a CRL of about 1 MiB.
const REVOKED: u64 = 24_600;

/// The server and its data.
pub struct Site {
    pub server: Server,
    pub http: String,
    pub ldap: String,
    scratch: Scratch,
}

impl Site {
    /// Founds an instance, fills it, enrols a peer, and leaves the server running.
    pub fn start() -> Self {
        let scratch = Scratch::new("site");
        let folder = scratch.0.clone();
        run(&folder, COUNTERSIGN, &["--data", "data", "init"]);
        fill(&folder.join("data"));
        let server = Command::new(COUNTERSIGN)
            .args(["--data", "data", "--log", "error", "serve"])
            .args(["--listen", "127.0.0.1:0", "--ldap-listen", "127.0.0.1:0"])
            .current_dir(&folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let listen = |file: &str| {
            let text = fs::read_to_string(folder.join("data").join(file)).unwrap_or_default();
            text.trim().split("//").nth(1).map(str::to_owned)
        };
        let server = Server(server);
        let http = eventually(|| listen("listen"));
        let ldap = eventually(|| listen("listen.ldap"));
        let site = Self { server, http, ldap, scratch };
        site.enrol();
        site
    }

    pub fn folder(&self) -> &Path {
        &self.scratch.0
    }

    fn enrol(&self) {
        let text = run(
            self.folder(),
            COUNTERSIGN,
            &[
                "--data",
                "data",
                "peer",
                "add",
                "gw1",
                "--id",
                "fqdn:gw1.example.net",
                "--format",
                "json",
            ],
        );
        let peer: serde_json::Value = serde_json::from_str(&text).unwrap();
        let field = |name: &str| peer[name].as_str().unwrap().to_owned();
        self.openssl(&[
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-out",
            "gw1.key",
        ]);
        let secret = format!("pass:{}", field("secret"));
        self.openssl(&[
            "cmp",
            "-cmd",
            "ir",
            "-server",
            &self.http,
            "-path",
            ".well-known/cmp",
            "-ref",
            &field("reference"),
            "-secret",
            &secret,
            "-newkey",
            "gw1.key",
            "-certout",
            "gw1.crt",
        ]);
        // An OCSP request without a nonce, and one with.
        let issuer = ["-issuer", "data/keys/issuing.crt", "-cert", "gw1.crt"];
        self.openssl(&[&["ocsp", "-no_nonce", "-reqout", "plain.req"][..], &issuer].concat());
        self.openssl(&[&["ocsp", "-reqout", "nonce.req"][..], &issuer].concat());
    }

    pub fn openssl(&self, arguments: &[&str]) -> String {
        run(self.folder(), "openssl", arguments)
    }

    /// `openssl ocsp` with the peer's certificate in its index.
    pub fn openssl_ocsp(&self) -> (Server, String) {
        let port = free_port();
        let serial = self.openssl(&["x509", "-in", "gw1.crt", "-noout", "-serial"]);
        let serial = serial.trim().trim_start_matches("serial=").to_owned();
        fs::write(
            self.folder().join("index.txt"),
            format!("V\t301231235959Z\t\t{serial}\tunknown\t/CN=gw1\n"),
        )
        .unwrap();
        self.openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=r",
            "-keyout",
            "r.key",
            "-out",
            "r.crt",
        ]);
        let server = Command::new("openssl")
            .args([
                "ocsp",
                "-index",
                "index.txt",
                "-port",
                &port.to_string(),
                "-CA",
                "data/keys/issuing.crt",
            ])
            .args(["-rsigner", "r.crt", "-rkey", "r.key", "-ignore_err"])
            .current_dir(self.folder())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let address = format!("127.0.0.1:{port}");
        // A connection without a request would have it spin for ever.
        let request = post(&fs::read(self.folder().join("plain.req")).unwrap());
        eventually(|| {
            let mut stream = TcpStream::connect(&address).ok()?;
            stream.write_all(&request).ok()?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).ok().filter(|read| *read > 200)
        });
        (Server(server), address)
    }

    /// slapd with the peer's certificate and the CRL.
    pub fn slapd(&self) -> (Server, String) {
        let (port, folder) = (free_port(), self.folder());
        let text = folder.display();
        fs::create_dir_all(folder.join("database")).unwrap();
        fs::write(
            folder.join("slapd.conf"),
            format!(
                "include /etc/ldap/schema/core.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\npidfile {text}/pid\n\
                 sockbuf_max_incoming_auth 16777216\ndatabase mdb\nmaxsize 268435456\nsuffix \"o=Countersign\"\n\
                 rootdn \"cn=admin,o=Countersign\"\nrootpw secret\ndirectory {text}/database\n"
            ),
        )
        .unwrap();
        let address = format!("127.0.0.1:{port}");
        let server = Command::new("/usr/sbin/slapd")
            .args(["-h", &format!("ldap://{address}"), "-d", "none", "-f", "slapd.conf"])
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("slapd: run `make deps`");
        eventually(|| TcpStream::connect(&address).ok());
        self.openssl(&["x509", "-in", "gw1.crt", "-outform", "DER", "-out", "gw1.der"]);
        fs::copy(folder.join("data/crl/issuing.crl"), folder.join("issuing.der")).unwrap();
        fs::write(
            folder.join("all.ldif"),
            format!(
                "dn: o=Countersign\nobjectClass: organization\no: Countersign\n\n\
                 dn: ou=peers,o=Countersign\nobjectClass: organizationalUnit\nou: peers\n\n\
                 dn: cn=gw1,ou=peers,o=Countersign\nobjectClass: device\nobjectClass: pkiUser\ncn: gw1\n\
                 userCertificate;binary:< file://{text}/gw1.der\n\n\
                 dn: cn=issuing,o=Countersign\nobjectClass: applicationProcess\nobjectClass: pkiCA\ncn: issuing\n\
                 certificateRevocationList;binary:< file://{text}/issuing.der\n"
            ),
        )
        .unwrap();
        let url = format!("ldap://{address}");
        run(
            folder,
            "ldapadd",
            &["-x", "-H", &url, "-D", "cn=admin,o=Countersign", "-w", "secret", "-f", "all.ldif"],
        );
        (Server(server), address)
    }
}

/// An OCSP request in HTTP.
pub fn post(request: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Type: application/ocsp-request\r\nContent-Length: {}\r\n\r\n",
        request.len()
    );
    [head.as_bytes(), request].concat()
}

/// Records certificates and their revocations, as if they had been issued.
fn fill(data: &Path) {
    let store = EmbeddedStore::open(data, EmbeddedOptions::default(), &mut |_| {}).unwrap();
    let ca: Label = "issuing".parse().unwrap();
    let account: Label = "old".parse().unwrap();
    let now = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp::from_millis(since.as_millis() as i64)
    };
    let record = Account {
        name: account.clone(),
        identities: vec!["fqdn:old.example.net".parse().unwrap()],
        profile: "gateway".parse().unwrap(),
        ca: None,
        secret: None,
        equipment: None,
        created: now(),
        permissions: Default::default(),
        remarks: Default::default(),
        is_disabled: false,
        incarnation: Default::default(),
    };
    store.record_accounts(now(), &[record]).unwrap();
    let (store, ca, account, now) = (&store, &ca, &account, &now);
    std::thread::scope(|scope| {
        for part in 0..64 {
            scope.spawn(move || {
                for n in (part..REVOKED).step_by(64) {
                    let number = (u128::from(n) + 1) * 0x0123_4567_89ab_cdef_0123_4567_89ab;
                    let serial = Serial::new(number.to_be_bytes()).unwrap();
                    store.reserve_serials(now(), ca, &[serial]).unwrap();
                    let issued = Issued {
                        incarnation: None,
                        ca: ca.clone(),
                        serial,
                        account: account.clone(),
                        profile: "gateway".parse().unwrap(),
                        not_after: Timestamp::from_seconds(4_000_000_000),
                        certificate: vec![0x30, 0],
                        consumes_secret: false,
                        consumes_equipment: false,
                        transaction: None,
                        replaces: None,
                        partition: None,
                        withheld: false,
                        unpublished: false,
                        retires: None,
                    };
                    store.record_issued(now(), &issued).unwrap();
                    let revocation =
                        Revocation { at: now(), reason: Reason::Superseded, invalidity: None };
                    store.record_revoked(now(), ca, &serial, &revocation, None).unwrap();
                }
            });
        }
    });
}

fn run(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("`{program}`: {e}: run `make deps`"));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {text}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "a server does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The path of a file of the site.
pub fn path(site: &Site, name: &str) -> PathBuf {
    site.folder().join(name)
}
