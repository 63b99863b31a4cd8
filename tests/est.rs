//! Clients that we did not write enrol and renew over EST: strongSwan's `pki`, Bouncy Castle and curl. The same request finds its answer
//! again, also across a restart, and is the same as over CMP.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;

use common::est::{Site, statuses, userpass};
use common::openssl;
use common::vendor::{DEVICE, Pki};
use common::{Peer, pki_6, tool_ok};
use data_encoding::BASE64;

#[test]
fn strongswan_enrols_and_renews_with_rsa_and_ecdsa() {
    let site = Site::start();
    let (url, root) = (site.url(""), site.root());
    let fetched = ["--caout", "fetched.pem", "--outform", "pem"];
    let fetched =
        site.pki(&[&["--estca", "--url", &url, "--cacert", &root][..], &fetched].concat());
    assert!(fetched.status.success(), "{}", String::from_utf8_lossy(&fetched.stderr));
    let cas = ["fetched.pem", "fetched-1.pem"].map(|file| openssl::text(&site.instance, file));
    assert!(cas[0].contains("CN = Countersign root CA"), "{}", cas[0]);
    assert!(cas[1].contains("CN = Countersign issuing CA"), "{}", cas[1]);
    for kind in ["rsa2048", "p256", "p384"] {
        let peer = site.instance.peer(kind, &[&format!("fqdn:{kind}.example.net")]);
        site.request(
            kind,
            kind,
            &format!("/CN={kind}.example.net"),
            &format!("DNS:{kind}.example.net"),
        );
        let (csr, userpass) = (format!("{kind}.csr"), userpass(&peer));
        let common = ["--est", "--url", &url, "--cacert", &root, "--in", &csr];
        let enrolled = site.pki(&[&common[..], &["--userpass", &userpass]].concat());
        site.keep_printed(&enrolled, kind);
        let text = openssl::text(&site.instance, &format!("{kind}.crt"));
        assert!(text.contains(&format!("DNS:{kind}.example.net")), "{text}");

        // It renews with that certificate, under a new key.
        let next = format!("{kind}-next");
        site.request(
            &next,
            kind,
            &format!("/CN={kind}.example.net"),
            &format!("DNS:{kind}.example.net"),
        );
        let (csr, old, key) = (format!("{next}.csr"), format!("{kind}.crt"), format!("{kind}.key"));
        let renewed = site.pki(&[
            "--est", "--url", &url, "--cacert", &root, "--in", &csr, "--cert", &old, "--key", &key,
        ]);
        site.keep_printed(&renewed, &next);
        assert_ne!(site.der(kind), site.der(&next));
        assert_eq!(statuses(&site.instance, kind), ["valid", "valid"]);
    }
    site.instance.ok(&["audit", "verify"]);
}

#[test]
fn a_label_names_a_profile_or_a_ca_before_and_behind_the_prefix() {
    let site = Site::start();
    let root = site.root();
    for (n, label) in ["gateway", "issuing"].into_iter().enumerate() {
        let name = format!("gw{n}");
        let peer = site.instance.peer(&name, &[&format!("fqdn:{name}.example.net")]);
        site.request(&name, "p256", "/CN=x", &format!("DNS:{name}.example.net"));
        // strongSwan 5.9.8 writes the path behind the label, strongSwan 6 and RFC 7030 before it.
        let url = site.url(&format!("/{label}"));
        site.request(&name, "p256", &format!("/CN={name}.example.net"), "");
        let csr = format!("{name}.csr");
        let enrolled = site.pki(&[
            "--est",
            "--url",
            &url,
            "--cacert",
            &root,
            "--in",
            &csr,
            "--userpass",
            &userpass(&peer),
        ]);
        site.keep_printed(&enrolled, &name);
        let path = format!("/.well-known/est/{label}/simpleenroll");
        site.post_as(&path, &name, &peer).is(200, &[]);
        // The same request has the same answer.
        assert_eq!(statuses(&site.instance, &name), ["valid"]);
    }
    let peer = site.instance.peer("gw9", &["fqdn:gw9.example.net"]);
    site.request("gw9", "p256", "/CN=gw9.example.net", "");
    site.post_as("/.well-known/est/user/simpleenroll", "gw9", &peer).is(403, &["profile"]);
    site.post_as("/.well-known/est/nobody/simpleenroll", "gw9", &peer)
        .is(404, &["no profile and no issuing CA `nobody`"]);
    site.has_logged(&["nobody"]);
    site.curl("/.well-known/est/enrol", &[]).is(404, &["simpleenroll", "found `enrol`"]);
    site.curl("/elsewhere", &[]).is(404, &["/.well-known/est/OPERATION"]);
    assert_eq!(statuses(&site.instance, "gw9"), [""; 0]);
}

