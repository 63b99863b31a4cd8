//! CRLs of any size and scope, read by OpenSSL and by another library, and believed by `openssl verify`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use countersign_ca::record::revoked::{Listed, RevokedSet};
use countersign_ca::record::{Reason, Revocation, RevokedEntry, Serial};
use countersign_ca::signed::crl::Crl;
use countersign_ca::x509::to_pem;
use countersign_ca::{FileKey, KeyAlgorithm, Timestamp, lint};
use der::{Decode, Encode};
use x509_cert::crl::CertificateList;
use x509_cert::ext::pkix::crl::CrlNumber;
use x509_cert::name::Name;

fn issuer() -> Name {
    "CN=Issuing,O=Example,C=DE".parse().unwrap()
}

fn list<'a>(issuer: &'a Name, base: Option<u64>) -> Crl<'a> {
    Crl {
        issuer,
        issuer_key_identifier: &[7; 20],
        number: 300,
        this_update: Timestamp::from_seconds(1_800_000_000),
        next_update: Timestamp::from_seconds(1_800_600_000),
        base,
        distribution_point: &[],
        freshest: &[],
    }
}

/// Entries of every shape: short and long serials, each reason, dates on both sides of 2050 and on leap days.
fn entries(count: u32) -> RevokedSet {
    let mut set = RevokedSet::default();
    for n in 0..count {
        let mut octets = [0; 16];
        let random = u64::from(n).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        let start = (n % 9) as usize;
        octets[start..start + 8].copy_from_slice(&random);
        let reasons: Vec<Reason> =
            Reason::ALL.iter().map(|(r, _)| *r).filter(|r| *r != Reason::RemoveFromCrl).collect();
        set.insert(&RevokedEntry {
            serial: Serial::new(octets).unwrap(),
            not_after: Timestamp::from_seconds(1_900_000_000),
            partition: None,
            revocation: Revocation {
                at: Timestamp::from_seconds(951_782_400 + i64::from(n) * 86_399 % 848_000_000),
                reason: reasons[n as usize % reasons.len()],
                invalidity: (n % 4 == 0).then(|| Timestamp::from_seconds(i64::from(n) * 40_000)),
            },
        });
    }
    set
}

fn sign(crl: &Crl<'_>, key: &FileKey, entries: &RevokedSet) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    let signed = crl
        .sign(key, entries.listed(None, Timestamp::default(), &Default::default()), &mut out)
        .unwrap();
    let der = out.into_inner();
    assert_eq!((signed.entries, signed.length), (entries.len() as u64, der.len() as u64));
    der
}

/// What another library reads is what was put in; and DER is DER: encoded again by it, the octets are the same.
fn check(der: &[u8], key: &FileKey, entries: &RevokedSet) {
    let read = CertificateList::from_der(der).unwrap();
    assert_eq!(read.to_der().unwrap(), der);
    let tbs = read.tbs_cert_list.to_der().unwrap();
    key.public().verify(&key.signature_algorithm(), &tbs, read.signature.raw_bytes()).unwrap();
    assert_eq!(lint::crl(der), []);
    let revoked = read.tbs_cert_list.revoked_certificates.unwrap_or_default();
    assert_eq!(revoked.len(), entries.len());
    for (read, entry) in revoked.iter().zip(entries.iter()) {
        assert_eq!(Serial::from_integer(read.serial_number.as_bytes()), Some(entry.serial));
        let at = read.revocation_date.to_unix_duration().as_secs();
        assert_eq!(at, entry.revocation.at.seconds() as u64);
        let extensions = read.crl_entry_extensions.clone().unwrap_or_default();
        let value = |id: &str| {
            let found = extensions.iter().find(|e| e.extn_id.to_string() == id);
            found.map(|e| e.extn_value.as_bytes().to_vec())
        };
        let reason = Some(entry.revocation.reason).filter(|r| *r != Reason::Unspecified);
        assert_eq!(value("2.5.29.21"), reason.map(|r| vec![0x0a, 1, r as u8]));
        let date = value("2.5.29.24").map(|der| {
            der::asn1::GeneralizedTime::from_der(&der).unwrap().to_unix_duration().as_secs()
        });
        assert_eq!(date, entry.revocation.invalidity.map(|date| date.seconds() as u64));
    }
}

