//! OCSP end to end, checked by programs that we did not write: `openssl ocsp`, curl, pkilint.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::der::{Element, elements, seq, tlv};
use common::openssl::{enrol, key};
use common::{Answer, COUNTERSIGN, Instance, at_another_time, tool, tool_ok};
use x509_parser::prelude::FromDer;

const PUBLIC_URL: &str = "[http]\npublic_url = \"http://pki.example.net/\"\n";

/// The media type of requests.
const REQUEST: &str = "application/ocsp-request";

/// OCSPResponseStatus.
const MALFORMED: u8 = 1;
const TRY_LATER: u8 = 3;
const UNAUTHORIZED: u8 = 6;

/// An instance with this configuration, a peer `gw1` and its certificate in `gw1.crt`, running.
fn instance(config: &str, flags: &[&str]) -> Instance {
    let mut instance = Instance::empty();
    fs::create_dir(instance.data()).expect("a folder");
    fs::write(instance.data().join("countersign.toml"), config).expect("a file");
    instance.ok(&[&["init"], flags].concat());
    instance.serve();
    add(&instance, "gw1");
    instance
}

fn add(instance: &Instance, name: &str) {
    let peer = instance.peer(name, &[&format!("fqdn:{name}.example.net")]);
    key(instance, "p256", "peer.key");
    enrol(instance, &peer, "peer.key", &[]).granted();
}

fn serial(instance: &Instance, account: &str) -> String {
    instance.certificates(account)[0]["serial"].as_str().expect("a serial").to_owned()
}

/// `openssl ocsp` by POST. It trusts the issuing CA only, and no root.
fn ask(instance: &Instance, arguments: &[&str]) -> String {
    let url = format!("http://{}/ocsp", instance.address);
    let all = [
        &["ocsp", "-CAfile", "data/keys/issuing.crt", "-partial_chain", "-url", &url][..],
        &["-issuer", "data/keys/issuing.crt"],
        arguments,
    ]
    .concat();
    let text = tool_ok("openssl", "openssl", &all, &instance.file("."));
    assert!(text.contains("Response verify OK"), "{text}");
    assert!(!text.contains("WARNING") && !text.contains("Nonce"), "{text}");
    text
}

/// The request of `openssl ocsp`, without sending it.
fn written(instance: &Instance, arguments: &[&str]) -> Vec<u8> {
    let all =
        [&["ocsp", "-reqout", "request.der", "-issuer", "data/keys/issuing.crt"][..], arguments]
            .concat();
    tool_ok("openssl", "openssl", &all, &instance.file("."));
    fs::read(instance.file("request.der")).expect("a request")
}

/// `openssl ocsp` on an answer in a file.
fn read(instance: &Instance, answer: &[u8], arguments: &[&str]) -> String {
    fs::write(instance.file("answer.der"), answer).expect("a file");
    let all =
        [
            &[
                "ocsp",
                "-respin",
                "answer.der",
                "-CAfile",
                "data/keys/issuing.crt",
                "-partial_chain",
            ][..],
            &["-no_nonce", "-issuer", "data/keys/issuing.crt"],
            arguments,
        ]
        .concat();
    tool_ok("openssl", "openssl", &all, &instance.file("."))
}

fn post(instance: &Instance, request: &[u8]) -> Answer {
    let answer = instance.http("POST", "/ocsp", REQUEST, request).expect("an answer");
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.header("content-type"), Some("application/ocsp-response"));
    assert_eq!(answer.header("cache-control"), Some("no-cache, no-store"));
    assert_eq!((answer.header("etag"), answer.header("expires")), (None, None));
    answer
}

fn get(instance: &Instance, path: &str) -> Answer {
    instance.http("GET", &format!("/ocsp/{path}"), "", &[]).expect("an answer")
}

/// The OCSPResponseStatus of an answer, which must have nothing else.
fn refusal(answer: &[u8]) -> u8 {
    assert_eq!(
        answer[..4],
        [0x30, 3, 0x0a, 1],
        "an answer with a status and nothing else: {answer:?}"
    );
    assert_eq!(answer.len(), 5);
    answer[4]
}

/// The parts of ResponseData (RFC 6960 §4.2.1).
struct Data {
    responder: Vec<u8>,
    first: Vec<Element>,
    extensions: Option<Element>,
    certificate: Vec<u8>,
}

impl Data {
    fn of(answer: &[u8]) -> Self {
        let outer = elements(answer)[0].parts();
        assert_eq!(outer[0].content, [0], "successful");
        let bytes = outer[1].parts()[0].parts();
        let basic = elements(&bytes[1].content)[0].parts();
        let data = basic[0].parts();
        assert_eq!(data[0].tag, 0xa2, "no version, and the responder by its key");
        let certificates = basic[3].parts()[0].parts();
        assert_eq!(certificates.len(), 1);
        Self {
            responder: data[0].parts()[0].content.clone(),
            first: data[2].parts()[0].parts(),
            extensions: data.get(3).cloned(),
            certificate: certificates[0].whole.clone(),
        }
    }

