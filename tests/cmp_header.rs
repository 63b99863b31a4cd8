//! Every rule of RFC 9483 §3 for header, protection and extraCerts. The tests' own encoder breaks one rule at a time. The server must refuse
//! each message with the right bit of PKIFailureInfo and no other, and issue nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use common::cmp::{
    self, Answer, CERT_CONF, CR, CertId, Draft, ERROR, Header, Holder, IP, IR, Info, KUP, KUR, Key,
    PKICONF, RP, RR, Template, Validity, algorithm, any, confirmation, enrolled, exchange,
    from_now, implicit, name, named, octets, oid, pbm, pbmac1, proven, request, request_with,
    revocation,
};
use common::{COUNTERSIGN, Instance, Peer, at_another_time};
use der::asn1::{Any, Int, Null, OctetString, PrintableString, UtcTime};
use der::{Encode, Tagged};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

/// An instance with one account, which holds one certificate.
struct Site {
    instance: Instance,
    peer: Peer,
    holder: Holder,
}

impl Site {
    fn start() -> Self {
        let instance = Instance::start_with(&[("cmp", "profile = \"rfc9483\"")]);
        let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
        let holder = enrolled(&instance, &peer);
        Self { instance, peer, holder }
    }

    /// The status of each certificate of the account, oldest first.
    fn statuses(&self) -> Vec<String> {
        let certificates = self.instance.certificates("gw1");
        certificates.iter().map(|one| one["status"].as_str().expect("a status").into()).collect()
    }

    /// Asserts that the messages before led to no certificate, and that an honest request is still granted.
    #[track_caller]
    fn nothing_was_issued(&self) {
        assert_eq!(self.statuses(), ["valid"]);
        enrolled(&self.instance, &self.peer);
        self.instance.ok(&["audit", "verify"]);
    }

    /// Asserts that a message is refused with this bit and no other.
    #[track_caller]
    fn refused(&self, message: &[u8], failure: &str) -> Answer {
        refused(&self.instance, message, failure)
    }

    /// Asserts that this change of a good header is refused, under a secret and under a signature.
    #[track_caller]
    fn bad_header(&self, failure: &str, change: impl Fn(&mut Header)) {
        let key = Key::new();
        let draft = Draft::new(IR, request(&key)).of(&self.peer).with(&change);
        let answer = self.refused(&draft.maced(&self.peer.secret), failure);
        assert_eq!(answer.kind, ERROR, "a header is refused in an error message");
        // What cannot be read has no protection either.
        assert!(
            failure == "badDataFormat" || answer.is_protected_by(&self.peer.secret),
            "{failure} is said under the secret"
        );
        let draft = Draft::new(CR, request(&key)).from(&self.holder).with(&change);
        let answer = self.refused(&draft.signed(&self.holder.key), failure);
        assert_eq!(answer.kind, ERROR, "a header is refused in an error message");
    }
}

#[track_caller]
fn refused(instance: &Instance, message: &[u8], failure: &str) -> Answer {
    let answer = exchange(instance, message);
    let status = answer.status().unwrap_or_else(|| panic!("expected a refusal: {}", answer.kind));
    assert_eq!(status.failures(), [failure], "{}", status.words());
    assert_eq!(status.status, 2, "a rejection");
    assert!(!status.words().is_empty(), "a refusal says why");
    assert!(answer.header.sender_nonce.is_some() && answer.header.message_time.is_some());
    assert!(!answer.protection.is_empty(), "a refusal is protected");
    answer
}

fn text(words: &str) -> OctetString {
    OctetString::new(words.as_bytes()).unwrap()
}

fn extension(id: &str, critical: bool, value: &impl Encode) -> Extension {
    let extn_value = OctetString::new(value.to_der().unwrap()).unwrap();
    Extension { extn_id: oid(id), critical, extn_value }
}

fn san(id: &str) -> Extension {
    let name = GeneralName::DnsName(id.to_owned().try_into().unwrap());
    extension("2.5.29.17", false, &vec![name])
}

