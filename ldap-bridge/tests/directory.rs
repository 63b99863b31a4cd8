//! The built-in directory with independent clients: `ldapsearch`, `curl`, the ldap3 crate; and with hostile clients.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use countersign_ldap_bridge::directory::{
    Directory, DirectoryConfig, DirectoryHandle, Limits, Snapshot, TlsFiles,
};
use countersign_ldap_bridge::{Attribute, Entry};
use proptest::prelude::*;

const BASE: &str = "o=Example\\, Inc.";

struct Server {
    address: SocketAddr,
    tls_address: Option<SocketAddr>,
    handle: DirectoryHandle,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    fn start(limits: Limits, tls: Option<TlsFiles>) -> Self {
        let (told, hear) = mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let any = "127.0.0.1:0".parse().unwrap();
                let directory = Directory::bind(DirectoryConfig {
                    listen: Some(any),
                    tls_listen: tls.is_some().then_some(any),
                    tls,
                    naming_contexts: vec![BASE.parse().unwrap()],
                    limits,
                })
                .await
                .unwrap();
                let ends = (directory.address().unwrap(), directory.tls_address());
                told.send((ends, directory.handle())).unwrap();
                directory.serve(async { drop(stopped.await) }).await;
            });
        });
        let ((address, tls_address), handle) = hear.recv().unwrap();
        handle.replace(Snapshot::new(&entries()));
        Self { address, tls_address, handle, stop: Some(stop), thread: Some(thread) }
    }

    fn plain() -> Self {
        Self::start(Limits::default(), None)
    }

    fn search(&self, arguments: &[&str]) -> Output {
        let url = format!("ldap://{}", self.address);
        let first = ["-x", "-LLL", "-o", "ldif-wrap=no", "-H", &url];
        tool("ldapsearch", &[&first[..], arguments].concat())
    }

    /// The LDIF of a search that must succeed.
    #[track_caller]
    fn found(&self, arguments: &[&str]) -> String {
        let output = self.search(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn refused(&self, arguments: &[&str], code: i32) -> String {
        let output = self.search(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8(text).unwrap()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    /// Whether an honest client is served.
    fn serves(&self) -> bool {
        let mut stream = self.connect();
        let sent = stream.write_all(&base_search(1, ""));
        sent.is_ok() && message(&mut stream).is_some_and(|(tag, _)| tag == 0x64)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

fn tool(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).env("LDAPNOINIT", "1").output().unwrap_or_else(|e| {
        panic!("`{program}`: {e}; this test needs the packages `ldap-utils` and `curl`")
    })
}

fn crl() -> Bytes {
    let mut octets: Vec<u8> = (0..1u32 << 18).flat_map(u32::to_be_bytes).collect();
    octets[..6].copy_from_slice(&[0x30, 0x84, 0, 0x0f, 0xff, 0xfa]);
    octets.into()
}

fn certificate(n: u8) -> Bytes {
    vec![0x30, 3, 2, 1, n].into()
}

fn entries() -> Vec<Entry> {
    let text = |name, value: &str| Attribute::new(name, [Bytes::from(value.to_owned())]);
    let entry = |own: &str, classes, attributes| Entry {
        dn: format!("{own}{BASE}").parse().unwrap(),
        classes,
        attributes,
    };
    let issuing = vec![
        text("cn", "issuing"),
        Attribute::new("cACertificate", [certificate(1)]),
        Attribute::new("certificateRevocationList", [crl()]),
    ];
    let mut entries = vec![
        entry("", vec!["organization"], vec![text("o", "Example, Inc.")]),
        entry("ou=peers,", vec!["organizationalUnit"], vec![text("ou", "peers")]),
        entry("cn=issuing,", vec!["applicationProcess", "pkiCA"], issuing),
    ];
    for n in 0..50u8 {
        let name = format!("gw{n}");
        let certificates = [certificate(n), certificate(n + 100)];
        let attributes = vec![text("cn", &name), Attribute::new("userCertificate", certificates)];
        entries.push(entry(&format!("cn={name},ou=peers,"), vec!["device", "pkiUser"], attributes));
    }
    entries
}

/// Reads one message: the tag of the operation, and all octets behind the header.
fn message(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut header = [0; 2];
    stream.read_exact(&mut header).ok()?;
    assert_eq!(header[0], 0x30);
    let length = match header[1] {
        short @ 0..0x80 => usize::from(short),
        long => {
            let mut octets = vec![0; usize::from(long & 0x7f)];
            stream.read_exact(&mut octets).ok()?;
            octets.iter().fold(0, |length, octet| (length << 8) | usize::from(*octet))
        }
    };
    let mut content = vec![0; length];
    stream.read_exact(&mut content).ok()?;
    let tag = content[usize::from(content[1]) + 2];
    Some((tag, content))
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len() as u32;
    match length {
        0..0x80 => [&[tag, length as u8], content].concat(),
        _ => [&[tag, 0x84], &length.to_be_bytes()[..], content].concat(),
    }
}

fn request(id: u8, operation: &[u8], controls: &[u8]) -> Vec<u8> {
    element(0x30, &[&[2, 1, id], operation, controls].concat())
}

fn search(id: u8, base: &str, scope: u8, filter: &[u8], controls: &[u8]) -> Vec<u8> {
    let content = [
        element(4, base.as_bytes()),
        vec![0x0a, 1, scope, 0x0a, 1, 0, 2, 1, 0, 2, 1, 0, 1, 1, 0],
        filter.to_vec(),
        vec![0x30, 0],
    ];
    request(id, &element(0x63, &content.concat()), controls)
}

fn present() -> Vec<u8> {
    element(0x87, b"objectClass")
}

fn base_search(id: u8, base: &str) -> Vec<u8> {
    search(id, base, 0, &present(), &[])
}

/// The result code of an LDAPResult message.
fn code(content: &[u8]) -> u8 {
    let at = content.windows(2).position(|window| window == [0x0a, 1]).unwrap();
    content[at + 2]
}

#[test]
fn ldapsearch_finds_what_was_put_in() {
    let server = Server::plain();
    let base64 = |octets: &[u8]| data_encoding::BASE64.encode(octets);
    let issuing = format!("cn=issuing,{BASE}");
    // With and without `;binary`, by name in any case and by OID.
    for attribute in [
        "certificateRevocationList",
        "certificateRevocationList;binary",
        "CERTIFICATEREVOCATIONLIST",
        "2.5.4.39",
    ] {
        let ldif = server.found(&["-b", &issuing, "-s", "base", "(objectClass=*)", attribute]);
        let (dn, rest) = ldif.split_once('\n').unwrap();
        assert!(dn.starts_with("dn: cn=issuing,o=Example"), "{dn}");
        assert_eq!(rest, format!("certificateRevocationList;binary:: {}\n\n", base64(&crl())));
    }
    let all = server.found(&["-b", "CN=Issuing, O=example\\, inc.", "-s", "base"]);
    assert!(all.contains("objectClass: pkiCA") && all.contains("cACertificate;binary::"), "{all}");
    assert!(!all.contains("subschemaSubentry"));
    let base = ["-b", &issuing, "-s", "base", "(objectClass=*)"];
    let operational = server.found(&[&base[..], &["+", "1.1"]].concat());
    assert!(operational.contains("subschemaSubentry: cn=Subschema"), "{operational}");
    assert!(!operational.contains("cn: "), "{operational}");
    assert_eq!(server.found(&[&base[..], &["1.1"]].concat()).lines().count(), 2);
    let types = server.found(&[&["-A"], &base[..], &["cACertificate"]].concat());
    assert!(types.contains("cACertificate;binary:\n"), "{types}");
    let peer = format!("cn=gw7,ou=peers,{BASE}");
    let both = server.found(&["-b", &peer, "-s", "base", "(cn=*)", "userCertificate"]);
    assert!(both.contains(&base64(&certificate(7))) && both.contains(&base64(&certificate(107))));

    let count = |arguments: &[&str]| server.found(arguments).matches("dn:").count();
    assert_eq!(count(&["-b", BASE, "-s", "sub", "(objectClass=*)", "1.1"]), 53);
    assert_eq!(count(&["-b", BASE, "-s", "one", "(objectClass=*)", "1.1"]), 2);
    assert_eq!(count(&["-b", BASE, "-s", "children", "(objectClass=*)", "1.1"]), 52);
    assert_eq!(count(&["-b", "", "-s", "one", "(objectClass=*)", "1.1"]), 1);
    let filter = "(&(objectClass=device)(|(cn=gw1)(cn=GW2*))(!(cn=gw29)))";
    assert_eq!(count(&["-b", BASE, filter, "1.1"]), 11);
    assert_eq!(count(&["-b", BASE, "-E", "pr=7/noprompt", "(objectClass=*)", "1.1"]), 53);
    assert_eq!(count(&["-b", BASE, "(userCertificate=*)", "1.1"]), 50);
    let root = server.found(&["-b", "", "-s", "base", "(objectClass=*)", "*", "+"]);
    for line in [
        "namingContexts: ",
        "supportedLDAPVersion: 3",
        "supportedControl: 1.2.840.113556.1.4.319",
        "vendorName: Countersign",
    ] {
        assert!(root.contains(line), "{line}: {root}");
    }
    assert!(!root.contains("1466.20037"), "no StartTLS without a certificate");
    let schema = ["-b", "cn=subschema", "-s", "base", "(objectClass=subschema)", "+", "*"];
    let schema = server.found(&schema);
    assert!(schema.contains("NAME 'certificateRevocationList'"), "{schema}");
    assert!(schema.contains("NAME 'pkiCA'"), "{schema}");

    let why = server.refused(&["-b", &format!("cn=x,cn=issuing,{BASE}"), "-s", "base"], 32);
    assert!(why.contains("Matched DN: cn=issuing"), "{why}");
    server.refused(&["-b", "o=Elsewhere"], 32);
    server.refused(&["-b", "no dn at all"], 34);
    server.refused(&["-z", "5", "-b", BASE], 4);
    server.refused(&["-b", BASE, "-s", "base", "-E", "!sync=ro"], 12);
    assert_eq!(count(&["-b", BASE, "-M", "-s", "base", "(objectClass=*)", "1.1"]), 1);
}

#[test]
fn curl_and_another_library_read_the_same_octets() {
    let server = Server::plain();
    let folder = tempfile::tempdir().unwrap();
    let url = format!(
        "ldap://{}/cn=issuing,o=Example%5C,%20Inc.?certificateRevocationList;binary?base",
        server.address
    );
    let out = folder.path().join("out");
    let output = tool("curl", &["-s", "-S", "-o", out.to_str().unwrap(), &url]);
    assert!(output.status.success(), "{output:?}");
    let text = std::fs::read_to_string(&out).unwrap();
    let (_, value) = text.split_once("certificateRevocationList;binary:: ").unwrap();
    assert_eq!(data_encoding::BASE64.decode(value.trim().as_bytes()).unwrap(), crl());

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // A hundred clients at once, each with a value of a mebibyte.
        let clients = (0..100).map(|_| {
            let url = format!("ldap://{}", server.address);
            tokio::spawn(async move {
                let (connection, mut ldap) = ldap3::LdapConnAsync::new(&url).await.unwrap();
                ldap3::drive!(connection);
                ldap.simple_bind("", "").await.unwrap().success().unwrap();
                let (base, attribute) =
                    (format!("cn=issuing,{BASE}"), "certificateRevocationList;binary");
                let found = ldap
                    .search(&base, ldap3::Scope::Base, "(objectClass=*)", vec![attribute])
                    .await
                    .unwrap();
                let (entries, _) = found.success().unwrap();
                let entry = ldap3::SearchEntry::construct(entries.into_iter().next().unwrap());
                entry.bin_attrs[attribute][0].clone()
            })
        });
        for client in clients.collect::<Vec<_>>() {
            assert_eq!(client.await.unwrap(), crl());
        }
    });
    let counts = server.handle.counts();
    assert!(counts.connections() >= 101 && counts.searches() >= 101);
}

#[test]
fn nobody_writes_and_nobody_has_a_name() {
    let server = Server::plain();
    let url = format!("ldap://{}", server.address);
    let folder = tempfile::tempdir().unwrap();
    let ldif = folder.path().join("ldif");
    for (text, flags) in [
        (format!("dn: cn=issuing,{BASE}\nchangetype: modify\nreplace: cn\ncn: x\n"), &[][..]),
        (format!("dn: cn=new,{BASE}\nobjectClass: device\ncn: new\n"), &["-a"][..]),
        (format!("dn: cn=issuing,{BASE}\nchangetype: delete\n"), &[]),
        (
            format!("dn: cn=issuing,{BASE}\nchangetype: modrdn\nnewrdn: cn=x\ndeleteoldrdn: 1\n"),
            &[],
        ),
    ] {
        std::fs::write(&ldif, &text).unwrap();
        let arguments = [&["-x", "-H", &url, "-f", ldif.to_str().unwrap()][..], flags].concat();
        let output = tool("ldapmodify", &arguments);
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(53) && why.contains("read-only"), "{text}: {why}");
    }
    let bind = |flags: &[&str], code: i32| {
        let output = tool("ldapwhoami", &[&["-H", &url][..], flags].concat());
        assert_eq!(output.status.code(), Some(code), "{flags:?}: {output:?}");
    };
    bind(&["-x"], 0);
    bind(&["-x", "-D", "cn=admin", "-w", "secret"], 49);
    let entry = format!("cn=gw1,ou=peers,{BASE}");
    for (assertion, code) in
        [("cn:GW1", 6), ("cn:gw2", 5), ("ou:x", 16), ("colour:red", 17), ("userCertificate:x", 18)]
    {
        let output = tool("ldapcompare", &["-x", "-H", &url, &entry, assertion]);
        assert_eq!(output.status.code(), Some(code), "{assertion}: {output:?}");
    }
    // Requests that ldapwhoami cannot send: a name without a password, and version 2.
    let mut stream = server.connect();
    let bind = |version: u8, name: &[u8]| {
        let content = [&[2, 1, version], &element(4, name)[..], &[0x80, 0]].concat();
        request(1, &element(0x60, &content), &[])
    };
    let sasl = [&[2, 1, 3, 4, 0], &element(0xa3, &element(4, b"EXTERNAL"))[..]].concat();
    let sasl = request(1, &element(0x60, &sasl), &[]);
    let cases = [(bind(3, b"cn=admin"), 53), (bind(2, b""), 2), (sasl, 7), (bind(3, b""), 0)];
    for (octets, expected) in cases {
        stream.write_all(&octets).unwrap();
        assert_eq!(code(&message(&mut stream).unwrap().1), expected);
    }
    assert!(server.serves());
}

/// A certificate for 127.0.0.1 and its key, in files.
fn tls_files(folder: &Path) -> TlsFiles {
    use std::os::unix::fs::PermissionsExt;
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let files = TlsFiles { certificate: folder.join("tls.crt"), key: folder.join("tls.key") };
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(0o600)).unwrap();
    files
}