    /// thisUpdate and nextUpdate.
    fn times(&self) -> (String, String) {
        let text = |element: &Element| String::from_utf8(element.content.clone()).expect("ASCII");
        (text(&self.first[2]), text(&self.first[3].parts()[0]))
    }
}

/// Asserts that a program of pkilint prints only headings.
fn finds_nothing(instance: &Instance, program: &str, file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/bin").join(program);
    assert!(path.exists(), "this test needs pkilint in `{}`: run `make deps`", path.display());
    let arguments = ["lint", "-s", "NOTICE", file];
    let output = tool(path.to_str().expect("UTF-8"), "pkilint", &arguments, &instance.file("."));
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let found = ["NOTICE", "WARNING", "ERROR", "FATAL"].iter().any(|word| text.contains(word));
    assert!(output.status.success() && !found, "{program} {file}:\n{text}");
}

fn lint(instance: &Instance, answer: &[u8]) {
    fs::write(instance.file("lint.der"), answer).expect("a file");
    finds_nothing(instance, "lint_ocsp_response", "lint.der");
}

#[test]
fn a_change_of_status_is_in_the_next_answer() {
    let instance = instance(PUBLIC_URL, &[]);
    add(&instance, "gw2");
    let gw1 = serial(&instance, "gw1");
    let plain = written(&instance, &["-no_nonce", "-cert", "gw1.crt"]);
    let path = data_encoding::BASE64.encode(&plain);
    // By POST with and without a nonce, with both hashes, and by GET: each time the same.
    let everywhere = |expected: &str| {
        for more in [&[][..], &["-no_nonce"], &["-sha256"], &["-sha256", "-no_nonce"]] {
            let text = ask(&instance, &[more, &["-cert", "gw1.crt"]].concat());
            assert!(text.contains(&format!("gw1.crt: {expected}")), "{more:?}: {text}");
        }
        for _ in 0..2 {
            let answer = get(&instance, &path);
            let text = read(&instance, &answer.body, &["-cert", "gw1.crt"]);
            assert!(text.contains(&format!("gw1.crt: {expected}")), "{text}");
        }
    };
    everywhere("good");
    lint(&instance, &post(&instance, &plain).body);
    instance.ok(&["cert", "hold", &gw1]);
    everywhere("revoked");
    let text = ask(&instance, &["-cert", "gw1.crt"]);
    assert!(text.contains("Reason: certificateHold"), "{text}");
    lint(&instance, &post(&instance, &plain).body);
    instance.ok(&["cert", "release", &gw1]);
    everywhere("good");
    instance.ok(&["cert", "revoke", &gw1, "--reason", "keyCompromise"]);
    everywhere("revoked");
    let text = ask(&instance, &["-cert", "gw1.crt"]);
    assert!(text.contains("Reason: keyCompromise") && text.contains("Revocation Time: "), "{text}");
    let with_nonce = written(&instance, &["-cert", "gw1.crt"]);
    lint(&instance, &post(&instance, &with_nonce).body);
    // A reason that is not given is not told.
    instance.ok(&["cert", "revoke", &serial(&instance, "gw2")]);
    let text = ask(&instance, &["-cert", "gw2.crt"]);
    assert!(text.contains("gw2.crt: revoked") && !text.contains("Reason"), "{text}");
    // What was kept was told as such, and what was not was not.
    let metrics = instance.http("GET", "/metrics", "", &[]).expect("metrics");
    let metrics = String::from_utf8(metrics.body).expect("UTF-8");
    for line in [
        "countersign_ocsp_answers_total{status=\"good\",cached=\"true\"} ",
        "countersign_ocsp_answers_total{status=\"revoked\",cached=\"true\"} ",
        "countersign_ocsp_responder_not_after_timestamp_seconds{ca=\"issuing\"} ",
        "countersign_ocsp_responder_not_after_timestamp_seconds{ca=\"root\"} ",
    ] {
        assert!(metrics.contains(line), "{line} is not in:\n{metrics}");
    }
}

#[test]
fn a_crowd_that_asks_does_not_keep_an_old_status_alive() {
    let instance = instance("", &[]);
    let gw1 = serial(&instance, "gw1");
    let plain = written(&instance, &["-no_nonce", "-cert", "gw1.crt"]);
    let path = data_encoding::BASE64.encode(&plain);
    let statuses =
        || [post(&instance, &plain), get(&instance, &path)].map(|a| Data::of(&a.body).first[1].tag);
    let done = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    statuses();
                }
            });
        }
        let mut seen = Vec::new();
        for _ in 0..4 {
            for (verb, expected) in [("hold", 0xa1), ("release", 0x80)] {
                let ok = instance.run(&["cert", verb, &gw1]).status.success();
                seen.push((ok, statuses(), [expected; 2]));
            }
        }
        done.store(true, Ordering::Relaxed);
        seen
    });
    for (ok, found, expected) in seen {
        assert!(ok && found == expected, "{found:x?}, expected {expected:x?}");
    }
}