#[test]
fn a_header_by_the_book_is_answered_in_kind() {
    let site = Site::start();
    let key = Key::new();
    for algorithm in [
        pbm(&[1; 16], 100, cmp::SHA256, cmp::HMAC_SHA256),
        pbm(&[2; 16], 500, cmp::SHA256, cmp::HMAC_SHA1),
        pbmac1(&[3; 16], 1000),
    ] {
        let draft = Draft::new(IR, request(&key)).of(&site.peer).with(|header| {
            header.pvno = 3;
            header.protection_alg = Some(algorithm.clone());
            header.free_text = Some(any(&vec!["hello".to_owned(), "h\u{e4}".to_owned()]));
        });
        let answer = exchange(&site.instance, &draft.maced(&site.peer.secret));
        answer.certificate();
        assert_eq!(answer.kind, IP);
        assert_eq!(answer.header.pvno, 3);
        assert_eq!(answer.header.transaction_id, draft.header.transaction_id);
        assert_eq!(answer.header.recip_nonce, draft.header.sender_nonce);
        assert_eq!(answer.header.sender_kid, draft.header.sender_kid);
        assert_eq!(answer.header.protection_alg, Some(algorithm));
        assert!(answer.is_protected_by(&site.peer.secret));
        assert!(answer.info(cmp::CONFIRM_WAIT_TIME).is_some());
    }
    let draft = Draft::new(CR, request(&key)).from(&site.holder).with(|header| {
        // The name of the issuing CA, and that of the root: both are of this authority.
        header.recipient = GeneralName::DirectoryName(site.holder.read().tbs_certificate.issuer);
    });
    let answer = exchange(&site.instance, &draft.signed(&site.holder.key));
    answer.certificate();
    assert_eq!(answer.header.recipient, draft.header.sender);
    // RFC 9483 §3.3: the signer first, and no self-signed certificate.
    let signer = Holder { key: Key::new(), certificate: answer.extra_certs[0].clone() }.read();
    assert_eq!(answer.header.sender_kid, Some(cmp::key_identifier(&signer)));
    assert_eq!(answer.header.sender, GeneralName::DirectoryName(signer.tbs_certificate.subject));
    for certificate in &answer.extra_certs {
        let tbs = Holder { key: Key::new(), certificate: certificate.clone() }.read();
        assert_ne!(tbs.tbs_certificate.subject, tbs.tbs_certificate.issuer);
    }
}

#[test]
fn versions_other_than_2_and_3_are_unsupported() {
    let site = Site::start();
    for pvno in [0, 1, 4, 100] {
        site.bad_header("unsupportedVersion", |header| header.pvno = pvno);
    }
    site.nothing_was_issued();
}

#[test]
fn the_sender_is_the_signers_subject_or_a_directory_name() {
    let site = Site::start();
    let key = Key::new();
    let mail = GeneralName::Rfc822Name("gw1@example.net".to_owned().try_into().unwrap());
    let issuer = site.holder.read().tbs_certificate.issuer;
    for sender in [mail.clone(), name("CN=gw2"), name(""), GeneralName::DirectoryName(issuer)] {
        let subject = GeneralName::DirectoryName(site.holder.read().tbs_certificate.subject);
        if sender == subject {
            continue;
        }
        let draft = Draft::new(CR, request(&key)).from(&site.holder);
        let draft = draft.with(|header| header.sender = sender.clone());
        let answer = site.refused(&draft.signed(&site.holder.key), "badMessageCheck");
        assert_eq!(answer.kind, ERROR);
    }
    let draft = Draft::new(IR, request(&key)).with(|header| header.sender = mail);
    site.refused(&draft.by_secret(&site.peer), "badMessageCheck");
    site.nothing_was_issued();
}

#[test]
fn the_sender_kid_names_the_signers_key_or_the_secret() {
    let site = Site::start();
    let key = Key::new();
    for kid in [None, Some(OctetString::new(vec![7; 20]).unwrap()), Some(text(""))] {
        let draft = Draft::new(CR, request(&key)).from(&site.holder);
        let draft = draft.with(|header| header.sender_kid.clone_from(&kid));
        let answer = site.refused(&draft.signed(&site.holder.key), "badMessageCheck");
        assert_eq!(answer.kind, ERROR);
        let draft = Draft::new(IR, request(&key)).of(&site.peer);
        let draft = draft.with(|header| header.sender_kid.clone_from(&kid));
        let answer = site.refused(&draft.maced(&site.peer.secret), "badMessageCheck");
        assert_eq!(answer.kind, ERROR);
    }
    site.nothing_was_issued();
}

#[test]
fn a_message_for_somebody_else_is_of_the_wrong_authority() {
    let site = Site::start();
    site.bad_header("wrongAuthority", |header| header.recipient = name("CN=Another CA"));
    // Letter case, spaces and the kind of string do not make another name (RFC 5280 §7.1).
    let issuer = site.holder.read().tbs_certificate.issuer.to_string().to_uppercase();
    let key = Key::new();
    let draft = Draft::new(CR, request(&key)).with(|header| header.recipient = name(&issuer));
    exchange(&site.instance, &draft.implicit().by(&site.holder)).certificate();
}

#[test]
fn the_message_time_must_be_there_and_right() {
    let site = Site::start();
    for seconds in [-3600, -400, 400, 3600, -50 * 365 * 86_400, 50 * 365 * 86_400] {
        site.bad_header("badTime", |header| header.message_time = Some(any(&from_now(seconds))));
    }
    site.bad_header("missingTimeStamp", |header| header.message_time = None);
    site.bad_header("badDataFormat", |header| {
        let time = UtcTime::from_unix_duration(from_now(0).to_unix_duration()).unwrap();
        header.message_time = Some(any(&time));
    });
    site.nothing_was_issued();
}