#[test]
fn tls_by_starttls_and_by_port() {
    let folder = tempfile::tempdir().unwrap();
    let files = tls_files(folder.path());
    let server = Server::start(Limits::default(), Some(files.clone()));
    let whoami = |arguments: &[&str], ca: &Path| {
        let mut command = Command::new("ldapwhoami");
        command.arg("-x").args(arguments).env("LDAPTLS_CACERT", ca).output().unwrap()
    };
    let plain = format!("ldap://{}", server.address);
    let secure = format!("ldaps://{}", server.tls_address.unwrap());
    for arguments in [&["-ZZ", "-H", &plain][..], &["-H", &secure]] {
        let output = whoami(arguments, &files.certificate);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
    // Another certificate is read while the server runs, and replaces the former one.
    let old = folder.path().join("old.crt");
    std::fs::copy(&files.certificate, &old).unwrap();
    tls_files(folder.path());
    server.handle.reload_tls().unwrap();
    assert!(whoami(&["-H", &secure], &files.certificate).status.success());
    assert!(!whoami(&["-H", &secure], &old).status.success());
    std::fs::write(&files.certificate, "junk").unwrap();
    assert!(server.handle.reload_tls().is_err());

    // Octets sent in the clear behind the request do not count as encrypted.
    let mut stream = server.connect();
    let starttls = request(1, &element(0x77, &element(0x80, b"1.3.6.1.4.1.1466.20037")), &[]);
    stream.write_all(&[starttls, base_search(2, "")].concat()).unwrap();
    let (tag, content) = message(&mut stream).unwrap();
    assert_eq!((tag, code(&content)), (0x78, 1));
    assert_eq!(message(&mut stream).unwrap().0, 0x64, "it is answered in the clear");
    assert!(server.serves());
}

#[test]
fn what_cannot_be_read_ends_with_a_notice() {
    let server = Server::plain();
    let depth = |n: usize| (0..n).fold(present(), |filter, _| element(0xa2, &filter));
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("http", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("too large", vec![0x30, 0x84, 0, 1, 0, 0]),
        ("a length of a length", vec![0x30, 0x89, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
        ("indefinite", vec![0x30, 0x80, 2, 1, 1, 0, 0]),
        ("empty", vec![0x30, 0]),
        ("too deep", search(1, "", 0, &depth(1000), &[])),
        ("no identifier", element(0x30, &element(0x63, b""))),
        ("a negative one", element(0x30, &[&[2, 1, 0x80], &element(0x42, b"")[..]].concat())),
        ("two operations", request(1, &element(0x42, b""), &element(0x42, b""))),
    ];
    for (what, octets) in cases {
        let mut stream = server.connect();
        stream.write_all(&octets).unwrap();
        let (tag, content) = message(&mut stream).unwrap_or_else(|| panic!("{what}: no notice"));
        assert_eq!((tag, code(&content), content[2]), (0x78, 2, 0), "{what}");
        assert!(content.windows(22).any(|window| window == b"1.3.6.1.4.1.1466.20036"), "{what}");
        assert!(message(&mut stream).is_none(), "{what}: it is closed");
    }
    assert!(server.serves());
    // These are answered, and the connection stays open.
    let unknown = |critical: bool| {
        let mut control = element(4, b"1.2.3.4");
        if critical {
            control.extend([1, 1, 0xff]);
        }
        element(0xa0, &element(0x30, &control))
    };
    let wide = element(0xa1, &(0..200).flat_map(|_| present()).collect::<Vec<u8>>());
    let foreign = element(0xa3, &[element(4, b"cn"), element(4, &[0xff, 0xfe])].concat());
    let mut stream = server.connect();
    for (what, octets, expected) in [
        ("unknown and critical", search(1, "", 0, &present(), &unknown(true)), 12),
        ("filter too deep", search(1, "", 0, &depth(17), &[]), 53),
        ("filter too wide", search(1, "", 0, &wide, &[]), 53),
        ("a value that is not UTF-8 is Undefined", search(1, "", 0, &foreign, &[]), 0),
        ("no filter", request(1, &element(0x63, &[4, 0]), &[]), 2),
        ("unknown operation", request(1, &element(0x5f, b""), &[]), 2),
        ("unknown extension", request(1, &element(0x77, &element(0x80, b"1.2.3")), &[]), 2),
    ] {
        stream.write_all(&octets).unwrap();
        let (_, content) = message(&mut stream).unwrap_or_else(|| panic!("{what}: no answer"));
        assert_eq!((content[2], code(&content)), (1, expected), "{what}");
    }
    stream.write_all(&search(9, "", 0, &present(), &unknown(false))).unwrap();
    assert_eq!(message(&mut stream).unwrap().0, 0x64, "unknown and not critical");
}

#[test]
fn slow_silent_and_many_clients_cost_little_and_hinder_nobody() {
    let patience = Duration::from_millis(600);
    let limits = Limits {
        max_connections: 40,
        max_connections_per_address: 30,
        idle: patience,
        request_time: patience,
        write: patience,
        ..Limits::default()
    };
    let server = Server::start(limits, None);
    // Clients that are silent, or silent or slow in the middle of a request: all get a notice, and are closed.
    let mut silent = server.connect();
    let mut begun = server.connect();
    begun.write_all(&base_search(1, "")[..5]).unwrap();
    let mut dripping = server.connect();
    let drip = std::thread::spawn(move || {
        for octet in base_search(1, "") {
            if dripping.write_all(&[octet]).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        message(&mut dripping).map(|(tag, content)| (tag, code(&content)))
    });
    // Clients that stop reading while mebibytes are being sent.
    let stalled: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = server.connect();
            for id in 0..16 {
                let _ = stream.write_all(&base_search(id, &format!("cn=issuing,{BASE}")));
            }
            stream
        })
        .collect();
    assert!(server.serves());
    for stream in [&mut silent, &mut begun] {
        let (tag, content) = message(stream).unwrap();
        assert_eq!((tag, code(&content)), (0x78, 52));
        assert!(message(stream).is_none());
    }
    assert_eq!(drip.join().unwrap(), Some((0x78, 52)));
    // The stalled clients are closed, and their slots are free again.
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let mut held: Vec<TcpStream> = (0..25).map(|_| server.connect()).collect();
        let all = held.iter_mut().all(|stream| {
            let sent = stream.write_all(&base_search(1, ""));
            sent.is_ok() && message(stream).is_some_and(|(tag, _)| tag == 0x64)
        });
        if all {
            break;
        }
        assert!(Instant::now() < deadline, "stalled readers keep their places");
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(stalled);
    // Too many connections from one address get a notice at once.
    let before = server.handle.counts().turned_away();
    let mut many: Vec<TcpStream> = (0..60).map(|_| server.connect()).collect();
    let busy = many.iter_mut().filter_map(|stream| {
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        message(stream).filter(|(tag, content)| (*tag, code(content)) == (0x78, 51))
    });
    assert!(busy.count() >= 25);
    assert!(server.handle.counts().turned_away() >= before + 25);
    drop(many);
    while !server.serves() {
        assert!(Instant::now() < deadline + Duration::from_secs(20), "places are not given back");
    }
}

#[test]
fn requests_are_answered_in_their_order_and_abandoned_ones_end() {
    let server = Server::plain();
    let mut stream = server.connect();
    let all: Vec<u8> = (0..1000u32).flat_map(|id| base_search((id % 100) as u8, BASE)).collect();
    let mut writer = stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || writer.write_all(&all).unwrap());
    for id in 0..1000u32 {
        for expected in [0x64, 0x65] {
            let (tag, content) = message(&mut stream).unwrap();
            assert_eq!((tag, u32::from(content[2])), (expected, id % 100));
        }
    }
    sender.join().unwrap();
    // Abandon a request that does not exist, and an earlier one; then continue.
    let abandon = |id: u8, which: u8| request(id, &element(0x50, &[which]), &[]);
    let sent =
        [abandon(1, 77), search(2, BASE, 2, &present(), &[]), abandon(3, 2), base_search(4, BASE)];
    stream.write_all(&sent.concat()).unwrap();
    let mut tags = Vec::new();
    while tags.last() != Some(&(0x65, 4)) {
        let (tag, content) = message(&mut stream).unwrap();
        tags.push((tag, content[2]));
    }
    assert!(!tags.contains(&(0x65, 2)), "an abandoned search has no result: {tags:?}");
    // A client that has closed its sending side is still answered.
    let mut half = server.connect();
    half.write_all(&base_search(1, BASE)).unwrap();
    half.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(message(&mut half).unwrap().0, 0x64);
    assert_eq!(message(&mut half).unwrap().0, 0x65);
}

#[test]
fn a_filter_whose_value_is_a_certificate_is_undefined_and_the_rest_of_it_counts() {
    let server = Server::plain();
    let hex =
        |octets: &[u8]| octets.iter().map(|octet| format!("\\{octet:02x}")).collect::<String>();
    let der = hex(b"\x30\x82\x01\x00\xff\xfe");
    let names = |filter: &str| {
        let found = server.found(&["-b", BASE, filter, "1.1"]);
        found.lines().filter(|line| line.starts_with("dn: ")).count()
    };
    let all = names("(cn=issuing)");
    assert!(all > 0);
    for (filter, expected) in [
        (format!("(|(cn=issuing)(userCertificate;binary={der}))"), all),
        (
            format!("(|(cACertificate={der})(certificateRevocationList;binary={der})(cn=issuing))"),
            all,
        ),
        (format!("(&(cn=issuing)(userCertificate;binary={der}))"), 0),
        (format!("(&(cn=issuing)(!(userCertificate={der})))"), 0),
        (format!("(cn={der})"), 0),
        (format!("(|(cn=issuing)(cn=*{der}*))"), all),
        (format!("(|(cn=issuing)(userCertificate:2.5.13.34:={der}))"), all),
    ] {
        assert_eq!(names(&filter), expected, "{filter}");
    }
}

#[test]
fn an_idle_client_gives_its_place_to_others() {
    let limits = Limits { max_connections: 8, max_connections_per_address: 4, ..Limits::default() };
    let server = Server::start(limits, None);
    let mut idle: Vec<TcpStream> = (0..20).map(|_| server.connect()).collect();
    // Each new client is served, although one address has as many idle connections as it may.
    let mut newcomer = server.connect();
    newcomer.write_all(&base_search(1, "")).unwrap();
    assert_eq!(message(&mut newcomer).unwrap().0, 0x64);
    let (tag, content) = message(&mut idle[0]).unwrap();
    assert_eq!((tag, code(&content)), (0x78, 51), "it is told so");
    assert!(message(&mut idle[0]).is_none());
}

#[test]
fn pages_go_on_while_the_entries_change() {
    let server = Server::plain();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let found = runtime.block_on(async {
        use ldap3::controls::{Control, ControlType, PagedResults};
        let url = format!("ldap://{}", server.address);
        let (connection, mut ldap) = ldap3::LdapConnAsync::new(&url).await.unwrap();
        ldap3::drive!(connection);
        let (mut found, mut cookie, mut left) = (Vec::new(), Vec::new(), entries());
        loop {
            let page = PagedResults { size: 20, cookie: cookie.clone() };
            let result = ldap
                .with_controls(page)
                .search(BASE, ldap3::Scope::Subtree, "(objectClass=*)", vec!["1.1"])
                .await
                .unwrap();
            let controls = result.1.ctrls.clone();
            let (entries, _) = result.success().unwrap();
            found.extend(entries.into_iter().map(|e| ldap3::SearchEntry::construct(e).dn));
            let next = controls.iter().find_map(|control| match control {
                Control(Some(ControlType::PagedResults), raw) => Some(raw.parse::<PagedResults>()),
                _ => None,
            });
            cookie = next.expect("a paged results control").cookie;
            if cookie.is_empty() {
                return found;
            }
            // One entry before and one behind the position are removed before the next page.
            left.remove(3);
            left.pop();
            server.handle.replace(Snapshot::new(&left));
        }
    });
    let distinct: std::collections::BTreeSet<&String> = found.iter().collect();
    assert_eq!(distinct.len(), found.len(), "no entry twice");
    assert!((49..=53).contains(&found.len()), "{}", found.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn no_octets_hinder_the_next_client(
        seeds in proptest::collection::vec(any::<(u16, u8, u8)>(), 1..60),
        junk in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        thread_local!(static SERVER: Server = Server::plain());
        SERVER.with(|server| {
            let mut octets = [
                base_search(1, BASE),
                search(2, BASE, 2, &element(0xa0, &present()), &[]),
                request(3, &element(0x60, &[2, 1, 3, 4, 0, 0x80, 0]), &[]),
            ]
            .concat();
            for (at, value, kind) in &seeds {
                let at = usize::from(*at) % octets.len();
                match kind % 3 {
                    0 => octets[at] = *value,
                    1 => octets.insert(at, *value),
                    _ => drop(octets.remove(at)),
                }
            }
            for sent in [&octets, &junk] {
                let mut stream = server.connect();
                let _ = stream.write_all(sent);
                let _ = stream.shutdown(std::net::Shutdown::Write);
                let mut answer = Vec::new();
                let _ = stream.read_to_end(&mut answer);
            }
            assert!(server.serves());
        });
    }
}
