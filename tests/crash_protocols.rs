//! Power cuts under EST and under SCEP. Clients repeat the requests whose answers they did not get, as real ones do. Afterwards no answered
//! certificate is lost, and each request has one certificate, however often it was sent.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

#[allow(dead_code, reason = "shared with a bench, which uses more of it")]
#[path = "../benches/enrol/client.rs"]
mod client;
mod common;
#[allow(dead_code, reason = "shared with a bench, which uses more of it")]
#[path = "../benches/enrol/est.rs"]
mod est;
#[allow(dead_code, reason = "shared with a bench, which uses more of it")]
#[path = "../benches/enrol/scep.rs"]
mod scep;
#[allow(dead_code, reason = "shared with a bench, which uses more of it")]
#[path = "../benches/enrol/wire.rs"]
mod wire;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use client::{Connection, Target};
use common::{Instance, Peer, wait_for};
use der::{Decode, pem};
use scep::{CertRep, RENEWAL, REQUEST, Ra};
use wire::{Key, random};

/// How often the server is killed under each protocol.
const ROUNDS: usize = 40;

/// How many clients enrol at once.
const CLIENTS: usize = 6;

/// A request that was made once, and may be sent several times.
struct Request {
    /// The number of the client that made it.
    client: usize,
    /// The transactionID of SCEP.
    id: String,
    http: Vec<u8>,
}

/// A client of one protocol.
trait Client: Sync {
    /// The server as it listens now.
    fn target(&self, instance: &Instance) -> Target;
    /// A new request.
    fn request(&self, target: &Target, client: usize) -> Request;
    /// The same request, made anew as far as a client would do so.
    fn again(&self, target: &Target, request: &Request) -> Vec<u8>;
    /// The certificate in the answer.
    fn certificate(&self, request: &Request, answer: &[u8]) -> Result<Vec<u8>, String>;
}

/// The serial number of a certificate, as the store has it.
fn serial(certificate: &[u8]) -> String {
    let read = x509_cert::Certificate::from_der(certificate).expect("a certificate");
    let text: String = read
        .tbs_certificate
        .serial_number
        .as_bytes()
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    text.trim_start_matches('0').to_owned()
}

/// Sends a request on a new connection, and gives the serial number of the certificate in the answer.
#[track_caller]
fn answered(client: &dyn Client, instance: &Instance, request: &Request, octets: &[u8]) -> String {
    let target = client.target(instance);
    let answer = Connection::new(&target).exchange(octets);
    let certificate = answer.and_then(|answer| client.certificate(request, &answer));
    serial(&certificate.unwrap_or_else(|why| panic!("{why}\n{}", instance.log())))
}

/// What a load left behind.
#[derive(Default)]
struct Left {
    /// Requests with the serial numbers in their answers.
    answered: Vec<(Request, String)>,
    unanswered: Vec<Request>,
}