#[test]
fn a_transaction_has_an_identifier_of_its_own() {
    let mut site = Site::start();
    let id = |length: usize| Some(OctetString::new(vec![5; length]).unwrap());
    site.bad_header("badDataFormat", |header| header.transaction_id = None);
    site.bad_header("badDataFormat", |header| header.transaction_id = id(0));
    for length in [7, 65, 1000] {
        site.bad_header("badRequest", |header| header.transaction_id = id(length));
    }
    site.nothing_was_issued();

    let used = id(16);
    let with_used = |header: &mut Header| header.transaction_id.clone_from(&used);
    let draft = Draft::new(IR, request(&Key::new())).implicit().with(with_used);
    exchange(&site.instance, &draft.by_secret(&site.peer)).certificate();
    let before = site.instance.certificates("gw1").len();
    // The same message again, another request, another protection, and an rr: the identifier is used.
    site.refused(&draft.by_secret(&site.peer), "transactionIdInUse");
    site.bad_header("transactionIdInUse", with_used);
    let rr = Draft::new(RR, revocation(named(&site.holder), Vec::new())).with(with_used);
    let answer = site.refused(&rr.by(&site.holder), "transactionIdInUse");
    assert_eq!(answer.kind, ERROR);
    site.instance.kill();
    site.instance.serve();
    site.bad_header("transactionIdInUse", with_used);
    assert_eq!(site.instance.certificates("gw1").len(), before);
}

#[test]
fn sender_nonces_are_there_long_enough_and_new() {
    let site = Site::start();
    let nonce = |length: usize| Some(OctetString::new(vec![5; length]).unwrap());
    site.bad_header("badSenderNonce", |header| header.sender_nonce = None);
    for length in [0, 4, 15, 65] {
        site.bad_header("badSenderNonce", |header| header.sender_nonce = nonce(length));
    }
    site.nothing_was_issued();

    // Within a transaction each message has a nonce of its own.
    let first = Draft::new(CR, request(&Key::new()));
    let answer = exchange(&site.instance, &first.by(&site.holder));
    let conf = Draft::after(&answer, CERT_CONF, confirmation(&answer.certificate()));
    let repeated = conf.clone().with(|header| {
        header.sender_nonce.clone_from(&first.header.sender_nonce);
    });
    site.refused(&repeated.by(&site.holder), "badSenderNonce");
    let reflected = conf.clone().with(|header| {
        header.sender_nonce.clone_from(&answer.header.sender_nonce);
    });
    site.refused(&reflected.by(&site.holder), "badSenderNonce");
    assert_eq!(site.statuses().last().unwrap(), "unconfirmed");
    assert_eq!(exchange(&site.instance, &conf.by(&site.holder)).kind, PKICONF);
    assert_eq!(site.statuses().last().unwrap(), "valid");
}

#[test]
fn the_recip_nonce_is_that_of_the_answer_before() {
    let site = Site::start();
    site.bad_header("badRecipientNonce", |header| {
        header.recip_nonce = Some(text("0123456789abcdef"))
    });
    site.nothing_was_issued();

    let answer =
        exchange(&site.instance, &Draft::new(IR, request(&Key::new())).by_secret(&site.peer));
    let conf = Draft::after(&answer, CERT_CONF, confirmation(&answer.certificate()));
    for wrong in [None, Some(text("0123456789abcdef")), Some(text(""))] {
        let conf = conf.clone().with(|header| header.recip_nonce.clone_from(&wrong));
        let answer = site.refused(&conf.by_secret(&site.peer), "badRecipientNonce");
        assert_eq!(answer.kind, ERROR);
    }
    assert_eq!(site.statuses().last().unwrap(), "unconfirmed");
    assert_eq!(exchange(&site.instance, &conf.by_secret(&site.peer)).kind, PKICONF);
}

#[test]
fn free_text_and_general_info_are_of_their_types() {
    let site = Site::start();
    let printable = any(&vec![PrintableString::new("hello").unwrap()]);
    for free_text in [printable, any(&Null), any(&Vec::<String>::new())] {
        site.bad_header("badDataFormat", |header| header.free_text = Some(free_text.clone()));
    }
    let info = |kind: &str, value: Option<Any>| Info { kind: oid(kind), value };
    let utc = UtcTime::from_unix_duration(from_now(60).to_unix_duration()).unwrap();
    let confirm = info(cmp::IMPLICIT_CONFIRM, Some(any(&Null)));
    let wait = info(cmp::CONFIRM_WAIT_TIME, Some(any(&from_now(60))));
    for (infos, failure) in [
        (vec![], "badDataFormat"),
        (vec![info(cmp::IMPLICIT_CONFIRM, Some(octets(b"yes")))], "badRequest"),
        (vec![info(cmp::CONFIRM_WAIT_TIME, Some(any(&utc)))], "badDataFormat"),
        (vec![info(cmp::CONFIRM_WAIT_TIME, None)], "badDataFormat"),
        (vec![confirm.clone(), wait], "badRequest"),
        (vec![confirm.clone(), confirm], "badRequest"),
    ] {
        site.bad_header(failure, |header| header.general_info = Some(infos.clone()));
    }
    site.nothing_was_issued();
}

