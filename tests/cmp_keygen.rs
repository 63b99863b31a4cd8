//! Central key generation (RFC 9483 §4.1.6). OpenSSL decrypts and uses the key that the authority generated. A peer without the permission
//! gets none.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;
use std::path::Path;

use common::cmp::*;
use common::cms::{self, decrypted, decrypted_by_secret, enveloped, openssl, verified};
use common::openssl::{self, enrol, key};
use common::{Instance, Peer};
use der::asn1::{Any, BitString, Null};
use der::{Decode, Encode};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::name::Name;

const EC: &str = "1.2.840.10045.2.1";
const RSA: &str = "1.2.840.113549.1.1.1";
const RSA_KEY_LEN: &str = "1.3.6.1.5.5.7.5.1.12";

/// An instance with the profile `sealed`, whose key usages allow a peer to receive an encrypted key.
fn instance() -> Instance {
    Instance::start_with_profile(
        &[],
        "[profiles.sealed]\nkey_usage = [\"digitalSignature\", \"keyEncipherment\", \"keyAgreement\"]\n",
    )
}

/// As [`instance`], with the profiles `for-openssl` and `for-openssl-sealed`, which encrypt keys in the form that OpenSSL's client reads.
fn instance_for_openssl() -> Instance {
    Instance::start_with_profile(
        &[],
        "[profiles.for-openssl]\nenvelope = \"openssl\"\n[profiles.for-openssl-sealed]\nenvelope = \"openssl\"\n\
         key_usage = [\"digitalSignature\", \"keyEncipherment\", \"keyAgreement\"]\n",
    )
}

fn allowed(instance: &Instance, name: &str, flags: &[&str]) -> Peer {
    let mut all = vec!["--uses", "100", "--allow", "key-generation"];
    all.extend(flags);
    instance.peer_with(name, &[&format!("fqdn:{name}.example.net")], &all)
}

/// A request for a key to be generated: its template has an algorithm with an empty key, or no key at all.
fn wish(kind: Option<AlgorithmIdentifierOwned>, rsa_bits: Option<u32>) -> CertReqMsg {
    let empty = BitString::from_bytes(&[]).unwrap();
    let public_key =
        kind.map(|algorithm| SubjectPublicKeyInfoOwned { algorithm, subject_public_key: empty });
    let template = Template { subject: Some(Name::default()), public_key, ..Template::default() };
    let controls = rsa_bits
        .map(|bits| vec![AttributeTypeAndValue { oid: oid(RSA_KEY_LEN), value: any(&bits) }]);
    CertReqMsg { request: CertRequest { id: 0, template, controls }, proof: None }
}

fn draft(request: CertReqMsg) -> Draft {
    Draft::new(IR, vec![request].to_der().unwrap()).with(|header| header.pvno = 3)
}

fn curve(id: &str) -> Option<AlgorithmIdentifierOwned> {
    Some(algorithm(EC, Some(any(&oid(id)))))
}

/// Verifies the decrypted content of the envelope, and that its key is that of the certificate. Gives the file of the private key.
#[track_caller]
fn check_key(instance: &Instance, signed: &[u8], certificate: &[u8]) -> String {
    let package = verified(instance, signed);
    let (_, public) = cms::private_key(instance, &package, "made.pem");
    fs::write(instance.file("made.der"), certificate).unwrap();
    let certified = openssl(instance, "x509 -inform DER -in made.der -noout -pubkey");
    assert_eq!(openssl(instance, "pkey -in made.pem -pubout"), certified);
    let read = x509_cert::Certificate::from_der(certificate).unwrap();
    let bits = &read.tbs_certificate.subject_public_key_info.subject_public_key;
    assert_eq!(public, bits.raw_bytes(), "the public key beside it");
    // The signer is the key generation authority of the CA.
    let signer = openssl(instance, "x509 -in signer.crt -noout -text");
    assert!(signer.contains("Key Generation Authority"), "{signer}");
    assert!(signer.contains("CN = issuing KGA"), "{signer}");
    certified
}