#[test]
fn strongswan_6_enrols_and_renews_behind_a_label() {
    let site = Site::start();
    let (url, root) = (site.url(""), site.root());
    let peer = site.instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let (first, next) =
        (["--userpass", &userpass(&peer)], ["--cert", "gw1.crt", "--key", "gw1.key"]);
    for (name, by) in [("gw1", &first[..]), ("next", &next)] {
        site.request(name, "p256", "/CN=gw1.example.net", "DNS:gw1.example.net");
        let csr = format!("{name}.csr");
        let common =
            ["--est", "--url", &url, "--label", "gateway", "--cacert", &root, "--in", &csr];
        let run = pki_6(&[&common[..], by].concat(), &site.instance.file("."));
        site.keep_printed(&run, name);
        let text = openssl::text(&site.instance, &format!("{name}.crt"));
        assert!(text.contains("DNS:gw1.example.net"), "{text}");
    }
    assert_eq!(statuses(&site.instance, "gw1"), ["valid", "valid"]);
    // The label of another profile.
    let wrong = ["--est", "--url", &url, "--label", "user", "--cacert", &root, "--in", "gw1.csr"];
    let run = pki_6(&[&wrong[..], &next].concat(), &site.instance.file("."));
    assert!(!run.status.success());
    site.has_logged(&["is for the profile `gateway`, not `user`"]);
}

#[test]
fn bouncy_castle_enrols_and_renews() {
    let site = Site::start();
    let peer = site.instance.peer("gw1", &["fqdn:gw1.example.net"]);
    site.request("gw1", "p256", "/CN=gw1.example.net", "DNS:gw1.example.net");
    let userpass = [peer.reference.as_str(), peer.secret.as_str()];
    let said = bouncy_castle(&site, "gw1.csr", "-", "-", &userpass);
    assert!(said.contains("ca: CN=Countersign root CA") && said.contains("issuing CA"), "{said}");
    keep_said(&site, &said, "gw1");

    site.openssl(&[
        "pkcs12", "-export", "-inkey", "gw1.key", "-in", "gw1.crt", "-out", "gw1.p12", "-passout",
        "pass:x",
    ]);
    site.request("next", "p384", "/CN=gw1.example.net", "DNS:gw1.example.net");
    let said = bouncy_castle(&site, "next.csr", "gateway", "gw1.p12", &[]);
    assert!(!said.contains("attributes: 0"), "the profile has CSR attributes: {said}");
    keep_said(&site, &said, "next");
    assert_eq!(statuses(&site.instance, "gw1"), ["valid", "valid"]);
}

/// Runs Bouncy Castle's client, and gives its output.
#[track_caller]
fn bouncy_castle(site: &Site, csr: &str, label: &str, p12: &str, userpass: &[&str]) -> String {
    let archives = ["bcprov", "bcutil", "bcpkix"].map(|of| format!("/usr/share/java/{of}.jar"));
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/est/Enrol.java");
    let (host, root, path) =
        (format!("localhost:{}", site.port()), site.root(), archives.join(":"));
    let all = [&["-cp", &path, program, &host, &root, csr, label, p12], userpass].concat();
    tool_ok("java", "openjdk-17-jdk-headless libbcpkix-java", &all, &site.instance.file("."))
}