#[test]
fn a_list_of_any_length_is_der_and_says_what_it_was_given() {
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let issuer = issuer();
    // Around every length at which a header grows: 127, 255 and 65,535 octets.
    for count in (0..8).chain(1_400..1_500).chain([5_000]) {
        let set = entries(count);
        check(&sign(&list(&issuer, None), &key, &set), &key, &set);
    }
    // After 2049 the dates are of another type.
    let mut set = entries(50);
    for mut entry in set.clone().iter().step_by(2) {
        let later = entry.revocation.at.seconds() + 1_600_000_000;
        entry.revocation.at = Timestamp::from_seconds(later);
        set.insert(&entry);
    }
    let late = Crl {
        this_update: Timestamp::from_seconds(3_400_000_000),
        next_update: Timestamp::from_seconds(3_400_600_000),
        ..list(&issuer, None)
    };
    check(&sign(&late, &key, &set), &key, &set);
    for (algorithm, _) in KeyAlgorithm::ALL {
        let key = FileKey::generate(algorithm).unwrap();
        let set = entries(100);
        check(&sign(&list(&issuer, None), &key, &set), &key, &set);
    }
}

#[test]
fn extensions_are_those_of_rfc_5280() {
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let issuer = issuer();
    let (point, delta) = (
        vec!["http://pki.example.net/crl/issuing/3.crl".to_owned()],
        vec!["http://pki.example.net/crl/issuing/delta.crl".to_owned()],
    );
    let whole = Crl { distribution_point: &point, freshest: &delta, ..list(&issuer, None) };
    let text = openssl_text(&sign(&whole, &key, &entries(3)));
    for expected in [
        "X509v3 CRL Number: \n                300",
        "X509v3 Issuing Distribution Point: critical",
        "URI:http://pki.example.net/crl/issuing/3.crl",
        "X509v3 Freshest CRL: \n",
        "URI:http://pki.example.net/crl/issuing/delta.crl",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let mut set = entries(1);
    let mut released = entries(2).iter().last().unwrap();
    released.revocation = Revocation {
        at: Timestamp::from_seconds(1_700_000_000),
        reason: Reason::RemoveFromCrl,
        invalidity: None,
    };
    set.insert(&released);
    let text = openssl_text(&sign(&list(&issuer, Some(299)), &key, &set));
    for expected in ["X509v3 Delta CRL Indicator: critical\n                299", "Remove From CRL"]
    {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let der = sign(&list(&issuer, None), &key, &entries(1));
    let read = CertificateList::from_der(&der).unwrap();
    let (_, number) = x509_cert::ext::Extensions::from_der(
        &read.tbs_cert_list.crl_extensions.unwrap().to_der().unwrap(),
    )
    .map(|list| (0, list.into_iter().find(|e| e.extn_id.to_string() == "2.5.29.20").unwrap()))
    .unwrap();
    let number = CrlNumber::from_der(number.extn_value.as_bytes()).unwrap();
    assert_eq!(number.0.as_bytes(), [1, 44]);
}

#[test]
fn what_breaks_a_rule_is_not_signed() {
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let issuer = issuer();
    let refused = |crl: &Crl<'_>, entries: Vec<RevokedEntry>| {
        let mut out = Cursor::new(Vec::new());
        crl.sign(&key, entries.iter().map(Listed::from), &mut out).unwrap_err().to_string()
    };
    let entry = entries(1).iter().next().unwrap();
    let twice = refused(&list(&issuer, None), vec![entry.clone(), entry.clone()]);
    assert!(twice.contains("rfc5280.crl.twice"), "{twice}");
    let mut late = entry.clone();
    // thisUpdate is a minute before the signature.
    late.revocation.at = Timestamp::from_seconds(1_800_000_061);
    let late = refused(&list(&issuer, None), vec![late]);
    assert!(late.contains("rfc5280.crl.future"), "{late}");
    let mut released = entry;
    released.revocation.reason = Reason::RemoveFromCrl;
    let released = refused(&list(&issuer, None), vec![released]);
    assert!(released.contains("rfc5280.crl.reason"), "{released}");
    let newer = refused(&list(&issuer, Some(301)), Vec::new());
    assert!(newer.contains("rfc5280.crl.delta"), "{newer}");
    let nobody = Name::default();
    assert!(refused(&list(&nobody, None), Vec::new()).contains("issuer"));
}

fn openssl_text(der: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.crl"), to_pem("X509 CRL", der).unwrap()).unwrap();
    let output = openssl(folder.path(), &["crl", "-in", "a.crl", "-noout", "-text"]);
    assert!(output.0, "{}", output.1);
    output.1
}

fn openssl(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new("openssl")
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("this test needs `openssl`: apt-get install openssl");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}