#[test]
fn many_certificates_unknown_ones_and_other_issuers() {
    let instance = instance(PUBLIC_URL, &[]);
    add(&instance, "gw2");
    instance.ok(&["cert", "revoke", &serial(&instance, "gw2"), "--reason", "superseded"]);
    let text = ask(
        &instance,
        &["-cert", "gw1.crt", "-sha256", "-cert", "gw2.crt", "-serial", "0x0123456789abcdef"],
    );
    for expected in ["gw1.crt: good", "gw2.crt: revoked", "Reason: superseded", "abcdef: unknown"] {
        assert!(text.contains(expected), "{expected} is not in:\n{text}");
    }
    // The instance's own certificates, and the longest serial number that there may be.
    let own = ask(&instance, &["-cert", "data/keys/issuing.cmp.crt"]);
    assert!(own.contains("issuing.cmp.crt: good"), "{own}");
    let longest = format!("0x7f{}", "ff".repeat(19));
    assert!(ask(&instance, &["-serial", &longest]).contains(": unknown"));
    lint(&instance, &post(&instance, &written(&instance, &["-serial", "5"])).body);
    // The root answers about the issuing CA, and openssl trusts nothing but the root for that.
    let url = format!("http://{}/ocsp", instance.address);
    let root =
        ["ocsp", "-CAfile", "data/keys/root.crt", "-issuer", "data/keys/root.crt", "-url", &url];
    let text = tool_ok(
        "openssl",
        "openssl",
        &[&root[..], &["-cert", "data/keys/issuing.crt"]].concat(),
        &instance.file("."),
    );
    assert!(text.contains("Response verify OK") && text.contains("issuing.crt: good"), "{text}");
    // Two CAs in one request, and a CA of somebody else.
    let both = [
        &["-cert", "gw1.crt", "-issuer", "data/keys/root.crt"][..],
        &["-cert", "data/keys/issuing.crt"],
    ];
    let both = written(&instance, &both.concat());
    assert_eq!(refusal(&post(&instance, &both).body), UNAUTHORIZED);
    assert!(instance.log().contains("several CAs"), "the reason is in the log");
    let arguments =
        ["-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=Other", "-keyout", "o.key"];
    tool_ok(
        "openssl",
        "openssl",
        &[&["req"], &arguments[..], &["-out", "other.crt"]].concat(),
        &instance.file("."),
    );
    let foreign = ["ocsp", "-issuer", "other.crt", "-serial", "1", "-reqout", "request.der"];
    tool_ok("openssl", "openssl", &foreign, &instance.file("."));
    let foreign = fs::read(instance.file("request.der")).expect("a request");
    assert_eq!(refusal(&post(&instance, &foreign).body), UNAUTHORIZED);
    // A signed request is a request.
    let signed =
        written(&instance, &["-cert", "gw1.crt", "-signer", "other.crt", "-signkey", "o.key"]);
    assert_eq!(elements(&signed)[0].parts().len(), 2, "it is signed");
    assert!(
        read(&instance, &post(&instance, &signed).body, &["-cert", "gw1.crt"]).contains(": good")
    );
}

/// A Request for one serial number of the issuing CA, identified by SHA-1, with what may follow the CertID.
fn single(instance: &Instance, serial: &[u8], more: &[u8]) -> Vec<u8> {
    let pem = fs::read(instance.data().join("keys/issuing.crt")).expect("a certificate");
    let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).expect("PEM");
    let (_, ca) = x509_parser::certificate::X509Certificate::from_der(&pem.contents).expect("DER");
    let sha1 = |octets: &[u8]| {
        let hash = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, octets);
        tlv(4, hash.as_ref())
    };
    let algorithm = seq(&[&tlv(6, &[0x2b, 14, 3, 2, 26])]);
    let (name, key) = (sha1(ca.subject().as_raw()), sha1(&ca.public_key().subject_public_key.data));
    seq(&[&seq(&[&algorithm, &name, &key, &tlv(2, serial)]), more])
}

/// An OCSPRequest of these Requests with these extensions.
fn request(singles: &[u8], extensions: &[u8]) -> Vec<u8> {
    let extensions =
        if extensions.is_empty() { Vec::new() } else { tlv(0xa2, &seq(&[extensions])) };
    seq(&[&seq(&[&seq(&[singles]), &extensions])])
}

fn extension(last_arcs: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let oid = tlv(6, &[&[0x2b, 6, 1, 5, 5, 7, 0x30][..], last_arcs].concat());
    let critical = if critical { tlv(1, &[0xff]) } else { Vec::new() };
    seq(&[&oid, &critical, &tlv(4, value)])
}

fn nonce(length: usize) -> Vec<u8> {
    extension(&[1, 2], false, &tlv(4, &vec![0xa5; length]))
}

