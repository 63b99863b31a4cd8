//! SCEP (RFC 8894): strongSwan's `pki` enrols, renews and polls; a client of the tests' own, with OpenSSL's cryptography, does what `pki` cannot
//! and what no client should.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;
use std::process::{Child, Command, Output, Stdio};

use common::cms::openssl;
use common::der::seq;
use common::scep::{
    APPROVAL, Client, Draft, ENABLED, GET_CERT, GET_CRL, POLL, RENEWAL, REQUEST, challenge,
    fetch_certificates, refused, rsa_site, site,
};
use common::{Instance, pki_6, wait_for};

/// strongSwan's `pki`, which is started.
fn pki(instance: &Instance, arguments: &str) -> Child {
    Command::new("pki")
        .args(arguments.replace("URL", &format!("http://{}/scep", instance.address)).split(' '))
        .current_dir(instance.file("."))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this test needs the package `strongswan-pki`: run `make deps`")
}

/// What `pki` printed; it must succeed if `well`.
#[track_caller]
fn ended(instance: &Instance, child: Child, well: bool) -> Output {
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.success(), well, "{text}\n{}", instance.log());
    output
}

/// The names and the serial number of a certificate that `pki` printed, which is kept in a file.
#[track_caller]
fn kept(instance: &Instance, output: &Output, file: &str) -> String {
    fs::write(instance.file(file), &output.stdout).unwrap();
    openssl(instance, &format!("verify -CAfile data/keys/root.crt -untrusted above.crt {file}"));
    openssl(instance, &format!("x509 -in {file} -noout -serial -subject -ext subjectAltName"))
}

/// The arguments of `pki --scep` for `gw1`.
fn enrol(secret: &str, more: &str) -> String {
    format!(
        "--scep --url URL --in gw1.key --dn CN=gw1.example.net --san gw1.example.net --password {secret} --cacert-enc ra-enc.crt \
         --cacert-sig ra-sig.crt --cacert above.crt --cacert data/keys/root.crt --outform pem{more}"
    )
}

#[test]
fn strongswan_enrols_and_renews() {
    let instance = site();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let fetched =
        pki(&instance, "--scepca --url URL --caout theirs-ca --raout theirs-ra --outform pem");
    ended(&instance, fetched, true);
    openssl(&instance, "genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out gw1.key");
    // The secret alone: the names belong to one account.
    let first = ended(&instance, pki(&instance, &enrol(&peer.secret, "")), true);
    let first = kept(&instance, &first, "gw1.crt");
    assert!(first.contains("DNS:gw1.example.net"), "{first}");
    openssl(
        &instance,
        "genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out gw1-next.key",
    );
    let renewal = enrol("stale", " --cert gw1.crt --key gw1.key")
        .replace("--in gw1.key", "--in gw1-next.key");
    let second = ended(&instance, pki(&instance, &renewal), true);
    let second = kept(&instance, &second, "gw1-next.crt");
    assert!(second.contains("DNS:gw1.example.net") && first != second, "{second}");
    assert_eq!(instance.certificates("gw1").len(), 2);
    let wrong = enrol("wrong", "").replace("gw1.key", "gw1-next.key");
    let refused = ended(&instance, pki(&instance, &wrong), false);
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(text.contains("badMessageCheck"), "{text}");
}

#[test]
fn strongswan_6_enrols() {
    let instance = site();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    openssl(&instance, "genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out gw1.key");
    let url = format!("http://{}/scep", instance.address);
    let arguments = enrol(&challenge(&peer), "").replace("URL", &url);
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let run = pki_6(&arguments, &instance.file("."));
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}\n{}", instance.log());
    let names = kept(&instance, &run, "gw1.crt");
    assert!(names.contains("DNS:gw1.example.net"), "{names}");
}

#[test]
fn strongswan_polls_until_an_administrator_decides() {
    let instance = Instance::start_with_profile(&[ENABLED], APPROVAL);
    fetch_certificates(&instance, "/scep");
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    for (verdict, well) in [("approve", true), ("reject", false)] {
        openssl(
            &instance,
            "genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out gw1.key",
        );
        let child = pki(&instance, &enrol(&challenge(&peer), " --interval 1s --maxpolltime 100s"));
        let id = wait_for("a request", || {
            let list = instance.json(&["request", "list"]);
            let waits = list.as_array().unwrap().iter().find(|one| one["status"] == "waiting");
            waits.map(|one| one["id"].as_str().unwrap().to_owned())
        });
        instance.ok(&["request", verdict, &id]);
        let output = ended(&instance, child, well);
        if well {
            kept(&instance, &output, "gw1.crt");
        }
    }
    assert_eq!(instance.certificates("gw1").len(), 1);
}