#[test]
fn with_a_secret_the_key_comes_by_password() {
    let instance = instance();
    let gw1 = allowed(&instance, "gw1", &[]);
    let made = [
        (wish(None, None), "NIST CURVE: P-256"),
        (wish(curve("1.3.132.0.34"), None), "NIST CURVE: P-384"),
        (wish(Some(algorithm("1.3.101.112", None)), None), "ED25519 Public-Key"),
        (wish(Some(algorithm(RSA, Some(any(&Null)))), None), "Public-Key: (2048 bit)"),
        (wish(None, Some(3072)), "Public-Key: (3072 bit)"),
    ];
    for (request, kind) in made {
        let answer = exchange(&instance, &draft(request).by_secret(&gw1));
        let certificate = answer.certificate();
        assert_eq!(answer.header.pvno, 3);
        assert!(answer.is_protected_by(&gw1.secret));
        let sealed = enveloped(&answer.private_key().expect("a private key"));
        let signed = decrypted_by_secret(&instance, &sealed, &gw1.secret);
        check_key(&instance, &signed, &certificate);
        let text = openssl(&instance, "pkey -in made.pem -noout -text_pub");
        assert!(text.contains(kind), "{text}");
        // It is confirmed as any other.
        let confirm = Draft::after(&answer, CERT_CONF, confirmation(&certificate));
        let confirm = confirm.with(|header| header.pvno = 3).by_secret(&gw1);
        assert_eq!(exchange(&instance, &confirm).kind, PKICONF);
    }
    let certificates = instance.certificates("gw1");
    assert!(certificates.iter().all(|one| one["status"] == "valid"), "{certificates:?}");
    // One certificate of the key generation authority does for all.
    assert_eq!(instance.certificates("_kga").len(), 1);
}

#[test]
fn with_a_certificate_the_key_comes_to_its_key() {
    let instance = instance();
    for (kind, hash, signature) in [
        ("rsa2048", "sha256", RSA_SHA256),
        ("p256", "sha256", ECDSA_SHA256),
        ("p384", "sha384", ECDSA_SHA384),
    ] {
        let peer = allowed(&instance, kind, &["--profile", "sealed"]);
        let file = format!("{kind}.key");
        key(&instance, kind, &file);
        enrol(&instance, &peer, &file, &[]).granted();
        openssl(&instance, &format!("x509 -in {kind}.crt -outform DER -out own.der"));
        let certificate = fs::read(instance.file("own.der")).unwrap();
        let holder = Holder { key: Key::new(), certificate };
        let draft = draft(wish(None, None)).from(&holder);
        let draft = draft.with(|header| header.protection_alg = Some(algorithm(signature, None)));
        let message = draft.protected_by(|part| cms::signature(&instance, &file, hash, part));
        let answer = exchange(&instance, &message);
        let certificate = answer.certificate();
        let sealed = enveloped(&answer.private_key().expect("a private key"));
        let signed = decrypted(&instance, &sealed, &file);
        check_key(&instance, &signed, &certificate);
    }
}

#[test]
fn the_key_stays_nowhere() {
    let mut instance = instance();
    let gw1 = allowed(&instance, "gw1", &[]);
    let answer = exchange(&instance, &draft(wish(None, None)).implicit().by_secret(&gw1));
    let sealed = enveloped(&answer.private_key().expect("a private key"));
    let signed = decrypted_by_secret(&instance, &sealed, &gw1.secret);
    let package = verified(&instance, &signed);
    // The private scalar, in octets and in hexadecimal: OneAsymmetricKey, ECPrivateKey, privateKey.
    let parts: Vec<Any> = Vec::<Any>::from_der(&package).unwrap()[0].decode_as().unwrap();
    let inner: Vec<Any> = Vec::<Any>::from_der(parts[2].value()).unwrap();
    let scalar = inner[1].value().to_vec();
    assert_eq!(scalar.len(), 32);
    instance.stop();
    instance.holds_nowhere(&scalar);
}

