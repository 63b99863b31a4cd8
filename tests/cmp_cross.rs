//! Cross-certification (RFC 9810 §5.3.11, Appendix D.6). An account with the permission gets another CA's key certified. Below our root,
//! OpenSSL, NSS and our own path validation then accept that CA's certificates within the account's names, and no others. `openssl cmp`
//! cannot send a ccr; the tests' own encoder does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;
use std::str::FromStr;
use std::sync::Arc;

use common::cmp::{
    self, Answer, CCP, CCR, CertReqMsg, CertRequest, Draft, Holder, KEY_USAGE, Key, PKICONF,
    Template, Validity, algorithm, any, confirmation, cross_template, enrolled, exchange, oid,
    proven, refused,
};
use common::vendor::{CA, Pki};
use common::{Instance, tool, tool_ok};
use countersign_ca::path::{self, Anchors, PathSettings};
use countersign_ca::{Clock, SystemClock};
use der::asn1::{BitString, OctetString};
use der::{Decode, Encode};
use x509_cert::Certificate;
use x509_cert::ext::Extension;
use x509_cert::name::Name;

const SUBJECT: &str = "CN=Partner CA,O=Partner";
const BASIC_CONSTRAINTS: &str = "2.5.29.19";
const NAME_CONSTRAINTS: &str = "2.5.29.30";
const SUBJECT_KEY_IDENTIFIER: &str = "2.5.29.14";

/// An instance with an account `partner`, which may have the CA `SUBJECT` certified for names below partner.example and O=Partner; and the
/// account's certificate.
fn start() -> (Instance, Holder) {
    let instance = Instance::start();
    let ids = ["fqdn:partner.example", &format!("dn:{SUBJECT}"), "dn:O=Partner"];
    let peer = instance.peer_with("partner", &ids, &["--allow", "cross-certification"]);
    let operator = enrolled(&instance, &peer);
    (instance, operator)
}

fn ccr(instance: &Instance, key: &Key, change: impl FnOnce(&mut Template)) -> Vec<u8> {
    let mut template = cross_template(instance, "root", key, SUBJECT);
    change(&mut template);
    vec![proven(key, CertRequest { id: 0, template, controls: None })].to_der().unwrap()
}

fn ask(instance: &Instance, operator: &Holder, body: Vec<u8>) -> Answer {
    exchange(instance, &Draft::new(CCR, body).implicit().by(operator))
}

fn extension(id: &str, critical: bool, value: &impl Encode) -> Extension {
    let extn_value = OctetString::new(value.to_der().unwrap()).unwrap();
    Extension { extn_id: oid(id), critical, extn_value }
}

fn statuses(instance: &Instance) -> Vec<String> {
    let all = instance.certificates("partner");
    all.iter().map(|one| one["status"].as_str().unwrap().to_owned()).collect()
}

fn pem(instance: &Instance, name: &str, der: &[u8]) {
    let text = der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, der).unwrap();
    fs::write(instance.file(name), text).unwrap();
}