#[test]
fn the_same_request_gets_the_same_certificate_also_after_a_restart() {
    let mut instance = site();
    let peer = instance.peer_with("gw1", &["fqdn:gw1.example.net"], &["--uses", "1"]);
    let client = Client::rsa(&instance, "gw1");
    let csr = client.csr("gw1.example.net", "DNS:gw1.example.net", &challenge(&peer));
    let message = client.message(&Draft::new(REQUEST, "A1", csr.clone()));
    let first = client.send(&message);
    assert_eq!((first.id.as_str(), first.recipient_nonce.as_slice()), ("A1", &[7; 16][..]));
    let certificate = client.certificates(&first);
    assert_eq!(certificate.len(), 1, "the leaf alone");
    // The secret is used up, and the same octets, and the same request encrypted anew, still find their answer.
    assert_eq!(client.certificates(&client.send(&message)), certificate);
    let name = client.name.clone();
    drop(client);
    instance.kill();
    instance.serve();
    let client = Client { instance: &instance, name };
    let again = client.message(&Draft::new(REQUEST, "A1", csr));
    assert_eq!(client.certificates(&client.send(&again)), certificate);
    // Another request with the same key and transactionID does not bring the old certificate back.
    let other =
        client.csr("gw1.example.net", "DNS:gw1.example.net,DNS:gw1.example.net", &challenge(&peer));
    let other = client.send(&client.message(&Draft::new(REQUEST, "A1", other)));
    refused(&other, "2", "used up");
    assert_eq!(instance.certificates("gw1").len(), 1);
}

#[test]
fn a_certificate_of_ours_renews_by_either_type_and_no_name_is_added() {
    let instance = site();
    let peer = instance.peer_with(
        "gw1",
        &["fqdn:gw1.example.net", "fqdn:gw1.example.org"],
        &["--uses", "1"],
    );
    let client = Client::rsa(&instance, "gw1");
    let csr = client.csr("gw1.example.net", "DNS:gw1.example.net", &challenge(&peer));
    let first = client.enrol("A1", csr);
    // With the same key, the same transactionID, and a stale challenge.
    let csr = client.csr("gw1.example.net", "DNS:gw1.example.net", &challenge(&peer));
    let message = client.message(&Draft::new(REQUEST, "A1", csr.clone()));
    let second = client.certificates(&client.send(&message));
    assert_ne!(second[0], first);
    assert_eq!(client.certificates(&client.send(&message)), second, "the same once more");
    let third = client.send(&client.message(&Draft::new(RENEWAL, "A1", csr.clone())));
    assert_eq!(client.certificates(&third), second, "the same request in the other type");
    let wider = client.csr("gw1.example.net", "DNS:gw1.example.net,DNS:gw1.example.org", "");
    let wider = client.send(&client.message(&Draft::new(RENEWAL, "A2", wider)));
    refused(&wider, "2", "gw1.example.org");
    // A certificate that is none of ours renews nothing.
    let stranger = Client::rsa(&instance, "gw2");
    let csr = stranger.csr("gw1.example.net", "DNS:gw1.example.net", "");
    let unknown = stranger.send(&stranger.message(&Draft::new(RENEWAL, "B1", csr.clone())));
    refused(&unknown, "1", "was not issued here");
    let unknown = stranger.send(&stranger.message(&Draft::new(REQUEST, "B1", csr)));
    refused(&unknown, "1", "challengePassword");
    // A revoked one does not, either.
    let serial = instance.certificates("gw1")[0]["serial"].as_str().unwrap().to_owned();
    instance.ok(&["cert", "revoke", &serial]);
    let csr = client.csr("gw1.example.net", "DNS:gw1.example.net", "");
    let revoked = client.send(&client.message(&Draft::new(RENEWAL, "A3", csr)));
    refused(&revoked, "1", "was revoked");
}