#[test]
fn who_may_not_have_a_key_made_gets_none() {
    let instance = instance();
    let gw1 = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let answer = exchange(&instance, &draft(wish(None, None)).by_secret(&gw1));
    refused(&answer, "notAuthorized", "key-generation");
    // What was allowed can be taken away.
    instance.ok(&["peer", "allow", "gw1", "--permission", "key-generation"]);
    exchange(&instance, &draft(wish(None, None)).implicit().by_secret(&gw1)).certificate();
    instance.ok(&["peer", "allow", "gw1", "--permission", "key-generation", "--revoke"]);
    let answer = exchange(&instance, &draft(wish(None, None)).by_secret(&gw1));
    refused(&answer, "notAuthorized", "key-generation");
    // A certificate whose key only signs: nothing can be sent to it.
    let gw2 = allowed(&instance, "gw2", &[]);
    let holder = enrolled(&instance, &gw2);
    let answer = exchange(&instance, &draft(wish(None, None)).by(&holder));
    refused(&answer, "notAuthorized", "keyAgreement");
    assert_eq!((instance.certificates("gw1").len(), instance.certificates("gw2").len()), (1, 1));
}

#[test]
fn what_cannot_be_made_is_refused_and_costs_nothing() {
    let instance = instance();
    let gw1 = allowed(&instance, "gw1", &[]);
    let ask = |draft: Draft| exchange(&instance, &draft.by_secret(&gw1));
    for bits in [1024, 2049, 16_384, 0x7f_ffff] {
        refused(&ask(draft(wish(None, Some(bits)))), "badCertTemplate", &bits.to_string());
    }
    let k256 = wish(curve("1.3.132.0.10"), None);
    refused(&ask(draft(k256)), "badAlg", "1.3.132.0.10");
    let x25519 = wish(Some(algorithm("1.3.101.110", None)), None);
    refused(&ask(draft(x25519)), "badAlg", "1.3.101.110");
    let nameless = wish(Some(algorithm(EC, None)), None);
    refused(&ask(draft(nameless)), "badAlg", "named curve");
    // A proof of possession of a key that is not there.
    let proof = proven(&Key::new(), wish(None, None).request);
    refused(&ask(draft(proof)), "badCertTemplate", "leave popo out");
    // A transactionID that was used before.
    let first = draft(wish(None, None)).implicit();
    ask(first.clone()).certificate();
    refused(&ask(first), "transactionIdInUse", "new transaction");
    // p10cr proves possession by its signature; without a key there is none.
    let empty = BitString::from_bytes(&[]).unwrap();
    let info = sequence(&[
        any(&0_u8).to_der().unwrap(),
        Name::default().to_der().unwrap(),
        sequence(&[
            algorithm(EC, Some(any(&oid("1.2.840.10045.3.1.7")))).to_der().unwrap(),
            empty.to_der().unwrap(),
        ]),
    ]);
    let csr = sequence(&[
        info,
        algorithm(ECDSA_SHA256, None).to_der().unwrap(),
        BitString::from_bytes(&[1; 70]).unwrap().to_der().unwrap(),
    ]);
    let answer = ask(Draft::new(4, csr).with(|header| header.pvno = 3));
    refused(&answer, "badDataFormat", "found 0 octets");
    assert_eq!(instance.certificates("gw1").len(), 1);
}

/// `openssl cmp` of OpenSSL 4.0.3, which can request central key generation, and reads only the form `openssl`.
fn openssl_4(instance: &Instance, arguments: &[&str]) -> openssl::Run {
    let newer = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-openssl/openssl");
    assert!(newer.exists(), "{} is missing: run `make deps`", newer.display());
    openssl::cmp_by(std::process::Command::new(newer), instance, arguments)
}