#[test]
fn bounds_nonces_and_extensions() {
    let instance = instance("", &[]);
    // A peer whose serial number needs a zero in front to be positive, as that of every second has.
    let octets = |name: &str| {
        data_encoding::HEXLOWER.decode(serial(&instance, name).as_bytes()).expect("hexadecimal")
    };
    let peer = (1..64).map(|number| format!("gw{number}")).find(|name| {
        if name != "gw1" {
            add(&instance, name);
        }
        octets(name)[0] >= 0x80
    });
    let file = format!("{}.crt", peer.as_ref().expect("one of many"));
    let number = octets(&peer.expect("one of many"));
    let one = single(&instance, &[&[0][..], &number].concat(), &[]);
    let answered = |bytes: &[u8]| post(&instance, bytes).body;
    let good = answered(&request(&one, &[]));
    assert!(read(&instance, &good, &["-cert", &file]).contains(&format!("{file}: good")));
    // A nonce of 1 to 128 octets comes back as it went (RFC 9654 §2.1).
    for length in [1, 32, 128] {
        let extension = nonce(length);
        let data = Data::of(&answered(&request(&one, &extension)));
        assert_eq!(data.extensions.expect("a nonce").parts()[0].content, extension, "{length}");
    }
    for length in [0, 129, 1000] {
        assert_eq!(refusal(&answered(&request(&one, &nonce(length)))), MALFORMED, "{length}");
    }
    let raw = extension(&[1, 2], false, &[0xa5; 16]);
    assert_eq!(
        refusal(&answered(&request(&one, &raw))),
        MALFORMED,
        "a nonce that is no OCTET STRING"
    );
    let twice = [nonce(1), nonce(2)].concat();
    assert_eq!(refusal(&answered(&request(&one, &twice))), MALFORMED);
    // strongSwan says which types it takes; a critical extension that is not known is not passed over.
    let types = |last: u8| seq(&[&tlv(6, &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, last])]);
    Data::of(&answered(&request(&one, &extension(&[1, 4], true, &types(1)))));
    for (wrong, why) in [
        (extension(&[1, 4], false, &types(7)), "no type that there is"),
        (extension(&[9], true, &[5, 0]), "critical and unknown"),
    ] {
        assert_eq!(refusal(&answered(&request(&one, &wrong))), MALFORMED, "{why}");
    }
    Data::of(&answered(&request(&one, &extension(&[9], false, &[5, 0]))));
    let of_one = |critical| tlv(0xa0, &seq(&[&extension(&[9], critical, &[5, 0])]));
    Data::of(&answered(&request(&single(&instance, &[7], &of_one(false)), &[])));
    let critical = request(&single(&instance, &[7], &of_one(true)), &[]);
    assert_eq!(refusal(&answered(&critical)), MALFORMED);
    // As old clients write it, without that zero, it is found, and comes back so.
    let top = Data::of(&answered(&request(&single(&instance, &number, &[]), &[])));
    assert_eq!((top.first[0].parts()[3].content.as_slice(), top.first[1].tag), (&number[..], 0x80));
    // 64 certificates and no more; none is too few.
    Data::of(&answered(&request(&one.repeat(64), &[])));
    assert_eq!(refusal(&answered(&request(&one.repeat(65), &[]))), MALFORMED);
    assert_eq!(refusal(&answered(&request(&[], &[]))), MALFORMED);
    // The version may be written, and is 1.
    let versioned = |version| seq(&[&seq(&[&tlv(0xa0, &tlv(2, &[version])), &seq(&[&one])])]);
    Data::of(&answered(&versioned(0)));
    assert_eq!(refusal(&answered(&versioned(1))), MALFORMED);
    // Rubbish of any kind: cut off at every octet, with octets behind, empty, and deep.
    let whole = request(&one, &nonce(8));
    for end in 0..whole.len() {
        assert_eq!(refusal(&answered(&whole[..end])), MALFORMED, "cut off at {end}");
    }
    assert_eq!(refusal(&answered(&[&whole[..], &[0]].concat())), MALFORMED);
    let deep = (0..2000).fold(Vec::new(), |inner, _| seq(&[&inner]));
    assert_eq!(refusal(&answered(&deep)), MALFORMED);
    assert_eq!(refusal(&answered(&vec![0x30; 64 * 1024])), MALFORMED);
}