#[test]
fn what_is_not_protected_or_not_rightly_is_a_bad_message_check() {
    let site = Site::start();
    let key = Key::new();
    let draft = Draft::new(IR, request(&key));
    site.refused(&draft.bytes(None), "badMessageCheck");
    site.refused(&draft.bytes(Some(&[0; 32])), "badMessageCheck");
    site.refused(&draft.clone().of(&site.peer).bytes(None), "badMessageCheck");
    site.refused(&draft.clone().from(&site.holder).bytes(None), "badMessageCheck");
    for protection in [&[][..], &[0], &[0; 32], &[0; 4096]] {
        site.refused(&draft.clone().from(&site.holder).bytes(Some(protection)), "badMessageCheck");
    }
    // Signed with another key than that of the certificate, and over another message.
    site.refused(&draft.clone().from(&site.holder).signed(&key), "badMessageCheck");
    let other = Draft::new(IR, request(&Key::new())).from(&site.holder);
    let stolen = Answer::read(&other.signed(&site.holder.key)).protection;
    site.refused(&draft.clone().from(&site.holder).bytes(Some(&stolen)), "badMessageCheck");
    site.refused(&draft.clone().of(&site.peer).maced("wrong"), "badMessageCheck");
    site.nothing_was_issued();
}

#[test]
fn extra_certs_begin_with_the_signer_and_make_nobody_trusted() {
    let site = Site::start();
    let key = Key::new();
    let chain = exchange(&site.instance, &Draft::new(CR, request(&key)).by(&site.holder));
    let above = chain.extra_certs.clone();
    let root = std::fs::read(site.instance.root()).unwrap();
    let root = x509_cert::Certificate::load_pem_chain(&root).unwrap().remove(0).to_der().unwrap();
    let mut draft = Draft::new(CR, request(&key)).implicit().from(&site.holder);

    // The signer not first, or not there at all.
    draft.extra_certs = [above.clone(), vec![site.holder.certificate.clone()]].concat();
    site.refused(&draft.signed(&site.holder.key), "badMessageCheck");
    draft.extra_certs = vec![root.clone(), site.holder.certificate.clone()];
    site.refused(&draft.signed(&site.holder.key), "badMessageCheck");
    draft.extra_certs.clear();
    site.refused(&draft.signed(&site.holder.key), "badMessageCheck");
    draft.extra_certs = vec![site.holder.certificate.clone(); 17];
    site.refused(&draft.signed(&site.holder.key), "badDataFormat");
    let before = site.instance.certificates("gw1").len();

    // A self-signed certificate, with itself as proof: as signer, and above a signer.
    let folder = site.instance.file(".");
    let arguments = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let subject =
        ["-nodes", "-keyout", "self.key", "-out", "self.crt", "-subj", "/CN=gw1.example.net"];
    common::tool_ok("openssl", "openssl", &[&arguments[..], &subject].concat(), &folder);
    let own = std::fs::read(folder.join("self.crt")).unwrap();
    let own = x509_cert::Certificate::load_pem_chain(&own).unwrap().remove(0).to_der().unwrap();
    let stranger = Holder { key: Key::new(), certificate: own.clone() };
    let mut forged = Draft::new(CR, request(&key)).from(&stranger);
    site.refused(&forged.signed(&stranger.key), "signerNotTrusted");
    forged.extra_certs.push(root.clone());
    site.refused(&forged.signed(&stranger.key), "signerNotTrusted");
    assert_eq!(site.instance.certificates("gw1").len(), before);

    // Behind the signer they are read over: the chain, the root, and what has nothing to do with it.
    draft.extra_certs = [vec![site.holder.certificate.clone()], above, vec![root, own]].concat();
    exchange(&site.instance, &draft.signed(&site.holder.key)).certificate();
}

#[test]
fn the_protection_alg_is_allowed_and_fits_the_key() {
    let site = Site::start();
    let key = Key::new();
    let by_signature = |id: &str, parameters: Option<Any>| {
        let draft = Draft::new(CR, request(&key)).from(&site.holder);
        let draft = draft.with(|header| header.protection_alg = Some(algorithm(id, parameters)));
        site.refused(&draft.signed(&site.holder.key), "badAlg");
    };
    by_signature(cmp::RSA_SHA256, Some(any(&Null)));
    by_signature("1.3.101.112", None);
    by_signature("1.2.840.10045.4.1", None);
    by_signature("1.2.840.113549.1.1.4", Some(any(&Null)));
    // A plain HMAC has no parameters that say how the key comes of the secret.
    by_signature(cmp::HMAC_SHA256, Some(any(&Null)));
    by_signature("1.2.3.4", None);
    site.nothing_was_issued();
}

#[test]
fn an_operator_says_what_protects_messages_and_for_whom_they_are() {
    let instance = Instance::start_with(&[(
        "cmp",
        "protection_algorithms = [\"PBMAC1\", \"passwordBasedMac\"]\nsha1_macs = false\ncheck_recipient = false",
    )]);
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let holder = enrolled(&instance, &peer);
    let draft = || Draft::new(IR, request(&Key::new())).implicit();
    refused(&instance, &draft().by(&holder), "badAlg");
    for (owf, mac) in [(cmp::SHA1, cmp::HMAC_SHA256), (cmp::SHA256, cmp::HMAC_SHA1)] {
        let draft = draft().of(&peer).with(|header| {
            header.protection_alg = Some(pbm(&[1; 16], 500, owf, mac));
        });
        refused(&instance, &draft.maced(&peer.secret), "badAlg");
    }
    assert_eq!(instance.certificates("gw1").len(), 1);
    let elsewhere = draft().with(|header| header.recipient = name("CN=Another CA"));
    exchange(&instance, &elsewhere.by_secret(&peer)).certificate();
}