#[test]
fn one_account_does_not_take_every_place() {
    let settings = ("scep", "rsa_workers = 4");
    let instance = Instance::start_with(&[ENABLED, settings, ("cmp", "max_per_account = 1")]);
    fetch_certificates(&instance, "/scep");
    let peer = instance.peer_with("gw1", &["fqdn:gw1.example.net"], &["--uses", "1000"]);
    let client = Client::rsa(&instance, "gw1");
    let csr = client.csr("gw1.example.net", "DNS:gw1.example.net", &challenge(&peer));
    client.message(&Draft::new(REQUEST, "0", csr));
    let enveloped = fs::read(instance.file("enveloped")).unwrap();
    let (mut granted, mut busy) = (0, 0);
    for batch in 0.. {
        assert!(batch < 50, "nobody was told to wait");
        let messages: Vec<Vec<u8>> = (0..12)
            .map(|n| {
                let id = format!("{batch}-{n}");
                client.signed(&Draft::new(REQUEST, &id, Vec::new()), &enveloped)
            })
            .collect();
        let path = "/scep?operation=PKIOperation";
        std::thread::scope(|scope| {
            let sent = messages
                .iter()
                .map(|message| scope.spawn(|| instance.http("POST", path, "", message).unwrap()));
            for answer in sent.collect::<Vec<_>>() {
                match answer.join().unwrap().status {
                    200 => granted += 1,
                    503 => busy += 1,
                    other => panic!("HTTP {other}"),
                }
            }
        });
        if busy > 0 {
            break;
        }
    }
    assert_eq!(instance.certificates("gw1").len(), granted, "busy issues nothing");
}

#[test]
fn requests_wait_in_their_transaction() {
    let instance = Instance::start_with_profile(&[ENABLED], APPROVAL);
    fetch_certificates(&instance, "/scep");
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let client = Client::rsa(&instance, "gw1");
    let csr = client.csr("gw1.example.net", "DNS:gw1.example.net", &challenge(&peer));
    let message = client.message(&Draft::new(REQUEST, "A1", csr));
    for _ in 0..2 {
        assert_eq!(client.send(&message).status, "3", "pending");
    }
    let list = instance.json(&["request", "list"]);
    assert_eq!(list.as_array().unwrap().len(), 1, "once: {list}");
    let other =
        client.csr("gw1.example.net", "DNS:gw1.example.net,DNS:gw1.example.net", &challenge(&peer));
    refused(&client.send(&client.message(&Draft::new(REQUEST, "A1", other))), "2", "waits");
    let content = seq(&[&client.issuer_and_serial("ra-sig.crt").0, &seq(&[])]);
    let poll = client.message(&Draft::new(POLL, "A1", content.clone()));
    assert_eq!(client.send(&poll).status, "3", "pending");
    // Somebody else's poll with the same transactionID finds nothing.
    let stranger = Client::rsa(&instance, "gw2");
    let theirs = stranger.send(&stranger.message(&Draft::new(POLL, "A1", content)));
    refused(&theirs, "4", "nothing waits");
    instance.ok(&["request", "approve", list[0]["id"].as_str().unwrap()]);
    let issued = client.certificates(&client.send(&poll));
    // The answer may be lost: by the poll and by the request, it is the same again.
    assert_eq!(client.certificates(&client.send(&poll)), issued);
    assert_eq!(client.certificates(&client.send(&message)), issued);
    assert_eq!(instance.certificates("gw1").len(), 1);
}

#[test]
fn certificates_and_crls_are_looked_up() {
    let instance = site();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let client = Client::rsa(&instance, "gw1");
    let own = client.csr("gw1.example.net", "DNS:gw1.example.net", &challenge(&peer));
    let certificate = client.enrol("A1", own);
    let (issuer, serial) = client.issuer_and_serial("gw1.crt");
    let named = seq(&[&issuer, &serial]);
    let found = client.send(&client.message(&Draft::new(GET_CERT, "0", named.clone())));
    assert_eq!(client.certificates(&found), [certificate]);
    let absent = seq(&[&issuer, &[2, 1, 1]]);
    refused(
        &client.send(&client.message(&Draft::new(GET_CERT, "0", absent))),
        "4",
        "nothing that can be sent",
    );
    let crl = client.send(&client.message(&Draft::new(GET_CRL, "0", named)));
    let signed = client.opened(&crl);
    let crl = signed.part(0xa1).expect("a CRL").content;
    fs::write(instance.file("crl.der"), crl).unwrap();
    let text = openssl(&instance, "crl -inform DER -in crl.der -noout -issuer -CAfile above.crt");
    assert!(text.contains("issuing CA"), "{text}");
    let foreign = seq(&[&Client::rsa(&instance, "gw2").issuer_and_serial("gw2.crt").0, &[2, 1, 1]]);
    refused(&client.send(&client.message(&Draft::new(GET_CRL, "0", foreign))), "4", "nothing that");
}