#[test]
fn http_keeps_answers_as_rfc_5019_says() {
    let instance = instance("", &[]);
    let plain = written(&instance, &["-no_nonce", "-cert", "gw1.crt"]);
    let path = data_encoding::BASE64.encode(&plain);
    let first = get(&instance, &path);
    assert_eq!(first.header("content-type"), Some("application/ocsp-response"));
    assert_eq!(
        first.header("cache-control"),
        Some("max-age=300, public, no-transform, must-revalidate")
    );
    let sha256 = ring::digest::digest(&ring::digest::SHA256, &first.body);
    let tag = format!("\"{}\"", data_encoding::HEXLOWER.encode(sha256.as_ref()));
    assert_eq!(first.header("etag"), Some(tag.as_str()));
    let (this_update, next_update) = Data::of(&first.body).times();
    for (header, time) in [("last-modified", this_update), ("expires", next_update)] {
        let date = first.header(header).expect("a date");
        let asked = ["-u", "-d", date, "+%Y%m%d%H%M%SZ"];
        assert_eq!(tool_ok("date", "coreutils", &asked, Path::new("/")).trim(), time, "{header}");
    }
    // However it is written, it is the same request, and the same answer: kept, and signed once.
    let encoded = path.replace('+', "%2B").replace('/', "%2f").replace('=', "%3D");
    for written in [&path, &encoded, path.trim_end_matches('=')] {
        assert_eq!(get(&instance, written).body, first.body, "{written}");
    }
    assert_eq!(post(&instance, &plain).body, first.body);
    // Slashes and plus signs of base64 survive as they are.
    for pattern in [[0xff, 0xff, 0xff], [0xfb, 0xef, 0xbe]] {
        let nonce = extension(&[1, 2], false, &tlv(4, &pattern.repeat(10)));
        let asked = request(&single(&instance, &[7], &[]), &nonce);
        let path = data_encoding::BASE64.encode(&asked);
        assert!(path.contains("////") || path.contains("++++"), "{path}");
        let data = Data::of(&get(&instance, &path).body);
        assert_eq!(data.extensions.expect("a nonce").parts()[0].content, nonce);
    }
    // Who has it is not sent it again, until the status changes.
    let url = format!("http://{}/ocsp/{encoded}", instance.address);
    let fetch = |more: &[&str]| {
        let what = ["-s", "-o", "got.der", "-w", "%{http_code} %{size_download}", &url];
        tool_ok("curl", "curl", &[&what[..], more].concat(), &instance.file("."))
    };
    assert!(fetch(&["--etag-save", "tag"]).starts_with("200 "));
    assert_eq!(fetch(&["--etag-compare", "tag"]), "304 0");
    assert!(fetch(&["-H", "If-None-Match: \"other\""]).starts_with("200 "));
    instance.ok(&["cert", "revoke", &serial(&instance, "gw1")]);
    assert!(fetch(&["--etag-compare", "tag"]).starts_with("200 "));
    let got = fs::read(instance.file("got.der")).unwrap();
    assert!(read(&instance, &got, &["-cert", "gw1.crt"]).contains("gw1.crt: revoked"));
    // An answer with a nonce, about a serial number that was never issued, and an error: never kept.
    for request in [
        written(&instance, &["-cert", "gw1.crt"]),
        written(&instance, &["-no_nonce", "-serial", "77"]),
        b"rubbish".to_vec(),
    ] {
        let answer = get(&instance, &data_encoding::BASE64.encode(&request));
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("cache-control"), Some("no-cache, no-store"));
        assert_eq!(answer.header("etag"), None);
    }
    for path in ["%", "MF*", "-_-_", "A"] {
        assert_eq!(refusal(&get(&instance, path).body), MALFORMED, "{path}");
    }
    // What HTTP refuses itself.
    let status = |method: &str, path: &str, kind: &str, body: &[u8]| {
        instance.http(method, path, kind, body).expect("an answer").status
    };
    assert_eq!(status("POST", "/ocsp", "application/octet-stream", &plain), 415);
    assert_eq!(status("POST", "/ocsp", "Application/OCSP-Request; x=y", &plain), 200);
    assert_eq!(status("POST", "/ocsp", REQUEST, &vec![0x30; 64 * 1024 + 1]), 413);
    assert_eq!(status("GET", "/ocsp", "", &[]), 405);
    assert_eq!(status("GET", "/ocsp/", "", &[]), 405);
    assert_eq!(status("PUT", "/ocsp", REQUEST, &plain), 405);
    assert_eq!(status("POST", &format!("/ocsp/{path}"), REQUEST, &plain), 405);
    assert_eq!(status("GET", &format!("/ocsp/{}", "A".repeat(9000)), "", &[]), 414);
}

/// An OCSP request as clients send it that keep their connection.
fn message(request: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /ocsp HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nContent-Type: {REQUEST}\r\nContent-Length: {}\r\n\r\n",
        request.len()
    );
    [head.as_bytes(), request].concat()
}

/// The head and the body of the next answer on a connection.
fn next_answer(reader: &mut impl BufRead) -> (String, Vec<u8>) {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).expect("an answer"), 0, "it ended after: {head}");
    }
    let head = head.to_ascii_lowercase();
    let length = head.split_once("content-length: ").expect("a length").1;
    let mut body = vec![0; length.lines().next().unwrap().parse().unwrap()];
    reader.read_exact(&mut body).expect("a body");
    (head, body)
}