#[test]
fn what_the_other_ca_certifies_is_accepted_below_our_root_within_its_names() {
    let (instance, operator) = start();
    // The other CA, made by OpenSSL, with a peer inside and two outside of its names.
    let pki = Pki { instance: &instance };
    pki.root("partner-ca", "/O=Partner/CN=Partner CA");
    let gw = "/O=Partner/CN=gw";
    pki.issue("inside", "p256", gw, "partner-ca", &end("DNS:gw.partner.example"));
    pki.issue("outside", "p256", gw, "partner-ca", &end("DNS:gw.example.net"));
    pki.issue("sub-ca", "p256", "/O=Partner/CN=Sub", "partner-ca", CA);
    pki.issue("below", "p256", gw, "sub-ca", &end("DNS:gw.partner.example"));

    // The ccr of Appendix D.6, confirmed.
    let key = Key::read(&fs::read_to_string(instance.file("partner-ca.key")).unwrap());
    let own = Certificate::from_der(&der_of(&instance, "partner-ca.crt")).unwrap();
    let body = ccr(&instance, &key, |template| {
        template.subject = Some(own.tbs_certificate.subject.clone());
        template.extensions = own.tbs_certificate.extensions.clone();
    });
    let cross = exchange(&instance, &Draft::new(CCR, body).by(&operator));
    assert_eq!(cross.kind, CCP);
    let certificate = cross.certificate();
    assert_eq!(statuses(&instance), ["valid", "unconfirmed"]);
    let draft = Draft::after(&cross, cmp::CERT_CONF, confirmation(&certificate));
    assert_eq!(exchange(&instance, &draft.by(&operator)).kind, PKICONF);
    assert_eq!(statuses(&instance), ["valid", "valid"]);

    // OpenSSL builds the chain: peer of the other CA, cross certificate, our root.
    pem(&instance, "cross.crt", &certificate);
    let root = instance.root();
    let root = root.to_str().unwrap();
    let verify = |name: &str, more: &[&str]| {
        let all = ["verify", "-x509_strict", "-CAfile", root, "-untrusted", "cross.crt"];
        let output =
            tool("openssl", "openssl", &[&all[..], more, &[name]].concat(), &instance.file("."));
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (ok, text) = verify("inside.crt", &[]);
    assert!(ok, "{text}");
    let (ok, text) = verify("outside.crt", &[]);
    assert!(!ok && text.contains("subtree violation"), "{text}");
    let (ok, text) = verify("below.crt", &["-untrusted", "sub-ca.crt"]);
    assert!(!ok && text.contains("path length"), "{text}");
    let shown = common::openssl::text(&instance, "cross.crt");
    assert!(shown.contains("CA:TRUE, pathlen:0"), "{shown}");
    assert!(shown.contains("DNS:partner.example"), "{shown}");
    assert!(shown.contains("Certificate Sign, CRL Sign"), "{shown}");
    instance.ok(&["lint", instance.file("cross.crt").to_str().unwrap()]);

    // It is revoked as any other, and stands on the root's CRL.
    let serial = instance.certificates("partner")[1]["serial"].as_str().unwrap().to_owned();
    instance.ok(&["cert", "revoke", &serial]);
    instance.ok(&["crl", "publish", "--ca", "root"]);
    let crl = instance.data().join("crl/root.crl");
    let text = tool_ok(
        "openssl",
        "openssl",
        &["crl", "-in", crl.to_str().unwrap(), "-inform", "DER", "-noout", "-text"],
        &instance.file("."),
    );
    assert!(text.to_lowercase().contains(&serial), "{text}");
    instance.ok(&["audit", "verify"]);
}

/// The extensions of a peer's certificate.
fn end(san: &str) -> String {
    let san = if san.is_empty() { String::new() } else { format!("subjectAltName={san}\n") };
    format!("keyUsage=digitalSignature\nauthorityKeyIdentifier=keyid\n{san}")
}

fn der_of(instance: &Instance, name: &str) -> Vec<u8> {
    let text = fs::read_to_string(instance.file(name)).unwrap();
    der::pem::decode_vec(text.as_bytes()).unwrap().1
}

/// Another CA, made by OpenSSL, and its certificate by ours.
struct Crossed<'a> {
    pki: Pki<'a>,
    name: &'a str,
}

impl<'a> Crossed<'a> {
    fn new(instance: &'a Instance, name: &'a str, subject: &str, ids: &[&str]) -> Self {
        let flags = ["--allow", "cross-certification"];
        let operator = enrolled(instance, &instance.peer_with(name, ids, &flags));
        let pki = Pki { instance };
        pki.root(name, subject);
        let own = Certificate::from_der(&der_of(instance, &format!("{name}.crt"))).unwrap();
        let key = Key::read(&fs::read_to_string(instance.file(&format!("{name}.key"))).unwrap());
        let body = ccr(instance, &key, |template| {
            template.subject = Some(own.tbs_certificate.subject.clone());
            template.extensions = own.tbs_certificate.extensions.clone();
        });
        let certificate = ask(instance, &operator, body).certificate();
        pem(instance, &format!("{name}-cross.crt"), &certificate);
        instance.ok(&["lint", instance.file(&format!("{name}-cross.crt")).to_str().unwrap()]);
        Self { pki, name }
    }