#[test]
fn the_next_ca_is_announced_while_it_waits_and_then_answers() {
    let mut instance = site();
    let capabilities = |instance: &Instance| {
        let answer = instance.http("GET", "/scep?operation=GetCACaps&message=x", "", &[]).unwrap();
        assert_eq!(answer.header("content-type"), Some("text/plain"));
        String::from_utf8(answer.body).unwrap()
    };
    let usual = capabilities(&instance);
    assert_eq!(usual, "AES\nSHA-256\nSHA-384\nSHA-512\nPOSTPKIOperation\nRenewal\nSCEPStandard\n");
    instance.stop();
    instance.ok(&["ca", "roll", "issuing", "--staged"]);
    instance.serve();
    assert_eq!(capabilities(&instance), format!("{usual}GetNextCACert\n"));
    let next = instance.http("GET", "/scep?operation=GetNextCACert", "", &[]).unwrap();
    assert_eq!(next.header("content-type"), Some("application/x-x509-next-ca-cert"));
    fs::write(instance.file("next.der"), &next.body).unwrap();
    openssl(
        &instance,
        "cms -verify -binary -inform DER -in next.der -CAfile trusted.crt -purpose any -out next.p7",
    );
    let printed = openssl(&instance, "pkcs7 -inform DER -in next.p7 -print_certs -noout");
    assert!(printed.contains("issuing CA"), "{printed}");
    // Once it is active, its own delegates answer, and the old ones still open what was encrypted for them.
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    instance.ok(&["ca", "activate", "issuing.2"]);
    let client = Client::rsa(&instance, "gw1");
    let csr = client.csr("gw1.example.net", "DNS:gw1.example.net", &challenge(&peer));
    client.enrol("A1", csr);
    let issuer = client.openssl("x509 -in NAME.crt -noout -issuer");
    let before = client.issuer_and_serial("ra-enc.crt").0;
    fetch_certificates(&instance, "/scep");
    assert_ne!(client.issuer_and_serial("ra-enc.crt").0, before, "{issuer}");
    assert_eq!(client.issuer_and_serial("gw1.crt").0, client.issuer_and_serial("ra-enc.crt").0);
    let csr = client.csr("gw1.example.net", "DNS:gw1.example.net", "");
    client.enrol("A2", csr);
    assert_eq!(capabilities(&instance), usual);
}

#[test]
fn without_its_line_scep_is_not_served_and_makes_no_certificates() {
    let instance = Instance::start();
    for path in ["/scep?operation=GetCACaps", "/cgi-bin/pkiclient.exe?operation=GetCACaps"] {
        assert_eq!(instance.http("GET", path, "", &[]).unwrap().status, 404);
    }
    assert!(!instance.data().join("keys/issuing.scep-enc.key").exists());
}

#[test]
fn a_message_comes_by_get_too_and_to_each_path() {
    let instance = site();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let client = Client::rsa(&instance, "gw1");
    for (number, path) in [
        "/scep",
        "/scep/",
        "/scep/issuing",
        "/scep/gateway",
        "/scep/pkiclient.exe",
        "/scep/issuing/pkiclient.exe",
        "/cgi-bin/pkiclient.exe",
    ]
    .into_iter()
    .enumerate()
    {
        let csr = client.csr("gw1.example.net", "DNS:gw1.example.net", &challenge(&peer));
        let message = client.message(&Draft::new(REQUEST, &format!("A{number}"), csr));
        let posted = client.send_to(path, &message);
        let base64 = data_encoding::BASE64.encode(&message).replace('+', "%2B").replace('=', "%3D");
        let query = format!("{path}?operation=PKIOperation&message={base64}");
        let got = common::scep::read(&instance, &instance.http("GET", &query, "", &[]).unwrap());
        assert_eq!(client.certificates(&got), client.certificates(&posted), "{path}");
    }
    assert_eq!(instance.certificates("gw1").len(), 7);
}