#[test]
fn a_kept_connection_has_each_answer_in_turn_and_as_it_is_now() {
    let instance = instance("", &[]);
    let plain = written(&instance, &["-no_nonce", "-cert", "gw1.crt"]);
    let with_nonce = written(&instance, &["-cert", "gw1.crt"]);
    post(&instance, &plain);
    let mut stream = TcpStream::connect(&instance.address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    // A client that sends ahead gets its answers in the order of its requests.
    let ahead = [&plain, &with_nonce, &b"rubbish".to_vec(), &plain].map(|request| message(request));
    stream.write_all(&ahead.concat()).unwrap();
    let answers: Vec<_> = ahead.iter().map(|_| next_answer(&mut reader)).collect();
    for (head, _) in &answers {
        assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
        for field in [
            "content-type: application/ocsp-response\r\n",
            "cache-control: no-cache, no-store\r\n",
            "x-content-type-options: nosniff\r\n",
            "date: ",
        ] {
            assert_eq!(head.matches(field).count(), 1, "{field}: {head}");
        }
    }
    assert_eq!(answers[0].1, answers[3].1);
    assert!(Data::of(&answers[0].1).extensions.is_none());
    assert!(Data::of(&answers[1].1).extensions.is_some(), "the nonce");
    assert_eq!(refusal(&answers[2].1), MALFORMED);
    // On another connection, without anything that is left to the HTTP library: the status is that of the moment of the request.
    let mut stream = TcpStream::connect(&instance.address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let gw1 = serial(&instance, "gw1");
    for (change, expected) in [(None, "good"), (Some("hold"), "revoked"), (Some("release"), "good")]
    {
        if let Some(change) = change {
            instance.ok(&["cert", change, &gw1]);
        }
        for request in [&plain, &with_nonce, &plain] {
            stream.write_all(&message(request)).unwrap();
            let (_, body) = next_answer(&mut reader);
            let text = read(&instance, &body, &["-cert", "gw1.crt"]);
            assert!(text.contains(&format!("gw1.crt: {expected}")), "{change:?}: {text}");
        }
    }
    // A request in pieces, and one for another path, on the same connection.
    stream.set_nodelay(true).unwrap();
    let (first, second) = ahead[0].split_at(40);
    stream.write_all(first).unwrap();
    stream.write_all(second).unwrap();
    assert!(next_answer(&mut reader).1.len() > 100);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(next_answer(&mut reader).0.starts_with("http/1.1 200"));
    stream.write_all(&ahead[0]).unwrap();
    assert!(next_answer(&mut reader).1.len() > 100);
    // curl keeps its connection.
    fs::write(instance.file("plain.der"), &plain).unwrap();
    let (url, kind) =
        (format!("http://{}/ocsp", instance.address), format!("Content-Type: {REQUEST}"));
    let told = ["-s", "-w", "%{http_code} %{num_connects}\n", "-H", &kind];
    let sent = ["--data-binary", "@plain.der", "-o", "first.der", "-o", "second.der", &url, &url];
    let text = tool_ok("curl", "curl", &[&told[..], &sent].concat(), &instance.file("."));
    assert_eq!(text, "200 1\n200 0\n");
    for file in ["first.der", "second.der"] {
        let answer = fs::read(instance.file(file)).unwrap();
        assert!(read(&instance, &answer, &["-cert", "gw1.crt"]).contains("gw1.crt: good"));
    }
}

#[test]
fn never_issued_can_mean_revoked_and_the_cutoff_is_told() {
    let config = "[ocsp]\nextended_revoked = true\narchive_cutoff = \"365d\"\nvalidity = \"2h\"\n";
    let instance = instance(config, &[]);
    let text = ask(&instance, &["-serial", "0x1234"]);
    assert!(text.contains("0x1234: revoked") && text.contains("certificateHold"), "{text}");
    assert!(text.contains("Revocation Time: Jan  1 00:00:00 1970 GMT"), "{text}");
    let answer = post(&instance, &written(&instance, &["-no_nonce", "-serial", "0x1234"])).body;
    let extensions = Data::of(&answer).extensions.expect("an extension").parts()[0].parts();
    let extended = extension(&[1, 9], false, &[5, 0]);
    assert_eq!(extensions.iter().map(|e| e.whole.clone()).collect::<Vec<_>>(), [extended]);
    lint(&instance, &answer);
    // Issued ones are answered as ever.
    let answer = post(&instance, &written(&instance, &["-no_nonce", "-cert", "gw1.crt"])).body;
    let text = read(&instance, &answer, &["-cert", "gw1.crt", "-text"]);
    assert!(text.contains("gw1.crt: good") && text.contains("OCSP Archive Cutoff"), "{text}");
    assert!(Data::of(&answer).extensions.is_none());
    lint(&instance, &answer);
}

#[test]
fn every_key_kind_of_a_ca_has_a_responder_of_its_kind() {
    std::thread::scope(|scope| {
        for algorithm in ["p256", "p384", "ed25519", "rsa3072"] {
            scope.spawn(move || responder_of(algorithm));
        }
    });
}

fn responder_of(algorithm: &str) {
    let instance = instance(PUBLIC_URL, &["--algorithm", algorithm, "--root-algorithm", algorithm]);
    let text = |file: &str| common::openssl::text(&instance, file);
    let answer = post(&instance, &written(&instance, &["-no_nonce", "-cert", "gw1.crt"])).body;
    assert!(ask(&instance, &["-cert", "gw1.crt"]).contains("gw1.crt: good"));
    lint(&instance, &answer);
    // Peers and issuing CAs say where to ask; the responder itself does not.
    for certificate in ["gw1.crt", "data/keys/issuing.crt"] {
        let text = text(certificate);
        assert!(text.contains("OCSP - URI:http://pki.example.net/ocsp\n"), "{text}");
    }
    for ca in ["issuing", "root"] {
        let file = format!("data/keys/{ca}.ocsp.crt");
        let text = text(&file);
        for expected in
            ["OCSP Signing\n", "OCSP No Check", "Digital Signature\n", &format!("CN = {ca} OCSP")]
        {
            assert!(text.contains(expected), "{expected} is not in:\n{text}");
        }
        assert!(!text.contains("URI:"), "{text}");
        finds_nothing(&instance, "lint_pkix_cert", &file);
        let path = instance.file(&file);
        let linted = instance.run(&["lint", path.to_str().expect("UTF-8")]);
        let output = String::from_utf8_lossy(&linted.stdout).into_owned();
        assert!(linted.status.success() && !output.contains("rfc"), "{output}");
    }
    // The certificate in the answer is the one on disk, and the answer names its key.
    let data = Data::of(&answer);
    let pem = fs::read(instance.file("data/keys/issuing.ocsp.crt")).expect("a certificate");
    let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).expect("PEM");
    assert_eq!(pem.contents, data.certificate);
    let (_, parsed) =
        x509_parser::certificate::X509Certificate::from_der(&data.certificate).unwrap();
    let key = &parsed.public_key().subject_public_key.data;
    let hash = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, key);
    assert_eq!(data.responder, hash.as_ref());
    // It is recorded for the instance itself.
    assert_eq!(instance.certificates("_ocsp").len(), 2);
}