#[test]
fn mac_parameters_out_of_bounds_are_refused_before_any_work() {
    let site = Site::start();
    let unreadable = algorithm(cmp::PASSWORD_BASED_MAC, Some(any(&Null)));
    for (count, advice) in [(99, "more"), (2_000_001, "fewer"), (u32::MAX, "fewer")] {
        let draft = Draft::new(IR, request(&Key::new())).of(&site.peer).with(|header| {
            let algorithm = pbm(&[1; 16], count, cmp::SHA256, cmp::HMAC_SHA256);
            header.protection_alg = Some(algorithm);
        });
        let answer = site.refused(&draft.protected_by(|_| vec![0; 32]), "badRequest");
        assert_eq!(answer.kind, ERROR);
        let words = answer.status().unwrap().words();
        assert!(words.contains(advice) && words.contains(&count.to_string()), "{words}");
    }
    for algorithm in [
        pbm(&[1; 7], 500, cmp::SHA256, cmp::HMAC_SHA256),
        pbm(&[1; 129], 500, cmp::SHA256, cmp::HMAC_SHA256),
        pbm(&[1; 16], 500, "1.2.840.113549.2.5", cmp::HMAC_SHA256),
        pbm(&[1; 16], 500, cmp::SHA256, "1.2.3.4"),
        pbmac1(&[1; 7], 1000),
        unreadable,
        algorithm(cmp::PBMAC1, None),
    ] {
        let draft = Draft::new(IR, request(&Key::new())).of(&site.peer);
        let draft = draft.with(|header| header.protection_alg = Some(algorithm.clone()));
        let message = draft.protected_by(|_| vec![0; 32]);
        let answer = site.refused(&message, "badAlg");
        assert_eq!(answer.kind, ERROR);
    }
    site.nothing_was_issued();
}

#[test]
fn messages_of_a_transaction_are_protected_alike_and_by_the_same() {
    let site = Site::start();
    let other = site.instance.peer("gw2", &["fqdn:gw2.example.net"]);
    let stranger = enrolled(&site.instance, &other);
    let key = Key::new();

    // Opened by a signature.
    let answer = exchange(&site.instance, &Draft::new(CR, request(&key)).by(&site.holder));
    let new = Holder { certificate: answer.certificate(), key };
    let conf = Draft::after(&answer, CERT_CONF, confirmation(&new.certificate));
    site.refused(&conf.by_secret(&site.peer), "wrongIntegrity");
    site.refused(&conf.by(&new), "badRequest");
    site.refused(&conf.by(&stranger), "badRequest");
    site.refused(&conf.bytes(None), "badMessageCheck");
    assert_eq!(site.statuses().last().unwrap(), "unconfirmed");
    assert_eq!(exchange(&site.instance, &conf.by(&site.holder)).kind, PKICONF);

    // Opened by a secret.
    let answer =
        exchange(&site.instance, &Draft::new(IR, request(&Key::new())).by_secret(&site.peer));
    let conf = Draft::after(&answer, CERT_CONF, confirmation(&answer.certificate()));
    site.refused(&conf.by(&site.holder), "wrongIntegrity");
    site.refused(&conf.by_secret(&other), "badRequest");
    assert_eq!(site.statuses().last().unwrap(), "unconfirmed");
    assert_eq!(exchange(&site.instance, &conf.by_secret(&site.peer)).kind, PKICONF);
    assert_eq!(site.statuses(), ["valid"; 3]);

    // A key update is signed with the certificate that it replaces.
    let answer = site
        .refused(&Draft::new(KUR, request(&Key::new())).by_secret(&site.peer), "wrongIntegrity");
    assert_eq!(answer.kind, KUP);
    assert_eq!(site.statuses(), ["valid"; 3]);
}

#[test]
fn signers_must_be_known_valid_and_not_revoked() {
    let mut site = Site::start();
    let soon = enrolled_for(&site, 400);
    let revoked = enrolled(&site.instance, &site.peer);
    let held = enrolled(&site.instance, &site.peer);
    let serial = |holder: &Holder| {
        let tbs = holder.read().tbs_certificate;
        data_encoding::HEXLOWER.encode(tbs.serial_number.as_bytes())
    };
    site.instance.ok(&["cert", "revoke", &serial(&revoked), "--reason", "keyCompromise"]);
    site.instance.ok(&["cert", "hold", &serial(&held)]);
    let before = site.instance.certificates("gw1").len();
    let message = |holder: &Holder| Draft::new(CR, request(&Key::new())).by(holder);
    site.refused(&message(&revoked), "certRevoked");
    // It may be released: its holder need not enrol again.
    site.refused(&message(&held), "signerNotTrusted");
    // Whoever cannot sign with the key learns nothing of it.
    let forged = Draft::new(CR, request(&Key::new())).from(&revoked).signed(&Key::new());
    site.refused(&forged, "badMessageCheck");

    // The instance's own certificates are no end entity's.
    let answer = exchange(&site.instance, &message(&site.holder));
    let own = Holder { key: Key::new(), certificate: answer.extra_certs[0].clone() };
    site.refused(&message(&own), "badMessageCheck");

    site.instance.stop();
    site.instance.serve_with(at_another_time("+10m", COUNTERSIGN));
    let late = Draft::new(CR, request(&Key::new()))
        .with(|header| header.message_time = Some(any(&from_now(600))));
    site.refused(&late.by(&soon), "signerNotTrusted");
    // One more than before: the answer above awaits its confirmation, and its time is over.
    assert_eq!(site.instance.certificates("gw1").len(), before + 1);
}