#[test]
fn certmonger_enrols_resubmits_and_rekeys() {
    let instance = site();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let script = format!(
        "/usr/lib/certmonger/certmonger-session -n >certmonger.log 2>&1 & daemon=$!\n\
         await() {{ for try in $(seq 600); do \"$@\" && return; sleep 0.2; done; getcert list -s; cat certmonger.log; kill $daemon; exit 1; }}\n\
         answers() {{ getcert list -s >/dev/null 2>&1; }}\n\
         issued() {{ getcert list -s -i r | grep -q 'status: MONITORING' && ! cmp -s cm.crt before.crt; }}\n\
         touch before.crt; await answers\n\
         getcert add-scep-ca -s -c c -u http://{}/scep || exit 1\n\
         getcert request -s -c c -I r -f $PWD/cm.crt -k $PWD/cm.key -N CN=gw1.example.net -D gw1.example.net -L {} || exit 1\n\
         await issued; cp cm.crt before.crt\n\
         getcert resubmit -s -i r || exit 1; await issued; cp cm.crt before.crt\n\
         getcert rekey -s -i r || exit 1; await issued\n\
         kill $daemon\n",
        instance.address,
        challenge(&peer)
    );
    let run = Command::new("dbus-run-session")
        .args(["--", "sh", "-c", &script])
        .env("HOME", instance.file("."))
        .current_dir(instance.file("."))
        .stdin(Stdio::null())
        .output()
        .expect("this test needs the packages `certmonger` and `dbus`: run `make deps`");
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{text}\n{}", instance.log());
    openssl(&instance, "verify -CAfile data/keys/root.crt -untrusted above.crt cm.crt");
    assert_eq!(instance.certificates("gw1").len(), 3);
}

#[test]
fn pyscep_enrols_asks_for_a_crl_and_reads_refusals() {
    let instance = rsa_site();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let script = format!(
        "from scep.Client.client import Client\n\
         from scep.Client.signingrequest import SigningRequest\n\
         usage = {{'digital_signature', 'key_encipherment'}}\n\
         client = Client('http://{}/scep')\n\
         identity, key = SigningRequest.generate_self_signed(cn='gw1.example.net', key_usage=usage)\n\
         csr, _ = SigningRequest.generate_csr(cn='gw1.example.net', key_usage=usage, password='{}', private_key=key)\n\
         done = client.enrol(csr, identity, key)\n\
         print('enrolled', done.status, len(done.certificates))\n\
         open('py.crt', 'wb').write(done.certificates[0].to_der())\n\
         crl = client.get_crl(identity, key, 1)\n\
         print('crl', crl.status)\n\
         bad, _ = SigningRequest.generate_csr(cn='gw1.example.net', key_usage=usage, password='wrong', private_key=key)\n\
         print('refused', client.enrol(bad, identity, key).fail_info)\n",
        instance.address,
        challenge(&peer)
    );
    let python =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-pyscep/bin/python");
    let run = Command::new(&python)
        .args(["-c", &script])
        .current_dir(instance.file("."))
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("`{}`: {e}; run `make deps`", python.display()));
    let text = String::from_utf8_lossy(&run.stdout);
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{text}{errors}\n{}", instance.log());
    for line in ["enrolled PKIStatus.SUCCESS 1", "crl PKIStatus.SUCCESS", "refused 1"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    openssl(&instance, "x509 -inform DER -in py.crt -out py.pem");
    openssl(&instance, "verify -CAfile data/keys/root.crt -untrusted above.crt py.pem");
}

#[test]
fn the_commands_of_the_documentation_enrol_and_renew() {
    let instance = site();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let text = include_str!("../docs/enrolment.md");
    let row = "| strongSwan's `pki` 5.9.8 |";
    let row = text.lines().find(|line| line.starts_with(row)).expect("a row");
    let commands: Vec<&str> =
        row.split('`').skip(1).step_by(2).filter(|text| text.starts_with("pki --")).collect();
    assert_eq!(commands.len(), 3, "{row}");
    for (number, command) in commands.into_iter().enumerate() {
        let key = ["", "gw1.key", "next.key"][number];
        if !key.is_empty() {
            let make =
                format!("genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out {key}");
            openssl(&instance, &make);
        }
        let command = command
            .replace("HOST:8829", &instance.address)
            .replace("SECRET", &peer.secret)
            .replace("--cacert CA", "--cacert data/keys/issuing.crt --cacert data/keys/root.crt")
            .replace("RA-ENC", "ra-enc.crt")
            .replace("RA-SIG", "ra-sig.crt");
        common::tool_ok("sh", "dash", &["-ec", &command], &instance.file("."));
    }
    for file in ["gw1.crt", "next.crt"] {
        openssl(
            &instance,
            &format!("verify -CAfile data/keys/root.crt -untrusted above.crt {file}"),
        );
    }
    assert_eq!(instance.certificates("gw1").len(), 2);
}