#[test]
fn the_responder_renews_itself_while_the_server_runs() {
    let mut instance = Instance::init(&[]);
    let clock = instance.file("clock");
    fs::write(&clock, "+0d\n").unwrap();
    let mut server = at_another_time("+0d", COUNTERSIGN);
    server
        .env_remove("FAKETIME")
        .env("FAKETIME_TIMESTAMP_FILE", &clock)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    instance.serve_with(server);
    add(&instance, "gw1");
    let plain = written(&instance, &["-no_nonce", "-cert", "gw1.crt"]);
    let at = |shift: &str| {
        fs::write(instance.file("clock.new"), format!("{shift}\n")).unwrap();
        fs::rename(instance.file("clock.new"), &clock).unwrap();
    };
    // openssl with the same clock takes the answer; the responder's certificate in it is what we compare.
    let judged = |shift: &str| {
        let answer = post(&instance, &plain).body;
        fs::write(instance.file("answer.der"), &answer).unwrap();
        let output = at_another_time(shift, "openssl")
            .args(["ocsp", "-respin", "answer.der", "-partial_chain", "-no_nonce"])
            .args(["-CAfile", "data/keys/issuing.crt", "-issuer", "data/keys/issuing.crt"])
            .args(["-cert", "gw1.crt"])
            .current_dir(instance.file("."))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(text.contains("Response verify OK") && text.contains(": good"), "{shift}: {text}");
        assert!(!text.contains("WARNING"), "{shift}: {text}");
        Data::of(&answer)
    };
    let first = judged("+0d");
    let same = judged("+0d");
    assert_eq!((first.times(), &first.certificate), (same.times(), &same.certificate));
    // Half an hour later the answer is a new one, by the same responder.
    at("+31m");
    let later = judged("+31m");
    assert!(later.times() > first.times() && later.certificate == first.certificate);
    // After half of its 30 days the responder has another certificate for the same key.
    at("+14d");
    assert_eq!(judged("+14d").certificate, first.certificate);
    at("+16d");
    let renewed = judged("+16d");
    assert_ne!(renewed.certificate, first.certificate);
    assert_eq!(renewed.responder, first.responder);
    // Long after: the old ones are over, and the peer's certificate expired. It is answered about still.
    at("+100d");
    assert_ne!(judged("+100d").certificate, renewed.certificate);
    assert_eq!(instance.http("GET", "/healthz", "", &[]).unwrap().status, 200);
    // A clock that went back signs nothing: not 50 days, and not 50 seconds, when the responder is valid already.
    let fresh = written(&instance, &["-cert", "gw1.crt"]);
    for shift in ["+8639950s", "+50d"] {
        at(shift);
        assert_eq!(refusal(&post(&instance, &fresh).body), TRY_LATER, "{shift}");
    }
    at("+101d");
    let last = judged("+101d");
    // A restart finds it on disk.
    instance.stop();
    instance.serve_with(at_another_time("+101d", COUNTERSIGN));
    assert_eq!(Data::of(&post(&instance, &plain).body).certificate, last.certificate);
}