/// A certificate that is valid for this many seconds.
fn enrolled_for(site: &Site, seconds: i64) -> Holder {
    let key = Key::new();
    let body = request_with(&key, |template| {
        template.validity = Some(Validity { not_before: None, not_after: Some(from_now(seconds)) });
    });
    let draft = Draft::new(IR, body).implicit();
    let certificate = exchange(&site.instance, &draft.by_secret(&site.peer)).certificate();
    Holder { key, certificate }
}

#[test]
fn requests_that_are_none_are_bad_requests_or_of_a_bad_format() {
    let site = Site::start();
    let key = Key::new();
    let mut second = cmp::plain_request(&key);
    second.id = 1;
    let two = vec![proven(&key, cmp::plain_request(&key)), proven(&key, second.clone())];
    for (body, failure) in [
        (two.to_der().unwrap(), "badRequest"),
        (vec![proven(&key, second)].to_der().unwrap(), "badRequest"),
        (Null.to_der().unwrap(), "badDataFormat"),
        (vec![Null].to_der().unwrap(), "badDataFormat"),
    ] {
        site.refused(&Draft::new(IR, body.clone()).by_secret(&site.peer), failure);
        site.refused(&Draft::new(CR, body).by(&site.holder), failure);
    }
    // Bodies that only a CA sends, and one that continues a transaction which there is not.
    for kind in [IP, RP, PKICONF] {
        site.refused(&Draft::new(kind, request(&key)).by_secret(&site.peer), "badRequest");
    }
    let conf = Draft::new(CERT_CONF, confirmation(b"x"));
    let conf = conf.with(|header| header.recip_nonce = Some(text("0123456789abcdef")));
    site.refused(&conf.by_secret(&site.peer), "badRequest");
    site.refused(&conf.by(&site.holder), "badRequest");
    for garbage in [&b""[..], b"\x30\x80\x00\x00", b"\x30\x03\x02\x01\x02", b"\x30\x00\x00"] {
        let answer = site.refused(garbage, "badDataFormat");
        assert_eq!(answer.kind, ERROR);
    }
    site.nothing_was_issued();
}

#[test]
fn templates_that_cannot_be_granted_say_why() {
    let site = Site::start();
    let key = Key::new();
    let other = Key::new();
    let refused = |body: Vec<u8>, failure: &str| {
        let answer = site.refused(&Draft::new(IR, body.clone()).by_secret(&site.peer), failure);
        assert_eq!(answer.kind, IP, "a request is refused in a response of its kind");
        site.refused(&Draft::new(CR, body).by(&site.holder), failure);
    };
    // badCertTemplate
    refused(request_with(&key, |template| template.public_key = None), "badCertTemplate");
    refused(request_with(&key, |t| t.serial = Some(Int::new(&[5]).unwrap())), "badCertTemplate");
    refused(request_with(&key, |t| t.version = Some(Int::new(&[1]).unwrap())), "badCertTemplate");
    refused(
        request_with(&key, |t| t.signing_alg = Some(algorithm(cmp::ECDSA_SHA256, None))),
        "badCertTemplate",
    );
    refused(
        request_with(&key, |template| {
            template.extensions = Some(vec![san("gw1.example.net"), san("gw1.example.net")]);
        }),
        "badCertTemplate",
    );
    refused(
        request_with(&key, |template| {
            template.extensions = Some(vec![extension("1.2.3.4", true, &Null)]);
        }),
        "badCertTemplate",
    );
    refused(
        request_with(&key, |template| {
            template.validity = Some(Validity { not_before: None, not_after: Some(from_now(-60)) });
        }),
        "badCertTemplate",
    );
    // badAlg: a curve that nobody certifies here, secp256k1.
    refused(
        request_with(&key, |template| {
            let mut spki = key.spki.clone();
            spki.algorithm.parameters = Some(any(&oid("1.3.132.0.10")));
            template.public_key = Some(spki);
        }),
        "badAlg",
    );
    // badCertTemplate: usages of a CA.
    for (unused, usage) in [(2, 0x04), (2, 0x84), (1, 0x02)] {
        let usage = der::asn1::BitString::new(unused, [usage]).unwrap();
        let usage = extension(cmp::KEY_USAGE, true, &usage);
        refused(request_with(&key, |t| t.extensions = Some(vec![usage])), "badCertTemplate");
    }
    // notAuthorized: names of others.
    refused(
        request_with(&key, |t| t.extensions = Some(vec![san("gw2.example.net")])),
        "notAuthorized",
    );
    // wrongAuthority: another issuer.
    refused(
        request_with(&key, |t| t.issuer = Some("CN=Another CA".parse::<Name>().unwrap())),
        "wrongAuthority",
    );
    // badPOP: none, by another key, and over another request.
    let mut none = proven(&key, cmp::plain_request(&key));
    none.proof = None;
    refused(vec![none].to_der().unwrap(), "badPOP");
    refused(vec![proven(&other, cmp::plain_request(&key))].to_der().unwrap(), "badPOP");
    let mut moved = proven(&key, cmp::plain_request(&key));
    moved.request.template.extensions = Some(vec![san("gw1.example.net")]);
    refused(vec![moved].to_der().unwrap(), "badPOP");
    let mut verified = proven(&key, cmp::plain_request(&key));
    verified.proof = Some(implicit(0, any(&Null)));
    refused(vec![verified].to_der().unwrap(), "notAuthorized");
    site.nothing_was_issued();
}

