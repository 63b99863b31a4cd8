//! Keys that the EST server generates (RFC 7030 §4.4): curl asks for them, Python's reader of MIME takes the answer apart, and OpenSSL uses
//! the key. A request that comes again gets no second certificate; a request may wait for an administrator; the key stays nowhere.
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
use common::http::Reply;
use common::vendor::{DEVICE, Pki};
use common::{Peer, tool_ok};
use der::Decode;
use der::asn1::Any;

const PATH: &str = "/.well-known/est/serverkeygen";

/// An account for which keys may be generated.
fn allowed(site: &Site, name: &str, flags: &[&str]) -> Peer {
    let flags = [&["--uses", "100", "--allow", "key-generation"], flags].concat();
    site.instance.peer_with(name, &[&format!("fqdn:{name}.example.net")], &flags)
}

/// A request `NAME.b64` with a key of this kind, which is not the one that is generated.
fn request(site: &Site, name: &str, kind: &str) {
    let (subject, names) = (format!("/CN={name}.example.net"), format!("DNS:{name}.example.net"));
    site.request(name, kind, &subject, &names);
}

/// Takes an answer apart as a reader of MIME does: the key into `made.key`, its certificate into `made.crt`. Gives the DER of the key.
#[track_caller]
fn taken_apart(site: &Site, reply: Reply) -> Vec<u8> {
    let reply = reply.is(200, &[]);
    let kind = reply.header("Content-Type").expect("a content type");
    let message = format!("Content-Type: {kind}\n\n{}", reply.body);
    fs::write(site.instance.file("answer.mime"), message).unwrap();
    let script = "import email\n\
        parts = email.message_from_bytes(open('answer.mime', 'rb').read()).get_payload()\n\
        for part, name in zip(parts, ['made.der', 'made.p7']):\n\
        \x20   print(part['Content-Type'])\n\
        \x20   open(name, 'wb').write(part.get_payload(decode=True))\n\
        print(len(parts))\n";
    let said = tool_ok("python3", "python3", &["-c", script], &site.instance.file("."));
    let kinds = "application/pkcs8\napplication/pkcs7-mime; smime-type=certs-only\n2\n";
    assert_eq!(said, kinds, "{}", reply.body);
    site.openssl(&["pkcs8", "-inform", "DER", "-nocrypt", "-in", "made.der", "-out", "made.key"]);
    let certificates = ["pkcs7", "-inform", "DER", "-in", "made.p7", "-print_certs"];
    site.openssl(&[&certificates[..], &["-out", "made.crt"]].concat());
    let certified = site.openssl(&["x509", "-in", "made.crt", "-noout", "-pubkey"]);
    assert_eq!(site.openssl(&["pkey", "-in", "made.key", "-pubout"]), certified);
    fs::read(site.instance.file("made.der")).unwrap()
}

#[test]
fn the_generated_key_fits_its_certificate_and_is_of_the_kind_that_the_request_has() {
    let site = Site::start();
    for (kind, is) in [
        ("p256", "NIST CURVE: P-256"),
        ("p384", "NIST CURVE: P-384"),
        ("rsa2048", "Private-Key: (2048 bit"),
        ("rsa3072", "Private-Key: (3072 bit"),
    ] {
        let peer = allowed(&site, kind, &[]);
        request(&site, kind, kind);
        taken_apart(&site, site.post_as(PATH, kind, &peer));
        let made = site.openssl(&["pkey", "-in", "made.key", "-noout", "-text"]);
        assert!(made.contains(is), "{made}");
        let own = site.openssl(&["pkey", "-in", &format!("{kind}.key"), "-pubout"]);
        assert_ne!(site.openssl(&["pkey", "-in", "made.key", "-pubout"]), own);
        let text = common::openssl::text(&site.instance, "made.crt");
        assert!(text.contains(&format!("DNS:{kind}.example.net")), "{text}");
    }
    // A certificate of ours asks for the next key as well; behind a label, too.
    site.request("next", "p384", "/CN=rsa3072.example.net", "");
    let by = ["--cert", "made.crt", "--key", "made.key"];
    let reply = site.post("/.well-known/est/gateway/serverkeygen", "next", &by);
    taken_apart(&site, reply);
    assert_eq!(statuses(&site.instance, "rsa3072"), ["valid", "valid"]);
    site.instance.ok(&["audit", "verify"]);
}