#[test]
fn a_responder_whose_key_is_lost_revoked_or_broken() {
    let mut instance = instance("", &[]);
    let plain = written(&instance, &["-no_nonce", "-cert", "gw1.crt"]);
    let ready = |instance: &Instance| {
        let answer = instance.http("GET", "/readyz", "", &[]).expect("an answer");
        (answer.status, String::from_utf8(answer.body).expect("UTF-8"))
    };
    let before = Data::of(&post(&instance, &plain).body);
    // The key is lost: another one, and a certificate for it.
    instance.stop();
    let key = instance.data().join("keys/issuing.ocsp.key");
    fs::remove_file(&key).expect("a key");
    instance.serve();
    let after = Data::of(&post(&instance, &plain).body);
    assert_ne!((after.responder, after.certificate), (before.responder, before.certificate));
    assert!(ask(&instance, &["-cert", "gw1.crt"]).contains("gw1.crt: good"));
    // A shorter validity counts from the next start.
    instance.stop();
    let short = "[ocsp]\nvalidity = \"1h\"\nresponder_validity = \"2h\"\n";
    fs::write(instance.data().join("countersign.toml"), short).expect("a file");
    instance.serve();
    let shorter = Data::of(&post(&instance, &plain).body).certificate;
    let (_, parsed) = x509_parser::certificate::X509Certificate::from_der(&shorter).expect("DER");
    let validity = parsed.validity();
    let life = validity.not_after.timestamp() - validity.not_before.timestamp();
    assert!((7200..=7261).contains(&life), "{life}");
    // An administrator revokes the responder's certificate: it gets another key while the server runs.
    let certificates = instance.certificates("_ocsp");
    let of_issuing = |c: &&serde_json::Value| c["ca"] == "issuing" && c["status"] == "valid";
    let newest = certificates.iter().rfind(of_issuing).expect("a responder")["serial"].clone();
    let key_hash = || Data::of(&post(&instance, &plain).body).responder;
    let compromised = key_hash();
    instance.ok(&["cert", "revoke", newest.as_str().expect("text"), "--reason", "keyCompromise"]);
    let deadline = Instant::now() + Duration::from_secs(60);
    while key_hash() == compromised {
        assert!(Instant::now() < deadline, "the revoked responder stays:\n{}", instance.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(ask(&instance, &["-cert", "gw1.crt"]).contains("gw1.crt: good"));
    // The key cannot be opened: OCSP says so, and everything else goes on.
    instance.stop();
    let kept = fs::read_to_string(&key).expect("a key");
    fs::write(&key, kept.replace("ENCRYPTED PRIVATE KEY", "RUBBISH")).expect("a file");
    instance.serve();
    assert_eq!(refusal(&post(&instance, &plain).body), TRY_LATER);
    let (status, why) = ready(&instance);
    assert!(status == 503 && why.contains("OCSP") && why.contains("issuing.ocsp.key"), "{why}");
    add(&instance, "gw2");
    assert_eq!(instance.http("GET", "/crl/issuing.crl", "", &[]).expect("a CRL").status, 200);
}

#[test]
fn a_root_elsewhere_is_not_answered_for() {
    let mut instance = Instance::empty();
    let csr = instance.file("issuing.csr");
    instance.ok(&["init", "--root-csr", csr.to_str().unwrap()]);
    let folder = instance.file(".");
    let openssl = |arguments: &[&str]| tool_ok("openssl", "openssl", arguments, &folder);
    fs::write(
        instance.file("ca.cnf"),
        "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n\
         subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n",
    )
    .unwrap();
    let root = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let root_files =
        ["-subj", "/CN=Far root", "-keyout", "far.key", "-out", "far.crt", "-days", "900"];
    openssl(&[&["req"], &root[..], &root_files].concat());
    let sign = ["x509", "-req", "-in", "issuing.csr", "-CA", "far.crt", "-CAkey", "far.key"];
    let how = ["-set_serial", "0x1234567890abcdef1234", "-days", "800", "-extfile", "ca.cnf"];
    openssl(&[&sign[..], &how, &["-out", "issuing.crt"]].concat());
    let chain =
        ["issuing.crt", "far.crt"].map(|file| fs::read_to_string(instance.file(file)).unwrap());
    fs::write(instance.file("chain.pem"), chain.concat()).unwrap();
    let chain = instance.file("chain.pem");
    instance.ok(&["init", "--root-cert", chain.to_str().unwrap()]);
    instance.serve();
    add(&instance, "gw1");
    assert!(ask(&instance, &["-cert", "gw1.crt"]).contains("gw1.crt: good"));
    let about = ["ocsp", "-issuer", "far.crt", "-cert", "issuing.crt", "-reqout", "request.der"];
    openssl(&about);
    let request = fs::read(instance.file("request.der")).unwrap();
    assert_eq!(refusal(&post(&instance, &request).body), UNAUTHORIZED);
    assert_eq!(instance.certificates("_ocsp").len(), 1);
    // The key files of such CAs would be those of delegates.
    instance.stop();
    for name in ["issuing.ocsp", "issuing.cmp", "issuing.kga"] {
        let refused = instance.run(&["ca", "add", name]);
        let text = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{name}: {text}");
    }
}