/// Keeps the certificate that Bouncy Castle's client printed as `NAME.crt`.
#[track_caller]
fn keep_said(site: &Site, said: &str, name: &str) {
    let issued = said.lines().find_map(|line| line.strip_prefix("issued: "));
    let issued =
        issued.unwrap_or_else(|| panic!("nothing was issued: {said}\n{}", site.instance.log()));
    let der = BASE64.decode(issued.as_bytes()).expect("base64");
    fs::write(site.instance.file("said.der"), der).expect("a file");
    let out = format!("{name}.crt");
    site.openssl(&["x509", "-inform", "DER", "-in", "said.der", "-out", &out]);
}

#[test]
fn the_same_request_finds_its_answer_again_and_makes_no_second_certificate() {
    let mut site = Site::start();
    let peer = site.instance.peer_with("gw1", &["fqdn:gw1.example.net"], &["--uses", "1"]);
    site.request("gw1", "p256", "/CN=gw1.example.net", "");
    let enrol = "/.well-known/est/simpleenroll";
    let first = site.post_as(enrol, "gw1", &peer);
    let first = site.keep(&first, "gw1");
    fs::copy(site.instance.file("gw1.b64"), site.instance.file("first.b64")).unwrap();
    // The secret is used up; the client that lost the answer gets it all the same, also after a restart.
    let again = site.post_as(enrol, "gw1", &peer);
    assert_eq!(site.keep(&again, "gw1"), first);
    site.instance.kill();
    site.instance.serve();
    let again = site.post_as(enrol, "gw1", &peer);
    assert_eq!(site.keep(&again, "gw1"), first);
    assert_eq!(statuses(&site.instance, "gw1"), ["valid"]);
    // Another request is another matter.
    site.request("gw1", "p256", "/CN=gw1.example.net", "");
    site.post_as(enrol, "gw1", &peer).is(403, &["used up"]);
    site.has_logged(&["used up"]);

    // A renewal by the same octets is a request of its own, and has its own answer.
    let by = ["--cert", "gw1.crt", "--key", "gw1.key"];
    let renewed = site.post("/.well-known/est/simplereenroll", "first", &by);
    let renewed = site.keep(&renewed, "renewed");
    assert_ne!(renewed, first);
    let again = site.post("/.well-known/est/simplereenroll", "first", &by);
    assert_eq!(site.keep(&again, "renewed"), renewed);
    assert_eq!(statuses(&site.instance, "gw1"), ["valid", "valid"]);
    // Once it is revoked, it is not handed out again.
    let serial = site.instance.certificates("gw1")[0]["serial"].as_str().unwrap().to_owned();
    site.instance.ok(&["cert", "revoke", &serial, "--reason", "keyCompromise"]);
    site.post("/.well-known/est/simplereenroll", "first", &by).is(403, &["revoked"]);
    site.has_logged(&["revoked"]);
    site.goes_on();
}

