//! An attacker between a gateway and a SCEP server, who sees each request and answers as he likes.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::gateway::{Gateway, pair};
use crate::common::{Answer, Instance, http, openssl, tool_ok};

const ENABLED: (&str, &str) = ("scep", "enabled = true");

/// A request on its way.
struct Passing<'p> {
    method: String,
    path: String,
    body: Vec<u8>,
    upstream: &'p str,
}

impl Passing<'_> {
    fn answer(&self) -> Answer {
        http(self.upstream, &self.method, &self.path, "application/x-pki-message", &self.body)
            .unwrap()
    }

    fn is(&self, operation: &str) -> bool {
        self.path.contains(&format!("operation={operation}"))
    }
}

struct Attacker {
    url: String,
    /// How many messages (PKIOperation) came.
    messages: Arc<AtomicUsize>,
}

impl Attacker {
    /// Starts an attacker before a server. `reply` gives the body of an answer; without one, the connection ends.
    fn before(
        instance: &Instance,
        reply: impl Fn(&Passing<'_>, usize) -> Option<Vec<u8>> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/scep", listener.local_addr().unwrap());
        let messages = Arc::new(AtomicUsize::new(0));
        let (upstream, counted) = (instance.address.clone(), Arc::clone(&messages));
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(passing) = read(&stream, &upstream) else { continue };
                let number = match passing.is("PKIOperation") {
                    true => counted.fetch_add(1, Ordering::SeqCst),
                    false => 0,
                };
                if let Some(body) = reply(&passing, number) {
                    write(stream, &body);
                }
            }
        });
        Self { url, messages }
    }

    fn messages(&self) -> usize {
        self.messages.load(Ordering::SeqCst)
    }
}

fn read<'p>(stream: &TcpStream, upstream: &'p str) -> Option<Passing<'p>> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
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
    Some(Passing { method, path, body, upstream })
}

fn write(mut stream: TcpStream, body: &[u8]) {
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

/// A gateway whose server is the attacker.
fn victim(instance: &Instance, name: &str, attacker: &Attacker) -> Gateway {
    let gateway = Gateway::over("scep", instance, name, &["fqdn:gw1.example.net"]);
    Gateway { url: attacker.url.clone(), ..gateway }
}

#[test]
fn nobody_but_a_registration_authority_reads_the_secret() {
    let instance = Instance::start_with(&[ENABLED]);
    // The attacker has a good certificate of the same CA, and its key.
    let own = Gateway::over("scep", &instance, "attacker", &["fqdn:attacker.example.net"]);
    own.enrol(&["--name", "gw1"]).done();
    let certificate = |file: &str| {
        let all = ["x509", "-in", file, "-outform", "DER", "-out", "one.der"];
        tool_ok("openssl", "openssl", &all, &instance.file("."));
        fs::read(instance.file("one.der")).unwrap()
    };
    let theirs = certificate("attacker/gw1.crt");
    let chain = [
        "crl2pkcs7",
        "-nocrl",
        "-certfile",
        "attacker/gw1.crt",
        "-certfile",
        "attacker/gw1.chain.crt",
    ];
    let more = ["-certfile", "attacker/root.crt", "-outform", "DER", "-out", "forged.p7"];
    tool_ok("openssl", "openssl", &[&chain[..], &more].concat(), &instance.file("."));
    let forged = fs::read(instance.file("forged.p7")).unwrap();
    for (name, answer, word) in [
        ("gw1", theirs, "is trusted"),
        ("gw2", forged, "RSA key for which a request can be encrypted"),
    ] {
        let attacker =
            Attacker::before(&instance, move |passing, _| match passing.is("GetCACert") {
                true => Some(answer.clone()),
                false => Some(passing.answer().body),
            });
        let gateway = victim(&instance, name, &attacker);
        gateway.enrol(&[]).fails(1, &[word, "attacker"]);
        assert_eq!(attacker.messages(), 0, "nothing was sent");
        assert!(instance.certificates(name).is_empty());
    }
    // Nor does a server that claims to have nothing better than DES and SHA-1.
    let attacker = Attacker::before(&instance, |passing, _| match passing.is("GetCACaps") {
        true => Some(b"DES3\nSHA-1\nPOSTPKIOperation\n".to_vec()),
        false => Some(passing.answer().body),
    });
    victim(&instance, "gw3", &attacker).enrol(&[]).fails(1, &["AES and SHA-256", "DES3 SHA-1"]);
    assert_eq!(attacker.messages(), 0, "nothing was sent");
}

#[test]
fn an_answer_that_was_changed_or_is_another_ones_is_not_taken() {
    let instance = Instance::start_with(&[ENABLED]);
    let kept: std::sync::Mutex<Option<Vec<u8>>> = std::sync::Mutex::new(None);
    let attacker = Attacker::before(&instance, move |passing, number| {
        let mut answer = passing.answer().body;
        if !passing.is("PKIOperation") {
            return Some(answer);
        }
        let length = answer.len();
        match number {
            // The last octet of the signature; one in the envelope.
            0 => answer[length - 1] ^= 1,
            1 => answer[length / 5] ^= 1,
            // The answer to the message before.
            2 => *kept.lock().unwrap() = Some(answer.clone()),
            3 => answer = kept.lock().unwrap().clone().unwrap(),
            _ => {}
        }
        if number == 2 { None } else { Some(answer) }
    });
    let gateway = victim(&instance, "gw1", &attacker);
    gateway.enrol(&[]).fails(1, &["signature is wrong"]);
    assert!(gateway.is_untouched());
    let key = gateway.read("enrolment/pending/key.pem");
    gateway.enrol(&[]).fails(1, &[]);
    gateway.enrol(&[]).fails(5, &[]);
    gateway.enrol(&[]).fails(1, &["to another message", "recipientNonce"]);
    assert!(gateway.is_untouched());
    gateway.enrol(&[]).done();
    // All of these were one request for the server.
    assert_eq!(gateway.read("gw1.key"), key);
    assert_eq!(instance.certificates("gw1").len(), 1);
    // A refusal that somebody changed ends nothing.
    let attacker = Attacker::before(&instance, |passing, _| {
        let mut answer = passing.answer().body;
        if passing.is("PKIOperation") {
            let last = answer.len() - 1;
            answer[last] ^= 1;
        }
        Some(answer)
    });
    let gateway = victim(&instance, "gw2", &attacker);
    crate::common::gateway::private(&instance.file("wrong"), "wrong");
    let run = gateway.enrol(&["--secret-file", "wrong"]);
    run.fails(4, &["badMessageCheck", "nothing proves that the CA says so"]);
    assert!(gateway.out.join("enrolment/pending/key.pem").exists());
}

#[test]
fn a_server_without_post_and_renewal_is_served_by_get_and_pkcsreq() {
    let instance = Instance::start_with(&[ENABLED]);
    let key = openssl::key(&instance, "rsa3072", "own.key").to_str().unwrap().to_owned();
    let attacker = Attacker::before(&instance, |passing, _| match passing.is("GetCACaps") {
        true => Some(b"AES\nSHA-256\n".to_vec()),
        false => {
            assert_eq!(passing.method, "GET", "{}", passing.path);
            Some(passing.answer().body)
        }
    });
    let gateway = victim(&instance, "gw1", &attacker);
    gateway.enrol(&["--key", &key]).done();
    gateway.renew(&["--now"]).done();
    assert!(pair(&gateway.out, "gw1.crt", "gw1.key"));
    assert_eq!(attacker.messages(), 2);
    assert_eq!(instance.certificates("gw1").len(), 2);
}