#[test]
fn the_answer_has_the_lines_and_ends_of_mime_in_one_write() {
    let site = Site::start();
    let peer = allowed(&site, "gw1", &[]);
    request(&site, "gw1", "rsa2048");
    let (url, userpass, root) = (site.url(PATH), userpass(&peer), site.root());
    let fixed = ["-s", "-S", "--cacert", &root, "-u", &userpass, "--data-binary", "@gw1.b64"];
    let more = ["-H", "Content-Type: application/pkcs10", "-D", "head", "-o", "body", &url];
    tool_ok("curl", "curl", &[&fixed[..], &more].concat(), &site.instance.file("."));
    let head = fs::read_to_string(site.instance.file("head")).unwrap();
    let body = fs::read_to_string(site.instance.file("body")).unwrap();
    let length = format!("Content-Length: {}\r\n", body.len());
    assert!(head.contains(&length) && head.contains("Cache-Control: no-store"), "{head}");
    // libest reads no preamble, and compares names and values of the parts' header fields letter by letter.
    let first = "--countersign\r\nContent-Type: application/pkcs8\r\nContent-Transfer-Encoding: base64\r\n\r\nMII";
    assert!(body.starts_with(first), "{body}");
    assert!(body.ends_with("\r\n--countersign--\r\n"), "{body}");
    assert!(body.lines().all(|line| line.len() <= 76), "{body}");
    assert_eq!(body.matches('\n').count(), body.matches("\r\n").count(), "{body}");
}

#[test]
fn a_request_that_comes_again_is_told_that_its_key_is_gone() {
    let mut site = Site::start();
    let peer = allowed(&site, "gw1", &[]);
    request(&site, "gw1", "p256");
    taken_apart(&site, site.post_as(PATH, "gw1", &peer));
    let serial = site.instance.certificates("gw1")[0]["serial"].as_str().unwrap().to_owned();
    let words = [serial.as_str(), "kept nowhere", "revoked", "another key"];
    site.post_as(PATH, "gw1", &peer).is(409, &words);
    site.has_logged(&[&serial, "kept nowhere"]);
    // A new signature of the same request is the same request: signatures count for nothing here.
    let before = fs::read(site.instance.file("gw1.b64")).unwrap();
    request(&site, "gw1", "p256");
    assert_ne!(fs::read(site.instance.file("gw1.b64")).unwrap(), before);
    site.post_as(PATH, "gw1", &peer).is(409, &words);
    site.instance.kill();
    site.instance.serve();
    site.post_as(PATH, "gw1", &peer).is(409, &words);
    assert_eq!(statuses(&site.instance, "gw1"), ["valid"]);
    // As a request for its own key, the same octets are another request; and with another key they are, too.
    site.post_as("/.well-known/est/simpleenroll", "gw1", &peer).is(200, &[]);
    fs::remove_file(site.instance.file("gw1.key")).unwrap();
    request(&site, "gw1", "p256");
    taken_apart(&site, site.post_as(PATH, "gw1", &peer));
    assert_eq!(statuses(&site.instance, "gw1").len(), 3);
    site.goes_on();
}