#[test]
fn what_the_profile_changes_is_granted_with_mods_and_named() {
    let site = Site::start();
    let key = Key::new();
    for (change, word) in [
        (
            extension(cmp::KEY_USAGE, false, &der::asn1::BitString::new(5, [0x20]).unwrap()),
            "key usage",
        ),
        (extension("1.2.3.4", false, &Null), "1.2.3.4"),
    ] {
        let body = request_with(&key, |t| t.extensions = Some(vec![change.clone()]));
        let answer = exchange(&site.instance, &Draft::new(CR, body).implicit().by(&site.holder));
        let status = answer.status().unwrap();
        assert_eq!(status.status, 1, "grantedWithMods: {}", status.words());
        assert!(status.words().contains(word) && status.fail_info.is_none(), "{}", status.words());
        answer.certificate();
    }
    let body = request_with(&key, |template| {
        let far = from_now(20 * 365 * 86_400);
        template.validity = Some(Validity { not_before: None, not_after: Some(far) });
    });
    let answer = exchange(&site.instance, &Draft::new(CR, body).implicit().by(&site.holder));
    let status = answer.status().unwrap();
    assert_eq!(status.status, 1);
    assert!(status.words().contains("the validity ends"), "{}", status.words());
    assert_eq!(site.statuses(), ["valid"; 4]);
}

#[test]
fn key_updates_and_revocations_name_a_certificate_of_their_sender() {
    let site = Site::start();
    let other = site.instance.peer("gw2", &["fqdn:gw2.example.net"]);
    let stranger = enrolled(&site.instance, &other);

    // kur: oldCertID of another certificate.
    let key = Key::new();
    let (issuer, serial) = stranger.id();
    let id = CertId { issuer: GeneralName::DirectoryName(issuer), serial };
    let mut update = cmp::plain_request(&key);
    update.controls =
        Some(vec![AttributeTypeAndValue { oid: oid(cmp::OLD_CERT_ID), value: any(&id) }]);
    let kur = Draft::new(KUR, vec![proven(&key, update)].to_der().unwrap());
    site.refused(&kur.by(&site.holder), "badCertId");

    let rr = |template: Template, extensions: Vec<Extension>| {
        Draft::new(RR, revocation(template, extensions)).by(&site.holder)
    };
    let mut unknown = named(&site.holder);
    unknown.serial = Some(Int::new(&[1; 16]).unwrap());
    let mut foreign = named(&site.holder);
    foreign.issuer = Some("CN=Another CA".parse().unwrap());
    for template in [unknown, foreign, named(&stranger)] {
        let answer = site.refused(&rr(template, Vec::new()), "badCertId");
        assert_eq!(answer.kind, RP);
    }
    // What stands there beside issuer and serial number must be the certificate's, too (RFC 9483 §4.2).
    let mut other_subject = named(&site.holder);
    other_subject.subject = Some("CN=gw2".parse().unwrap());
    let mut other_key = named(&site.holder);
    other_key.public_key = Some(key.spki.clone());
    for template in [other_subject, other_key] {
        site.refused(&rr(template, Vec::new()), "badCertId");
    }
    // addInfoNotAvailable: which certificate is not said.
    let (issuer, serial) = site.holder.id();
    let by_issuer = Template { issuer: Some(issuer), ..Template::default() };
    let by_serial = Template { serial: Some(serial), ..Template::default() };
    for template in [by_issuer, by_serial, Template::default()] {
        let answer = site.refused(&rr(template, Vec::new()), "addInfoNotAvailable");
        assert_eq!(answer.kind, RP);
    }
    // incorrectData: an invalidity date that is still to come.
    let date = extension(cmp::INVALIDITY_DATE, false, &from_now(3600));
    site.refused(&rr(named(&site.holder), vec![date]), "incorrectData");
    // A reason stands there once.
    let reason = |number: u8| {
        let value = Any::new(der::Tag::Enumerated, vec![number]).unwrap();
        extension(cmp::CRL_REASON, false, &value)
    };
    site.refused(&rr(named(&site.holder), vec![reason(1), reason(4)]), "badRequest");
    site.refused(&rr(named(&site.holder), vec![reason(7)]), "badDataFormat");
    site.refused(&rr(named(&site.holder), vec![reason(8)]), "badCertId");
    let version = Template { version: Some(Int::new(&[1]).unwrap()), ..named(&site.holder) };
    site.refused(&rr(version, Vec::new()), "badRequest");
    assert_eq!(site.statuses(), ["valid"]);

    // certRevoked: revoked already.
    let second = enrolled(&site.instance, &site.peer);
    let answer = exchange(&site.instance, &rr(named(&second), vec![reason(1)]));
    assert_eq!(answer.status().unwrap().status, 0);
    let answer = site.refused(&rr(named(&second), Vec::new()), "certRevoked");
    assert_eq!(answer.kind, RP);
    assert_eq!(site.statuses(), ["valid", "revoked"]);
}