#[test]
fn openssl_4_has_keys_made_under_a_secret_and_under_certificates() {
    let instance = instance_for_openssl();
    let gw1 = allowed(&instance, "gw1", &["--profile", "for-openssl-sealed"]);
    let same_key = |certificate: &str, private: &str| {
        let certified = openssl(&instance, &format!("x509 -in {certificate} -noout -pubkey"));
        assert_eq!(openssl(&instance, &format!("pkey -in {private} -pubout")), certified);
        certified
    };
    // Its ir has no key, no proof of possession and pvno 2; the answer has EnvelopedData and so pvno 3.
    let secret = format!("pass:{}", gw1.secret);
    let first = ["-cmd", "ir", "-ref", &gw1.reference, "-secret", &secret, "-centralkeygen"];
    let saved = ["-newkeyout", "made.key", "-certout", "made.crt", "-rspout", "ip.der"];
    openssl_4(&instance, &[&first[..], &saved[..]].concat()).granted();
    let first = same_key("made.crt", "made.key");
    let answer = fs::read(instance.file("ip.der")).unwrap();
    let header: Vec<Any> = Vec::<Any>::from_der(&answer).unwrap()[0].decode_as().unwrap();
    assert_eq!(header[0], any(&3_u8), "EnvelopedData is of version 3 (RFC 9810 §5.1.1)");
    // With the certificate that came, the next key comes by key agreement.
    let own = ["-cert", "made.crt", "-key", "made.key", "-centralkeygen"];
    let saved = ["-cmd", "kur", "-newkeyout", "next.key", "-certout", "next.crt"];
    openssl_4(&instance, &[&own[..], &saved[..]].concat()).granted();
    assert_ne!(same_key("next.crt", "next.key"), first);
    // With an RSA key, by key transport.
    let gw2 = allowed(&instance, "gw2", &["--profile", "for-openssl-sealed"]);
    key(&instance, "rsa2048", "gw2.key");
    enrol(&instance, &gw2, "gw2.key", &[]).granted();
    let own = ["-cert", "gw2.crt", "-key", "gw2.key", "-centralkeygen"];
    let saved = ["-cmd", "cr", "-newkeyout", "other.key", "-certout", "other.crt"];
    openssl_4(&instance, &[&own[..], &saved[..]].concat()).granted();
    same_key("other.crt", "other.key");
}

#[test]
fn openssl_4_reads_no_other_form() {
    // If it learns to read RFC 5958 and AES key wrap, the setting has become needless for it.
    let instance = instance_for_openssl();
    let gw1 = allowed(&instance, "gw1", &[]);
    let secret = format!("pass:{}", gw1.secret);
    let first = ["-cmd", "ir", "-ref", &gw1.reference, "-secret", &secret, "-centralkeygen"];
    let saved = ["-newkeyout", "made.key", "-certout", "made.crt"];
    let run = openssl_4(&instance, &[&first[..], &saved[..]].concat());
    run.refused(&["unsupported key encryption algorithm"]);
}

#[test]
fn who_always_sends_a_popo_says_ra_verified() {
    let instance = instance();
    let gw1 = allowed(&instance, "gw1", &[]);
    // RFC 4211 §4: raVerified [0] NULL.
    let ra_verified = || Some(implicit(0, Any::from(Null)));
    let vouched = CertReqMsg { proof: ra_verified(), ..wish(None, None) };
    for pvno in [2, 3] {
        let request = draft(vouched.clone()).implicit().with(|header| header.pvno = pvno);
        let answer = exchange(&instance, &request.by_secret(&gw1));
        let certificate = answer.certificate();
        assert_eq!(answer.header.pvno, 3, "EnvelopedData is of version 3 (RFC 9810 §5.1.1)");
        let sealed = enveloped(&answer.private_key().expect("a private key"));
        check_key(&instance, &decrypted_by_secret(&instance, &sealed, &gw1.secret), &certificate);
    }
    // With a key in the template it vouches for something, and nobody let this peer.
    let own = CertReqMsg { proof: ra_verified(), request: plain_request(&Key::new()) };
    refused(&exchange(&instance, &draft(own).by_secret(&gw1)), "notAuthorized", "raVerified");
}