/// Enrols from several threads until `stop`. Each client ends with the first request whose answer it does not get.
fn load(client: &dyn Client, instance: &Instance, stop: &AtomicBool, answers: &AtomicU64) -> Left {
    let left = Mutex::new(Left::default());
    let target = client.target(instance);
    let one = |number: usize| {
        let mut connection = Connection::new(&target);
        while !stop.load(Ordering::Relaxed) {
            let request = client.request(&target, number);
            match connection.exchange(&request.http) {
                Ok(answer) => {
                    let serial = serial(&client.certificate(&request, &answer).unwrap());
                    answers.fetch_add(1, Ordering::Relaxed);
                    left.lock().unwrap().answered.push((request, serial));
                }
                Err(_) => {
                    left.lock().unwrap().unanswered.push(request);
                    break;
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let one = &one;
            scope.spawn(move || one(number));
        }
    });
    left.into_inner().unwrap()
}

fn stored(instance: &Instance) -> Vec<String> {
    let list = instance.certificates("gw1");
    list.iter()
        .map(|c| c["serial"].as_str().expect("a serial").trim_start_matches('0').to_owned())
        .collect()
}

/// Kills the server under load, again and again. `certificates` are those that the account had before.
fn power_cuts(instance: &mut Instance, client: &dyn Client, mut certificates: BTreeSet<String>) {
    let mut lost_answers = 0;
    for round in 0..ROUNDS {
        let (stop, answers) = (AtomicBool::new(false), AtomicU64::new(0));
        // The cut comes when so many were answered, and a moment later that differs from round to round, so that it falls into every
        // phase of an enrolment.
        let (wanted, moment) =
            (1 + round % 9, Duration::from_micros((round * 37 % 211 * 100) as u64));
        let pid = instance.pid().to_string();
        let left = std::thread::scope(|scope| {
            scope.spawn(|| {
                let enough = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    wait_for(&format!("{wanted} answers in round {round}"), || {
                        (answers.load(Ordering::Relaxed) >= wanted as u64).then_some(())
                    });
                }));
                std::thread::sleep(moment);
                let killed = Command::new("kill").args(["-KILL", &pid]).status().expect("kill");
                assert!(killed.success());
                stop.store(true, Ordering::Relaxed);
                enough.unwrap_or_else(|why| std::panic::resume_unwind(why));
            });
            load(client, instance, &stop, &answers)
        });
        instance.kill();
        instance.serve();

        let before: BTreeSet<String> = stored(instance).into_iter().collect();
        for (_, serial) in &left.answered {
            assert!(certificates.insert(serial.clone()), "round {round}: {serial} was given twice");
        }
        let lost: Vec<&String> = certificates.difference(&before).collect();
        assert!(lost.is_empty(), "round {round}: answered and not in the store: {lost:?}");
        // Whoever got no answer asks again, by the same octets and by ones made anew, and gets one certificate.
        for request in &left.unanswered {
            let serial = answered(client, instance, request, &request.http);
            let anew = client.again(&client.target(instance), request);
            assert_eq!(answered(client, instance, request, &anew), serial, "round {round}");
            assert!(certificates.insert(serial.clone()), "round {round}: {serial} was given twice");
            lost_answers += usize::from(before.contains(&serial));
        }
        // Whoever got one gets the same one.
        if let Some((request, serial)) = left.answered.last() {
            assert_eq!(
                answered(client, instance, request, &request.http),
                *serial,
                "round {round}"
            );
        }
        let after = stored(instance);
        assert_eq!(after.len(), certificates.len(), "round {round}: one certificate for a request");
        assert_eq!(after.into_iter().collect::<BTreeSet<_>>(), certificates, "round {round}");
    }
    // Otherwise no cut fell between the record of a certificate and its answer, and the test would say nothing of that case.
    assert!(lost_answers > 0, "no cut lost the answer to a request that was recorded");
    instance.ok(&["audit", "verify"]);
    instance.stop();
    instance.ok(&["store", "rebuild"]);
    assert_eq!(stored(instance).into_iter().collect::<BTreeSet<_>>(), certificates);
    instance.ok(&["audit", "verify"]);
}

/// Half of the clients enrol by the account's secret, the others renew one certificate.
struct Est {
    secret: String,
    root: Vec<u8>,
    /// The key and the certificate that are renewed.
    own: Option<(Key, Vec<u8>)>,
    /// The key that certificates are requested for.
    key: Key,
}

impl Est {
    fn target_of(&self, instance: &Instance, renews: bool) -> Target {
        let address = fs::read_to_string(instance.data().join("listen.est")).expect("listen.est");
        let address = address.trim().trim_start_matches("https://");
        // A certificate beside a secret of the same account is accepted by each operation.
        let identity =
            self.own.as_ref().map(|(key, certificate)| (&certificate[..], &key.pkcs8[..]));
        let path = if renews { est::RENEW } else { est::ENROL };
        Target::est(address, path, &self.root, identity)
    }
}

impl Client for Est {
    fn target(&self, instance: &Instance) -> Target {
        self.target_of(instance, false)
    }

    fn request(&self, target: &Target, client: usize) -> Request {
        let mut target = target.clone();
        let renews = self.own.is_some() && client % 2 == 1;
        let lines = if renews { "" } else { &self.secret };
        target.path = if renews { est::RENEW } else { est::ENROL }.to_owned();
        Request { client, id: String::new(), http: est::request(&target, &self.key, lines) }
    }