#[test]
fn a_certificate_is_confirmed_once() {
    let site = Site::start();
    let answer = exchange(&site.instance, &Draft::new(CR, request(&Key::new())).by(&site.holder));
    let certificate = answer.certificate();
    let conf = Draft::after(&answer, CERT_CONF, confirmation(&certificate)).by(&site.holder);
    assert_eq!(exchange(&site.instance, &conf).kind, PKICONF);
    let answer = site.refused(&conf, "certConfirmed");
    assert_eq!(answer.kind, ERROR);
    // Taken, and at once wrong: neither is done.
    let answer = exchange(&site.instance, &Draft::new(CR, request(&Key::new())).by(&site.holder));
    let certificate = answer.certificate();
    let hash = ring::digest::digest(&ring::digest::SHA256, &certificate);
    let status = cmp::Status {
        status: 0,
        text: None,
        fail_info: Some(der::asn1::BitString::new(5, [0x20]).unwrap()),
    };
    let both = vec![cmp::CertStatus {
        hash: OctetString::new(hash.as_ref()).unwrap(),
        id: 0,
        status: Some(status),
        hash_alg: None,
    }];
    let conf = Draft::after(&answer, CERT_CONF, both.to_der().unwrap());
    site.refused(&conf.by(&site.holder), "badRequest");
    let conf = Draft::after(&answer, CERT_CONF, confirmation(&certificate));
    assert_eq!(exchange(&site.instance, &conf.by(&site.holder)).kind, PKICONF);
    // Implicit confirmation leaves nothing to confirm.
    let draft = Draft::new(CR, request(&Key::new())).implicit();
    let answer = exchange(&site.instance, &draft.by(&site.holder));
    assert_eq!(answer.info(cmp::IMPLICIT_CONFIRM), Some(any(&Null)));
    let conf = Draft::after(&answer, CERT_CONF, confirmation(&answer.certificate()));
    site.refused(&conf.by(&site.holder), "certConfirmed");
    assert_eq!(site.statuses(), ["valid"; 4]);

    // What its holder gave back cannot be confirmed.
    let answer = exchange(&site.instance, &Draft::new(CR, request(&Key::new())).by(&site.holder));
    let empty = Draft::after(&answer, CERT_CONF, Vec::<Null>::new().to_der().unwrap());
    assert_eq!(exchange(&site.instance, &empty.by(&site.holder)).kind, PKICONF);
    let conf = Draft::after(&answer, CERT_CONF, confirmation(&answer.certificate()));
    site.refused(&conf.by(&site.holder), "certRevoked");
    assert_eq!(site.statuses(), ["valid", "valid", "valid", "valid", "revoked"]);
}

#[test]
fn a_certificate_that_nobody_confirms_is_revoked_after_a_restart_too() {
    let mut site = Site::start();
    let draft = Draft::new(IR, request(&Key::new()));
    let answer = exchange(&site.instance, &draft.by_secret(&site.peer));
    let until = answer.info(cmp::CONFIRM_WAIT_TIME).expect("confirmWaitTime");
    assert_eq!(until.tag(), der::Tag::GeneralizedTime);
    assert_eq!(site.statuses(), ["valid", "unconfirmed"]);
    site.instance.kill();
    site.instance.serve_with(at_another_time("+10m", COUNTERSIGN));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while site.statuses() != ["valid", "revoked"] {
        assert!(std::time::Instant::now() < deadline, "{:?}", site.statuses());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let revoked = site.instance.certificates("gw1").remove(1);
    // The next CRL says so, and a late certConf is told.
    let serial = revoked["serial"].as_str().unwrap().to_uppercase();
    let listed = || {
        let crl = site.instance.http("GET", "/crl/issuing.crl", "", &[]).expect("a CRL");
        std::fs::write(site.instance.file("issuing.crl"), crl.body).unwrap();
        let arguments = ["crl", "-inform", "DER", "-in", "issuing.crl", "-noout", "-text"];
        common::tool_ok("openssl", "openssl", &arguments, &site.instance.file("."))
    };
    while !(listed().contains(&serial) && listed().contains("Cessation Of Operation")) {
        assert!(std::time::Instant::now() < deadline, "{}", listed());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let conf = Draft::after(&answer, CERT_CONF, confirmation(&answer.certificate()))
        .with(|header| header.message_time = Some(any(&from_now(600))));
    site.refused(&conf.by_secret(&site.peer), "certRevoked");
    site.instance.ok(&["audit", "verify"]);
}