#[test]
fn a_request_waits_for_approval_and_is_asked_for_again_across_a_restart() {
    let approval = "[profiles.gateway]\napproval = true\n";
    let mut site = Site::start_with(&[("cmp", "poll_after = \"7s\"")], approval);
    let peer = site.instance.peer("gw1", &["fqdn:gw1.example.net"]);
    site.request("gw1", "p256", "/CN=gw1.example.net", "");
    let enrol = "/.well-known/est/simpleenroll";
    let waits = site.post_as(enrol, "gw1", &peer).is(202, &["approval"]);
    assert_eq!(waits.header("Retry-After"), Some("7"));
    let request = waits.body.split_whitespace().find(|word| word.trim_end_matches(';').len() == 32);
    let request = request.expect("the name of the request").trim_end_matches(';').to_owned();
    site.post_as(enrol, "gw1", &peer).is(202, &[&request]);
    site.instance.kill();
    site.instance.serve();
    site.post_as(enrol, "gw1", &peer).is(202, &[&request]);
    let list = site.instance.json(&["request", "list"]);
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
    site.instance.ok(&["request", "approve", &request]);
    let issued = site.post_as(enrol, "gw1", &peer);
    let issued = site.keep(&issued, "gw1");
    let again = site.post_as(enrol, "gw1", &peer);
    assert_eq!(site.keep(&again, "gw1"), issued);
    assert_eq!(statuses(&site.instance, "gw1"), ["valid"]);

    // A client that was restarted makes the request anew: it joins the one that waits.
    let by = ["--cert", "gw1.crt", "--key", "gw1.key"];
    let renew = "/.well-known/est/simplereenroll";
    site.request("next", "p256", "/CN=gw1.example.net", "DNS:gw1.example.net");
    let waits = site.post(renew, "next", &by).is(202, &[]);
    site.request("next", "p256", "/CN=gw1.example.net", "DNS:gw1.example.net");
    let same = site.post(renew, "next", &by).is(202, &[]);
    assert_eq!(waits.body, same.body);
    let list = site.instance.json(&["request", "list"]);
    let waiting = list.as_array().unwrap().iter().find(|one| one["status"] == "waiting").unwrap();
    let id = waiting["id"].as_str().expect("an identifier");
    site.instance.ok(&["request", "reject", id, "--reason", "call first"]);
    site.post(renew, "next", &by).is(403, &["rejected", "call first"]);
    site.has_logged(&["call first"]);
    assert_eq!(statuses(&site.instance, "gw1"), ["valid"]);
    site.instance.ok(&["audit", "verify"]);
}

#[test]
fn a_device_enrols_with_its_vendors_certificate_once() {
    let site = Site::start();
    let pki = Pki::new(&site.instance);
    pki.issue("device", "p256", "/O=Maker/serialNumber=SN-1", "factory", DEVICE);
    let chain =
        ["device.crt", "factory.crt"].map(|file| fs::read(site.instance.file(file)).unwrap());
    fs::write(site.instance.file("chain.pem"), chain.concat()).unwrap();
    site.instance.ok(&["trust", "add", &pki.path("maker.crt"), "--map", "serialNumber"]);
    let added = ["peer", "add", "gw1", "--id", "fqdn:gw1.example.net", "--equipment", "maker:SN-1"];
    site.instance.ok(&added);
    site.request("gw1", "p256", "/CN=gw1.example.net", "DNS:gw1.example.net");
    let by = ["--cert", "chain.pem", "--key", "device.key"];
    let issued = site.post("/.well-known/est/simpleenroll", "gw1", &by);
    let issued = site.keep(&issued, "gw1");
    // It lost the answer. strongSwan renews whenever it has a certificate.
    let again = site.post("/.well-known/est/simpleenroll", "gw1", &by);
    assert_eq!(site.keep(&again, "gw1"), issued);
    let renew = "/.well-known/est/simplereenroll";
    let again = site.post(renew, "gw1", &by);
    assert_eq!(site.keep(&again, "gw1"), issued);
    site.request("second", "p256", "/CN=gw1.example.net", "DNS:gw1.example.net");
    site.post(renew, "second", &by).is(403, &["enrolled by the vendor's certificate already"]);
    pki.issue("unknown", "p256", "/O=Maker/serialNumber=SN-2", "maker", DEVICE);
    let unknown = ["--cert", "unknown.crt", "--key", "unknown.key"];
    site.post(renew, "second", &unknown).is(403, &["no account is for the equipment"]);
    site.has_logged(&["SN-2"]);
    // The account's own certificate renews.
    let by = ["--cert", "gw1.crt", "--key", "gw1.key"];
    site.post(renew, "second", &by).is(200, &[]);
    assert_eq!(statuses(&site.instance, "gw1"), ["valid", "valid"]);
}