    /// Has the CA certify a peer, and checks the certificate with OpenSSL, NSS, and our own path validation.
    fn certifies(&self, subject: &str, san: &str) -> [(bool, String); 3] {
        let (instance, cross) = (self.pki.instance, format!("{}-cross.crt", self.name));
        self.pki.issue("peer", "p256", subject, self.name, &end(san));
        let run = |program: &str, package: &str, arguments: &[&str]| {
            let output = tool(program, package, arguments, &instance.file("."));
            let said = [output.stdout, output.stderr].concat();
            (output.status.success(), String::from_utf8_lossy(&said).into_owned())
        };
        let arguments =
            ["verify", "-x509_strict", "-CAfile", "data/keys/root.crt", "-untrusted", &cross];
        let openssl = run("openssl", "openssl", &[&arguments[..], &["peer.crt"]].concat());
        let _ = fs::remove_dir_all(instance.file("nss"));
        fs::create_dir(instance.file("nss")).unwrap();
        let nss = |program: &str, arguments: &[&str]| {
            run(program, "libnss3-tools", &[&["-d", "sql:nss"], arguments].concat())
        };
        assert!(nss("certutil", &["-N", "--empty-password"]).0);
        let root = ["-A", "-n", "root", "-t", "CT,C,C", "-i", "data/keys/root.crt"];
        assert!(nss("certutil", &root).0);
        // As libreswan has it: usage IPsec, by libpkix.
        let nss = nss("vfychain", &["-pp", "-u", "12", "-a", "peer.crt", &cross]);
        let read =
            |name: &str| Arc::new(path::Certificate::from_der(der_of(instance, name)).unwrap());
        let anchors = Anchors::new([der_of(instance, "data/keys/root.crt")]).unwrap();
        let chain = [read("peer.crt"), read(&cross)];
        let now = SystemClock.now();
        let own = path::validate(&anchors, &PathSettings::default(), &chain, &[], now);
        let own = own.map_or_else(|e| (false, e.to_string()), |_| (true, String::new()));
        [openssl, nss, own]
    }

    #[track_caller]
    fn may(&self, subject: &str, san: &str) {
        for (ok, said) in self.certifies(subject, san) {
            assert!(ok, "{subject} {san}: {said}");
        }
    }

    /// NSS applies DNS constraints to a common name if there is no dNSName, and refuses the certificate for that.
    #[track_caller]
    fn may_but_for_nss(&self, subject: &str) {
        let [openssl, _, own] = self.certifies(subject, "");
        assert!(openssl.0 && own.0, "{subject}: {}{}", openssl.1, own.1);
    }

    #[track_caller]
    fn may_not(&self, subject: &str, san: &str) {
        let [openssl, nss, own] = self.certifies(subject, san);
        let said = format!("{subject} {san}: {} {} {}", openssl.1, nss.1, own.1);
        assert!(!openssl.0 && openssl.1.contains("subtree violation"), "{said}");
        assert!(!nss.0 && nss.1.contains("Chain is bad"), "{said}");
        assert!(!own.0 && own.1.contains("a CA above it"), "{said}");
    }
}

/// Names of our own, of every kind that an IKE identity can have.
const OURS: [&str; 4] =
    ["DNS:gw1.example.net", "IP:192.0.2.1", "IP:2001:db8::1", "email:gw1@example.net"];

#[test]
fn no_name_of_ours_of_any_kind_is_the_other_cas_to_certify() {
    let instance = Instance::start();
    let ids = ["fqdn:partner.example", &format!("dn:{SUBJECT}"), "dn:O=Partner"];
    let partner = Crossed::new(&instance, "partner", "/O=Partner/CN=Partner CA", &ids);
    let gw = "/O=Partner/CN=gw";
    partner.may(gw, "DNS:gw.partner.example");
    partner.may_but_for_nss(gw);
    for san in OURS {
        partner.may_not(gw, san);
    }
    let ours = "dirName:ours\n[ours]\nO=Example\nCN=gw1";
    partner.may_not(gw, ours);
    partner.may_not("/O=Partner/CN=gw/emailAddress=gw1@example.net", "");
    for subject in ["/O=Example/CN=gw1", "/CN=gw1", "/CN=gw/O=Partner", "/O=Partner2/CN=gw"] {
        partner.may_not(subject, "");
        partner.may_not(subject, "DNS:gw.partner.example");
    }
    let shown = common::openssl::text(&instance, "partner-cross.crt");
    assert!(shown.contains("email:none.invalid") && !shown.contains("DNS:none.invalid"), "{shown}");

    // A DN and nothing else is enough: whole, and with nothing beside it.
    let lone = Crossed::new(&instance, "lone", "/O=Lone/CN=Lone CA", &["dn:CN=Lone CA,O=Lone"]);
    let below = "/O=Lone/CN=Lone CA/CN=gw";
    lone.may_but_for_nss(below);
    for san in OURS {
        lone.may_not(below, san);
    }
    lone.may_not("/O=Lone/CN=gw", "");

    // Every kind: what the account has, and no more of it.
    let ids = ["dn:CN=All CA,O=All", "dn:O=All", "ip:192.0.2.9", "email:gw@all.example"];
    let all = Crossed::new(&instance, "all", "/O=All/CN=All CA", &ids);
    all.may("/O=All/OU=gw", "IP:192.0.2.9");
    all.may("/O=All/OU=gw", "email:gw@all.example");
    for san in OURS {
        all.may_not("/O=All/OU=gw", san);
    }
    all.may_not("/O=All/OU=gw", "email:other@all.example");
}