#[test]
fn no_key_is_made_before_an_administrator_approves() {
    let mut site = Site::start_with(&[], "[profiles.gateway]\napproval = true\n");
    let peer = allowed(&site, "gw1", &[]);
    request(&site, "gw1", "p256");
    let waits = site.post_as(PATH, "gw1", &peer).is(202, &["approval"]);
    assert_eq!(waits.header("Retry-After"), Some("60"));
    let list = || site.instance.json(&["request", "list"]);
    let id = list()[0]["id"].as_str().unwrap().to_owned();
    let shown = site.instance.json(&["request", "show", &id]);
    assert!(shown["key"].as_str().unwrap().contains("generated here"), "{shown}");
    // A client that polls by a new request joins the one that waits.
    site.post_as(PATH, "gw1", &peer).is(202, &[&id]);
    fs::remove_file(site.instance.file("gw1.key")).unwrap();
    let first = fs::read(site.instance.file("gw1.b64")).unwrap();
    request(&site, "gw1", "p256");
    site.post_as(PATH, "gw1", &peer).is(202, &[&id]);
    assert_eq!(list().as_array().unwrap().len(), 1);
    // The same octets with a key of their own wait for themselves.
    let own = site.post_as("/.well-known/est/simpleenroll", "gw1", &peer).is(202, &[]);
    assert!(!own.body.contains(&id), "{}", own.body);
    site.instance.ok(&["request", "approve", &id]);
    site.instance.kill();
    site.instance.serve();
    site.post_as("/.well-known/est/simpleenroll", "gw1", &peer).is(202, &[]);
    taken_apart(&site, site.post_as(PATH, "gw1", &peer));
    site.post_as(PATH, "gw1", &peer).is(409, &["kept nowhere"]);
    assert_eq!(statuses(&site.instance, "gw1"), ["valid"]);
    // The first form of the request waited together with the one that was answered.
    fs::write(site.instance.file("gw1.b64"), first).unwrap();
    site.post_as(PATH, "gw1", &peer).is(409, &["in the place of this one", "another key"]);
    site.has_logged(&["in the place of this one"]);
    // The approval is used up: the next request waits.
    fs::remove_file(site.instance.file("gw1.key")).unwrap();
    request(&site, "gw1", "p256");
    let again = site.post_as(PATH, "gw1", &peer).is(202, &[]);
    let next = again.body.split_whitespace().find(|word| word.trim_end_matches(';').len() == 32);
    let next = next.expect("the name of the request").trim_end_matches(';').to_owned();
    // What is approved is not issued once the account may have no keys made.
    site.instance.ok(&["request", "approve", &next]);
    let permission = ["peer", "allow", "gw1", "--permission", "key-generation"];
    site.instance.ok(&[&permission[..], &["--revoke"]].concat());
    site.post_as(PATH, "gw1", &peer).is(403, &["key-generation"]);
    site.instance.ok(&permission);
    taken_apart(&site, site.post_as(PATH, "gw1", &peer));
    // A rejected one says why.
    let other = allowed(&site, "gw2", &[]);
    request(&site, "gw2", "p256");
    site.post_as(PATH, "gw2", &other).is(202, &[]);
    let list = site.instance.json(&["request", "list"]);
    let waiting = list.as_array().unwrap().iter().find(|one| one["account"] == "gw2").unwrap();
    let id = waiting["id"].as_str().unwrap();
    site.instance.ok(&["request", "reject", id, "--reason", "make it yourself"]);
    site.post_as(PATH, "gw2", &other).is(403, &["rejected", "make it yourself"]);
    site.has_logged(&["make it yourself"]);
    site.instance.ok(&["audit", "verify"]);
    site.instance.stop();
    site.instance.ok(&["store", "rebuild"]);
}