#[test]
fn the_same_names_and_key_have_the_same_certificate_over_cmp_and_est() {
    let site = Site::start();
    let peer = site.instance.peer("gw1", &["fqdn:gw1.example.net", "ip:192.0.2.1"]);
    site.request("gw1", "p256", "/CN=gw1.example.net", "DNS:gw1.example.net");
    let reply = site.post_as("/.well-known/est/simpleenroll", "gw1", &peer);
    site.keep(&reply, "by-est");
    let secret = openssl::by_secret(&peer);
    let fixed = ["-cmd", "p10cr", "-csr", "gw1.csr", "-certout", "by-cmp.crt"];
    let all: Vec<&str> = fixed.iter().copied().chain(secret.iter().map(String::as_str)).collect();
    openssl::cmp(&site.instance, &all).granted();
    // Serial, times and signature differ; all else is the same, octet for octet.
    let fields = |name: &str| {
        let text = openssl::text(&site.instance, name);
        let differs = |line: &&str| {
            let own = ["Not Before", "Not After"].iter().any(|word| line.contains(word));
            let octets =
                line.trim().bytes().all(|octet| octet == b':' || octet.is_ascii_hexdigit());
            !own && !octets
        };
        text.lines().filter(differs).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(fields("by-est.crt"), fields("by-cmp.crt"));
}

/// The commands in the row of a client in `docs/enrolment.md`: whatever stands in backticks and begins with its program.
fn documented(row: &str, program: &str) -> Vec<String> {
    let text = include_str!("../docs/enrolment.md");
    let row = text.lines().find(|line| line.starts_with(&format!("| {row} |"))).expect("a row");
    let all = row.split('`').skip(1).step_by(2);
    all.filter(|text| text.starts_with(&format!("{program} "))).map(str::to_owned).collect()
}

#[test]
fn the_commands_of_the_documentation_enrol_and_renew() {
    let site = Site::start();
    fs::copy(site.root(), site.instance.file("root.crt")).unwrap();
    let folder = site.instance.file(".");
    let run = |command: &str, peer: &Peer| {
        let host = format!("localhost:{}", site.port());
        let command = command.replace("HOST:8443", &host).replace("REF:SECRET", &userpass(peer));
        tool_ok("sh", "dash", &["-ec", &command], &folder)
    };
    for (row, program) in [("strongSwan `pki` 5.9.8", "pki"), ("curl", "curl")] {
        let name = format!("gw-{program}");
        let peer = site.instance.peer(&name, &["fqdn:gw1.example.net"]);
        let commands = documented(row, program);
        let [first, next] = commands.as_slice() else { panic!("{commands:?}") };
        for command in [first, next] {
            site.request("gw1", "p256", "/CN=gw1.example.net", "DNS:gw1.example.net");
            run("openssl req -in gw1.csr -outform DER | base64 -w0 > gw1.b64", &peer);
            run(command, &peer);
            run(
                match program {
                    "pki" => "openssl x509 -inform DER -in gw1.der -out gw1.crt",
                    _ => {
                        "base64 -d gw1.p7.b64 | openssl pkcs7 -inform DER -print_certs -out gw1.crt"
                    }
                },
                &peer,
            );
            let text = openssl::text(&site.instance, "gw1.crt");
            assert!(text.contains("DNS:gw1.example.net"), "{text}");
            run("mv gw1.crt old.crt; mv gw1.key old.key", &peer);
        }
        assert_eq!(statuses(&site.instance, &name), ["valid", "valid"]);
        // As the page says of the key that the server makes.
        if program == "curl" {
            site.instance.ok(&["peer", "allow", &name, "--permission", "key-generation"]);
            site.request("gw1", "p256", "/CN=gw1.example.net", "DNS:gw1.example.net");
            run(&next.replace("simplereenroll", "serverkeygen"), &peer);
            let answer = fs::read_to_string(site.instance.file("gw1.p7.b64")).unwrap();
            assert!(answer.contains("application/pkcs8"), "{answer}");
        }
    }
}