    fn again(&self, _: &Target, request: &Request) -> Vec<u8> {
        request.http.clone()
    }

    fn certificate(&self, _: &Request, answer: &[u8]) -> Result<Vec<u8>, String> {
        est::granted(answer, &self.key.public)
    }
}

fn der_of(path: &std::path::Path) -> Vec<u8> {
    pem::decode_vec(&fs::read(path).expect("a file")).expect("PEM").1
}

#[test]
fn forty_power_cuts_under_est_lose_no_certificate_and_give_none_twice() {
    let mut instance = Instance::start_with(&[("est", "listen = \"127.0.0.1:0\"")]);
    let Peer { reference, secret, .. } =
        instance.peer_with("gw1", &["fqdn:gw1.example.net"], &["--uses", "1000000"]);
    let mut client = Est {
        secret: est::basic(&reference, &secret),
        root: der_of(&instance.root()),
        own: None,
        key: Key::generate(),
    };
    let first = client.request(&client.target(&instance), 0);
    let answer =
        Connection::new(&client.target(&instance)).exchange(&first.http).expect("an answer");
    let certificate = client.certificate(&first, &answer).expect("a certificate");
    let before = BTreeSet::from([serial(&certificate)]);
    let key = std::mem::replace(&mut client.key, Key::generate());
    client.own = Some((key, certificate));
    power_cuts(&mut instance, &client, before);
}

/// Half of the clients enrol by the account's secret, the others renew the certificate that signs their messages.
struct Scep {
    ra: Ra,
    /// `REFERENCE:SECRET`.
    challenge: String,
    clients: Vec<scep::Client>,
}

impl Scep {
    fn message(&self, target: &Target, client: usize, id: &str) -> Vec<u8> {
        let own = &self.clients[client];
        let kind = if client % 2 == 1 { RENEWAL } else { REQUEST };
        let csr = own.csr("gw1.example.net", &self.challenge);
        target.post(&own.message(kind, id, &self.ra, &csr))
    }
}

impl Client for Scep {
    fn target(&self, instance: &Instance) -> Target {
        Target::scep(&instance.address, "/scep?operation=PKIOperation")
    }

    fn request(&self, target: &Target, client: usize) -> Request {
        let id = u128::from_be_bytes(random()).to_string();
        let http = self.message(target, client, &id);
        Request { client, id, http }
    }

    /// With another content encryption key and another nonce.
    fn again(&self, target: &Target, request: &Request) -> Vec<u8> {
        self.message(target, request.client, &request.id)
    }

    fn certificate(&self, request: &Request, answer: &[u8]) -> Result<Vec<u8>, String> {
        let answer = CertRep::read(answer)?;
        answer.verify(&request.id, &self.ra.signature)?;
        self.clients[request.client].granted(&answer)
    }
}

#[test]
fn forty_power_cuts_under_scep_lose_no_certificate_and_give_none_twice() {
    let mut instance = Instance::start_with(&[("scep", "enabled = true")]);
    let Peer { reference, secret, .. } =
        instance.peer_with("gw1", &["fqdn:gw1.example.net"], &["--uses", "1000000"]);
    let certificates =
        instance.http("GET", "/scep?operation=GetCACert", "", &[]).expect("an answer");
    let mut client = Scep {
        ra: Ra::read(&certificates.body).expect("two certificates"),
        challenge: format!("{reference}:{secret}"),
        clients: (0..CLIENTS).map(|_| scep::Client::generate()).collect(),
    };
    let mut before = BTreeSet::new();
    for number in (1..CLIENTS).step_by(2) {
        let target = client.target(&instance);
        let own = &client.clients[number];
        let csr = own.csr("gw1.example.net", &client.challenge);
        let message = target.post(&own.message(REQUEST, "first", &client.ra, &csr));
        let answer = Connection::new(&target).exchange(&message).expect("an answer");
        let certificate = own.granted(&CertRep::read(&answer).unwrap()).expect("a certificate");
        before.insert(serial(&certificate));
        client.clients[number].certificate = certificate;
    }
    power_cuts(&mut instance, &client, before);
}