#[test]
fn who_may_not_have_a_key_made_gets_none_and_is_told_why() {
    let site = Site::start_with(&[], "[profiles.narrow]\nkeys = [\"p384\"]\n");
    let peer = site.instance.peer_with("gw1", &["fqdn:gw1.example.net"], &["--uses", "100"]);
    request(&site, "gw1", "p256");
    site.post_as(PATH, "gw1", &peer).is(403, &["gw1", "key-generation"]);
    site.has_logged(&["key-generation"]);
    let allowed = allowed(&site, "gw2", &[]);
    // Names that are not the account's.
    site.post_as(PATH, "gw1", &allowed).is(403, &["gw1.example.net"]);
    // A key with which the private key shall be encrypted.
    request(&site, "gw2", "p256");
    for id in ["1.2.840.113549.1.9.16.2.37", "1.2.840.113549.1.9.16.2.54"] {
        let config = format!(
            "[req]\nprompt=no\ndistinguished_name=dn\nattributes=at\n[dn]\nCN=gw2.example.net\n[at]\n{id}=key\n"
        );
        fs::write(site.instance.file("named.cnf"), config).unwrap();
        site.openssl(&[
            "req",
            "-new",
            "-config",
            "named.cnf",
            "-key",
            "gw2.key",
            "-out",
            "named.csr",
        ]);
        site.in_base64("named");
        site.post_as(PATH, "named", &allowed).is(400, &["DecryptKeyIdentifier", "CMP"]);
        site.has_logged(&["DecryptKeyIdentifier"]);
    }
    // Kinds of key that are not made here, or that the profile does not accept.
    site.openssl(&["ecparam", "-name", "secp256k1", "-genkey", "-noout", "-out", "odd.key"]);
    site.request("odd", "p256", "/CN=gw2.example.net", "");
    site.post_as(PATH, "odd", &allowed).is(400, &["1.3.132.0.10"]);
    let narrow = ["--uses", "100", "--allow", "key-generation", "--profile", "narrow"];
    let narrow = site.instance.peer_with("gw3", &["fqdn:gw3.example.net"], &narrow);
    request(&site, "gw3", "p256");
    site.post_as(PATH, "gw3", &narrow).is(400, &["p384"]);
    // Nobody, and a device of a vendor.
    let nobody = site.post(PATH, "gw2", &[]);
    assert_eq!((nobody.status, nobody.body.as_str()), (401, ""));
    let pki = Pki::new(&site.instance);
    pki.issue("device", "p256", "/O=Maker/serialNumber=SN-1", "factory", DEVICE);
    let chain =
        ["device.crt", "factory.crt"].map(|file| fs::read(site.instance.file(file)).unwrap());
    fs::write(site.instance.file("chain.pem"), chain.concat()).unwrap();
    site.instance.ok(&["trust", "add", &pki.path("maker.crt"), "--map", "serialNumber"]);
    let device = ["--equipment", "maker:SN-1", "--allow", "key-generation"];
    site.instance
        .ok(&[&["peer", "add", "gw4", "--id", "fqdn:gw4.example.net"], &device[..]].concat());
    request(&site, "gw4", "p256");
    let by = ["--cert", "chain.pem", "--key", "device.key"];
    site.post(PATH, "gw4", &by).is(403, &["make the key yourself"]);
    site.has_logged(&["make the key yourself"]);
    // What is no request, and no POST.
    fs::write(site.instance.file("bad.b64"), "MAA=").unwrap();
    site.post_as(PATH, "bad", &allowed).is(400, &["CertificationRequest"]);
    site.curl(PATH, &[]).is(405, &["POST"]);
    for account in ["gw1", "gw2", "gw3", "gw4"] {
        assert_eq!(statuses(&site.instance, account), [""; 0], "{account}");
    }
    site.goes_on();
}

#[test]
fn the_generated_key_stays_nowhere() {
    let mut site = Site::start_with(&[("log", "filter = \"trace\"")], "");
    let peer = allowed(&site, "gw1", &[]);
    request(&site, "gw1", "p256");
    let key = taken_apart(&site, site.post_as(PATH, "gw1", &peer));
    // The private scalar: PrivateKeyInfo, ECPrivateKey, privateKey.
    let info: Vec<Any> = Vec::from_der(&key).unwrap();
    let inner: Vec<Any> = Vec::from_der(info[2].value()).unwrap();
    let scalar = inner[1].value().to_vec();
    assert_eq!(scalar.len(), 32);
    site.instance.stop();
    site.instance.holds_nowhere(&scalar);
    assert!(site.instance.log().contains("TRACE"), "the log is whole");
}