#[test]
fn what_is_not_the_accounts_to_ask_for_is_refused() {
    let (instance, operator) = start();
    let key = Key::new();
    let is = |body: Vec<u8>, failure: &str, word: &str| {
        refused(&ask(&instance, &operator, body), failure, word);
    };
    let root = fs::read_to_string(instance.root()).unwrap();
    let (_, root) = der::pem::decode_vec(root.as_bytes()).unwrap();
    let root = Certificate::from_der(&root).unwrap().tbs_certificate;
    let name = |text: &str| Some(Name::from_str(text).unwrap());

    // Subjects.
    is(ccr(&instance, &key, |t| t.subject = None), "badCertTemplate", "add subject");
    is(
        ccr(&instance, &key, |t| t.subject = Some(root.subject.clone())),
        "badCertTemplate",
        "a CA of this instance",
    );
    is(
        ccr(&instance, &key, |t| t.subject = name("CN=Other CA")),
        "notAuthorized",
        "no DN identity",
    );
    // Keys: ours, which nobody outside can prove; that which signs the message; none.
    is(ccr(&instance, &operator.key, |_| ()), "badCertTemplate", "a CA has a key of its own");
    is(ccr(&instance, &key, |t| t.public_key = None), "badCertTemplate", "publicKey");
    is(
        ccr(&instance, &key, |t| t.public_key = Some(root.subject_public_key_info.clone())),
        "badPOP",
        "possession",
    );
    let bare = CertReqMsg {
        request: CertRequest {
            id: 0,
            template: cross_template(&instance, "root", &key, SUBJECT),
            controls: None,
        },
        proof: None,
    };
    is(vec![bare.clone()].to_der().unwrap(), "badPOP", "missing");
    let mut wrong = proven(&Key::new(), bare.request.clone());
    is(vec![wrong.clone()].to_der().unwrap(), "badPOP", "possession");
    wrong.proof = Some(cmp::implicit(0, any(&der::asn1::Null)));
    is(vec![wrong].to_der().unwrap(), "notAuthorized", "raVerified");
    // Issuers and algorithms.
    is(ccr(&instance, &key, |t| t.issuer = name("CN=Nobody")), "wrongAuthority", "CN=Nobody");
    is(
        ccr(&instance, &key, |t| t.signing_alg = Some(algorithm(cmp::RSA_SHA256, None))),
        "badAlg",
        "signingAlg",
    );
    // What Appendix D.6 demands, one by one, and all at once.
    is(ccr(&instance, &key, |t| t.version = None), "badCertTemplate", "add version");
    is(ccr(&instance, &key, |t| t.signing_alg = None), "badCertTemplate", "add signingAlg");
    is(ccr(&instance, &key, |t| t.issuer = None), "badCertTemplate", "add issuer");
    is(ccr(&instance, &key, |t| t.issuer = Some(Name::default())), "badCertTemplate", "add issuer");
    is(
        ccr(&instance, &key, |t| t.subject = Some(Name::default())),
        "badCertTemplate",
        "add subject",
    );
    let without =
        |change: fn(&mut Validity)| ccr(&instance, &key, |t| change(t.validity.as_mut().unwrap()));
    is(without(|validity| validity.not_before = None), "badCertTemplate", "add validity.notBefore");
    is(without(|validity| validity.not_after = None), "badCertTemplate", "add validity.notAfter");
    let all = "add version, signingAlg, issuer, validity.notBefore, validity.notAfter, subject, publicKey";
    is(ccr(&instance, &key, |t| *t = Template::default()), "badCertTemplate", all);
    let second = Some(der::asn1::Int::new(&[1]).unwrap());
    is(ccr(&instance, &key, |t| t.version = second), "badCertTemplate", "version 2 (v3)");
    // Extensions.
    let with =
        |extension: Extension| ccr(&instance, &key, |t| t.extensions = Some(vec![extension]));
    let end = x509_cert::ext::pkix::BasicConstraints { ca: false, path_len_constraint: None };
    is(with(extension(BASIC_CONSTRAINTS, true, &end)), "badCertTemplate", "no CA");
    let signs = BitString::new(7, [0x80]).unwrap();
    is(with(extension(KEY_USAGE, true, &signs)), "badCertTemplate", "keyCertSign");
    is(with(extension("1.2.3.4", true, &signs)), "badCertTemplate", "1.2.3.4");
    let long = OctetString::new(vec![7; 65]).unwrap();
    is(with(extension(SUBJECT_KEY_IDENTIFIER, false, &long)), "badCertTemplate", "64 octets");
    // Two at once.
    let two = vec![proven(&key, bare.request.clone()), proven(&key, bare.request.clone())];
    is(two.to_der().unwrap(), "badRequest", "exactly one");
    assert_eq!(statuses(&instance), ["valid"], "nothing was certified");
    // Another number is taken (RFC 4211 §5).
    let fifth = CertRequest { id: 5, ..bare.request };
    ask(&instance, &operator, vec![proven(&key, fifth)].to_der().unwrap()).certificate();
    instance.ok(&["audit", "verify"]);
}

#[test]
fn only_an_account_that_may_has_a_ca_certified_and_only_by_its_certificate() {
    let (instance, operator) = start();
    let key = Key::new();
    // By a secret.
    let ids = ["fqdn:two.example", "dn:CN=Two"];
    let two = instance.peer_with("two", &ids, &["--allow", "cross-certification"]);
    let body = ccr(&instance, &key, |t| t.subject = Some(Name::from_str("CN=Two").unwrap()));
    let answer = exchange(&instance, &Draft::new(CCR, body).by_secret(&two));
    refused(&answer, "wrongIntegrity", "signature");
    // Not any more.
    instance.ok(&["peer", "allow", "partner", "--permission", "cross-certification", "--revoke"]);
    refused(
        &ask(&instance, &operator, ccr(&instance, &key, |_| ())),
        "notAuthorized",
        "cross-certification",
    );
    instance.ok(&["peer", "allow", "partner", "--permission", "cross-certification"]);
    // Not for accounts that hold no DN: a CA has one.
    let no_dn = ["fqdn:three.example"];
    let no_dn = instance.peer_with("three", &no_dn, &["--allow", "cross-certification"]);
    let holder = enrolled(&instance, &no_dn);
    refused(
        &ask(&instance, &holder, ccr(&instance, &key, |_| ())),
        "notAuthorized",
        "no DN identity",
    );

    // Mods are named, and the certified CA signs no messages of its own.
    let any_length = x509_cert::ext::pkix::BasicConstraints { ca: true, path_len_constraint: None };
    let constraint = x509_cert::ext::pkix::constraints::name::NameConstraints {
        permitted_subtrees: None,
        excluded_subtrees: None,
    };
    let wide = ccr(&instance, &key, |t| {
        t.extensions = Some(vec![
            extension(BASIC_CONSTRAINTS, true, &any_length),
            extension(NAME_CONSTRAINTS, true, &constraint),
        ]);
    });
    let answer = ask(&instance, &operator, wide);
    let status = answer.status().unwrap();
    assert_eq!(status.status, 1, "grantedWithMods");
    let words = status.words();
    assert!(words.contains("pathLenConstraint") && words.contains("name constraints"), "{words}");
    let ca = Holder { key, certificate: answer.certificate() };
    let answer = exchange(&instance, &Draft::new(cmp::CR, cmp::request(&Key::new())).by(&ca));
    refused(&answer, "signerNotTrusted", "is a CA's");

    // A regular request for a CA is refused as ever.
    let body = cmp::request_with(&Key::new(), |t| {
        t.extensions = Some(vec![extension(BASIC_CONSTRAINTS, true, &any_length)]);
    });
    let answer = exchange(&instance, &Draft::new(cmp::CR, body).by(&operator));
    refused(&answer, "notAuthorized", "ask for a CA");
}
