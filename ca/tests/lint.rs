//! Every rule of the lint fires on an object that breaks it, and none on objects that break nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use std::collections::BTreeSet;
use std::process::Command;
use std::str::FromStr;

use countersign_ca::Timestamp;
use countersign_ca::lint::{self, CrlKind, EntryLint, Finding, ObjectKind, Purpose, Severity};
use countersign_ca::{FileKey, KeyAlgorithm};
use der::asn1::{Any, BitString, GeneralizedTime, Ia5String, Null, OctetString, SetOfVec, UtcTime};
use der::oid::{AssociatedOid, ObjectIdentifier};
use der::{DateTime, Decode, Encode, Tag};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::crl::{RevokedCert, TbsCertList};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::certpolicy::PolicyInformation;
use x509_cert::ext::pkix::constraints::name::GeneralSubtree;
use x509_cert::ext::pkix::crl::dp::DistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{
    AccessDescription, AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, BasicConstraints,
    CertificatePolicies, CrlDistributionPoints, ExtendedKeyUsage, KeyUsage, KeyUsages,
    NameConstraints, SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::{Time, Validity};
use x509_cert::{TbsCertificate, Version};

/// id-pkix-ocsp-nocheck.
const NOCHECK: &str = "1.3.6.1.5.5.7.48.1.5";

const EKU: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");

fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new(text).unwrap()
}

fn ext<T: AssociatedOid + Encode>(critical: bool, value: &T) -> Extension {
    raw(T::OID, critical, &value.to_der().unwrap())
}

fn raw(extn_id: ObjectIdentifier, critical: bool, content: &[u8]) -> Extension {
    Extension { extn_id, critical, extn_value: OctetString::new(content).unwrap() }
}

fn utc(year: u16) -> Time {
    let moment = DateTime::new(year, 1, 1, 0, 0, 0).unwrap();
    Time::UtcTime(UtcTime::from_date_time(moment).unwrap())
}

fn general(year: u16) -> Time {
    Time::GeneralTime(GeneralizedTime::from_date_time(DateTime::new(year, 1, 1, 0, 0, 0).unwrap()))
}

fn dns(name: &str) -> GeneralName {
    GeneralName::DnsName(Ia5String::new(name).unwrap())
}

fn uri(text: &str) -> GeneralName {
    GeneralName::UniformResourceIdentifier(Ia5String::new(text).unwrap())
}

fn ecdsa() -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid: oid("1.2.840.10045.4.3.2"), parameters: None }
}

fn key() -> SubjectPublicKeyInfoOwned {
    SubjectPublicKeyInfoOwned::from_der(
        FileKey::generate(KeyAlgorithm::P256).unwrap().public().der(),
    )
    .unwrap()
}

fn aki() -> AuthorityKeyIdentifier {
    AuthorityKeyIdentifier {
        key_identifier: Some(OctetString::new([7; 20]).unwrap()),
        ..Default::default()
    }
}

/// A peer's certificate with nothing wrong.
fn peer() -> TbsCertificate {
    TbsCertificate {
        version: Version::V3,
        serial_number: SerialNumber::new(&[0x5a; 16]).unwrap(),
        signature: ecdsa(),
        issuer: Name::from_str("CN=Issuing,O=Example,C=DE").unwrap(),
        validity: Validity { not_before: utc(2026), not_after: utc(2027) },
        subject: Name::from_str("CN=gw1").unwrap(),
        subject_public_key_info: key(),
        issuer_unique_id: None,
        subject_unique_id: None,
        extensions: Some(vec![
            ext(false, &aki()),
            ext(false, &SubjectKeyIdentifier(OctetString::new([8; 20]).unwrap())),
            ext(true, &KeyUsage(KeyUsages::DigitalSignature.into())),
            ext(false, &SubjectAltName(vec![dns("gw1.example.net")])),
            ext(false, &ExtendedKeyUsage(vec![oid("1.3.6.1.5.5.7.3.17")])),
        ]),
    }
}

/// An issuing CA's certificate with nothing wrong.
fn ca() -> TbsCertificate {
    TbsCertificate {
        subject: Name::from_str("CN=Issuing").unwrap(),
        issuer: Name::from_str("CN=Root").unwrap(),
        extensions: Some(vec![
            ext(false, &aki()),
            ext(false, &SubjectKeyIdentifier(OctetString::new([8; 20]).unwrap())),
            ext(true, &KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign)),
            ext(true, &BasicConstraints { ca: true, path_len_constraint: Some(0) }),
        ]),
        ..peer()
    }
}

/// A CRL with nothing wrong.
fn crl() -> TbsCertList {
    TbsCertList {
        version: Version::V2,
        signature: ecdsa(),
        issuer: Name::from_str("CN=Issuing").unwrap(),
        this_update: utc(2026),
        next_update: Some(utc(2027)),
        revoked_certificates: Some(vec![entry(1, &[0x0a, 1, 1])]),
        crl_extensions: Some(vec![ext(false, &aki()), raw(oid("2.5.29.20"), false, &[2, 1, 5])]),
    }
}

fn entry(serial: u8, reason: &[u8]) -> RevokedCert {
    RevokedCert {
        serial_number: SerialNumber::new(&[serial]).unwrap(),
        revocation_date: utc(2025),
        crl_entry_extensions: Some(vec![raw(oid("2.5.29.21"), false, reason)]),
    }
}

fn set(tbs: &mut TbsCertificate, extension: Extension) {
    let extensions = tbs.extensions.as_mut().unwrap();
    extensions.retain(|known| known.extn_id != extension.extn_id);
    extensions.push(extension);
}

fn drop_extension(tbs: &mut TbsCertificate, id: &str) {
    tbs.extensions.as_mut().unwrap().retain(|known| known.extn_id != oid(id));
}

fn name(id: &str, tag: Tag, value: &[u8]) -> Name {
    let attribute = AttributeTypeAndValue { oid: oid(id), value: Any::new(tag, value).unwrap() };
    RdnSequence(vec![RelativeDistinguishedName(SetOfVec::try_from(vec![attribute]).unwrap())])
}

fn codes(findings: &[Finding]) -> BTreeSet<&'static str> {
    findings.iter().map(|finding| finding.code).collect()
}

fn points(names: Vec<GeneralName>) -> CrlDistributionPoints {
    CrlDistributionPoints(vec![DistributionPoint {
        distribution_point: Some(DistributionPointName::FullName(names)),
        reasons: None,
        crl_issuer: None,
    }])
}

fn rsa(bits: &str, exponent: &str) -> SubjectPublicKeyInfoOwned {
    let script = format!(
        "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:{bits} -pkeyopt rsa_keygen_pubexp:{exponent} 2>/dev/null \
         | openssl pkey -pubout -outform DER"
    );
    let output =
        Command::new("sh").args(["-c", &script]).output().expect("this test needs `openssl`");
    SubjectPublicKeyInfoOwned::from_der(&output.stdout).expect("a key from openssl")
}

type Mutation<T> = Box<dyn Fn(&mut T)>;

fn peer_cases() -> Vec<(&'static str, Mutation<TbsCertificate>)> {
    let san = |names: Vec<GeneralName>| -> Mutation<TbsCertificate> {
        Box::new(move |tbs| set(tbs, ext(false, &SubjectAltName(names.clone()))))
    };
    let usage = |bits: KeyUsage| -> Mutation<TbsCertificate> {
        Box::new(move |tbs| set(tbs, ext(true, &bits)))
    };
    let eku = |ids: Vec<&'static str>| -> Mutation<TbsCertificate> {
        Box::new(move |tbs| {
            set(tbs, ext(false, &ExtendedKeyUsage(ids.iter().map(|id| oid(id)).collect())))
        })
    };
    let subject = |id: &'static str, tag: Tag, value: &'static [u8]| -> Mutation<TbsCertificate> {
        Box::new(move |tbs| tbs.subject = name(id, tag, value))
    };
    vec![
        ("rfc5280.version", Box::new(|tbs| tbs.version = Version::V2)),
        (
            "house.serial.entropy",
            Box::new(|tbs| tbs.serial_number = SerialNumber::new(&[5, 5, 5]).unwrap()),
        ),
        (
            "rfc5280.signature.algorithm",
            Box::new(|tbs| tbs.signature.oid = oid("1.2.840.113549.1.1.5")),
        ),
        (
            "rfc5758.signature.parameters",
            Box::new(|tbs| tbs.signature.parameters = Some(Any::from(Null))),
        ),
        ("rfc5280.issuer.empty", Box::new(|tbs| tbs.issuer = Name::default())),
        ("rfc5280.name.string", subject("2.5.4.3", Tag::TeletexString, b"gw1")),
        ("rfc5280.name.string", subject("2.5.4.6", Tag::Utf8String, b"DE")),
        ("rfc5280.name.string", subject("2.5.4.3", Tag::PrintableString, b"a_b")),
        ("rfc5280.name.length", subject("2.5.4.3", Tag::Utf8String, &[b'a'; 65])),
        ("rfc5280.name.length", subject("2.5.4.6", Tag::PrintableString, b"DEU")),
        ("rfc5280.name.value", subject("2.5.4.3", Tag::Utf8String, b"")),
        ("house.name.misleading", subject("2.5.4.3", Tag::Utf8String, "a\u{202e}b".as_bytes())),
        (
            "x501.name.twice",
            Box::new(|tbs| {
                let value = |text: &str| AttributeTypeAndValue {
                    oid: oid("2.5.4.3"),
                    value: Any::new(Tag::Utf8String, text.as_bytes()).unwrap(),
                };
                let rdn = SetOfVec::try_from(vec![value("a"), value("b")]).unwrap();
                tbs.subject = RdnSequence(vec![RelativeDistinguishedName(rdn)]);
            }),
        ),
        ("rfc5280.validity.order", Box::new(|tbs| tbs.validity.not_after = utc(2025))),
        ("rfc5280.validity.encoding", Box::new(|tbs| tbs.validity.not_after = general(2030))),
        (
            "house.key.kind",
            Box::new(|tbs| tbs.subject_public_key_info.algorithm.oid = oid("1.2.3.4")),
        ),
        ("house.key.rsa", Box::new(|tbs| tbs.subject_public_key_info = rsa("1024", "65537"))),
        ("house.key.rsa", Box::new(|tbs| tbs.subject_public_key_info = rsa("2048", "3"))),
        (
            "rfc5280.uniqueid",
            Box::new(|tbs| tbs.subject_unique_id = Some(BitString::from_bytes(&[1]).unwrap())),
        ),
        (
            "rfc5280.extension.twice",
            Box::new(|tbs| {
                let extensions = tbs.extensions.as_mut().unwrap();
                extensions.push(extensions[0].clone());
            }),
        ),
        (
            "rfc5280.extension.unreadable",
            Box::new(|tbs| set(tbs, raw(EKU, false, &[0x30, 0x02, 0x05, 0x01]))),
        ),
        ("rfc5280.extension.unknown", Box::new(|tbs| set(tbs, raw(oid("1.2.3.4"), true, &[5, 0])))),
        ("rfc5280.extension.critical", Box::new(|tbs| set(tbs, ext(true, &aki())))),
        ("rfc5280.ski.recommended", Box::new(|tbs| drop_extension(tbs, "2.5.29.14"))),
        ("rfc5280.aki.missing", Box::new(|tbs| drop_extension(tbs, "2.5.29.35"))),
        ("rfc5280.ku.empty", Box::new(|tbs| set(tbs, raw(oid("2.5.29.15"), true, &[3, 1, 0])))),
        (
            "rfc5280.ku.critical",
            Box::new(|tbs| set(tbs, ext(false, &KeyUsage(KeyUsages::DigitalSignature.into())))),
        ),
        (
            "rfc5280.ku.endentity",
            usage(KeyUsage(KeyUsages::DigitalSignature | KeyUsages::KeyCertSign)),
        ),
        (
            "rfc8813.ku.key",
            usage(KeyUsage(KeyUsages::DigitalSignature | KeyUsages::KeyEncipherment)),
        ),
        ("rfc4945.ku", usage(KeyUsage(KeyUsages::KeyAgreement.into()))),
        (
            "rfc5280.bc.endentity",
            Box::new(|tbs| {
                set(tbs, ext(true, &BasicConstraints { ca: true, path_len_constraint: None }))
            }),
        ),
        (
            "rfc5280.bc.path",
            Box::new(|tbs| {
                set(tbs, ext(true, &BasicConstraints { ca: false, path_len_constraint: Some(1) }))
            }),
        ),
        ("rfc5280.san.empty", san(Vec::new())),
        (
            "rfc5280.san.critical",
            Box::new(|tbs| set(tbs, ext(true, &SubjectAltName(vec![dns("a.example")])))),
        ),
        ("rfc5280.san.critical", Box::new(|tbs| tbs.subject = Name::default())),
        ("rfc5280.san.dns", san(vec![dns("a b.example")])),
        ("rfc4945.san.wildcard", san(vec![dns("*.example.net")])),
        ("rfc5280.san.ip", san(vec![GeneralName::IpAddress(OctetString::new([1, 2, 3]).unwrap())])),
        (
            "rfc5280.san.email",
            san(vec![GeneralName::Rfc822Name(Ia5String::new("nobody").unwrap())]),
        ),
        ("rfc5280.san.uri", san(vec![dns("a.example"), uri("relative/path")])),
        (
            "rfc5280.subject.empty",
            Box::new(|tbs| {
                tbs.subject = Name::default();
                drop_extension(tbs, "2.5.29.17");
            }),
        ),
        ("rfc4945.identity", Box::new(|tbs| drop_extension(tbs, "2.5.29.17"))),
        ("rfc4945.eku", eku(vec!["1.3.6.1.5.5.7.3.3"])),
        ("rfc4945.eku.obsolete", eku(vec!["1.3.6.1.5.5.7.3.17", "1.3.6.1.5.5.7.3.6"])),
        ("house.eku.intermediate", eku(vec!["1.3.6.1.5.5.7.3.17", "1.3.6.1.5.5.8.2.2"])),
        ("house.ocsp.alone", eku(vec!["1.3.6.1.5.5.7.3.17", "1.3.6.1.5.5.7.3.9"])),
        (
            "rfc5280.ocsp.ku",
            Box::new(|tbs| {
                set(tbs, ext(true, &KeyUsage(KeyUsages::KeyAgreement.into())));
                set(tbs, ext(false, &ExtendedKeyUsage(vec![oid("1.3.6.1.5.5.7.3.9")])));
            }),
        ),
        ("rfc6960.nocheck", Box::new(|tbs| set(tbs, raw(oid(NOCHECK), false, &[5, 0])))),
        (
            "rfc6960.nocheck",
            Box::new(|tbs| {
                set(tbs, ext(false, &ExtendedKeyUsage(vec![oid("1.3.6.1.5.5.7.3.9")])));
                set(tbs, raw(oid(NOCHECK), true, &[5, 0]));
            }),
        ),
        ("rfc5280.eku.empty", eku(Vec::new())),
        ("rfc5280.eku.empty", eku(vec!["1.3.6.1.5.5.7.3.17", "1.3.6.1.5.5.7.3.17"])),
        (
            "rfc5280.nc.endentity",
            Box::new(|tbs| {
                set(
                    tbs,
                    ext(
                        true,
                        &NameConstraints {
                            permitted_subtrees: Some(vec![subtree(dns("a.example"))]),
                            excluded_subtrees: None,
                        },
                    ),
                );
            }),
        ),
        (
            "rfc5280.cp.twice",
            Box::new(|tbs| {
                let policy =
                    PolicyInformation { policy_identifier: oid("1.2.3"), policy_qualifiers: None };
                set(tbs, ext(false, &CertificatePolicies(vec![policy.clone(), policy])));
            }),
        ),
        ("rfc5280.cdp.uri", Box::new(|tbs| set(tbs, ext(false, &points(vec![dns("a.example")]))))),
        (
            "rfc4516.cdp.attribute",
            Box::new(|tbs| set(tbs, ext(false, &points(vec![uri("ldap://host/cn=ca")])))),
        ),
        (
            "rfc5280.aia.uri",
            Box::new(|tbs| {
                let access = AccessDescription {
                    access_method: oid("1.3.6.1.5.5.7.48.2"),
                    access_location: dns("a.example"),
                };
                set(tbs, ext(false, &AuthorityInfoAccessSyntax(vec![access])));
            }),
        ),
    ]
}

fn subtree(base: GeneralName) -> GeneralSubtree {
    GeneralSubtree { base, minimum: 0, maximum: None }
}

fn ca_cases() -> Vec<(&'static str, Mutation<TbsCertificate>)> {
    vec![
        ("rfc5280.ski.missing", Box::new(|tbs| drop_extension(tbs, "2.5.29.14"))),
        ("rfc5280.ku.missing", Box::new(|tbs| drop_extension(tbs, "2.5.29.15"))),
        (
            "rfc5280.ku.ca",
            Box::new(|tbs| set(tbs, ext(true, &KeyUsage(KeyUsages::CRLSign.into())))),
        ),
        ("rfc5280.bc.missing", Box::new(|tbs| drop_extension(tbs, "2.5.29.19"))),
        (
            "rfc5280.nc.critical",
            Box::new(|tbs| {
                set(
                    tbs,
                    ext(
                        false,
                        &NameConstraints {
                            permitted_subtrees: Some(vec![subtree(dns("a.example"))]),
                            excluded_subtrees: None,
                        },
                    ),
                );
            }),
        ),
        (
            "rfc5280.nc.empty",
            Box::new(|tbs| {
                set(
                    tbs,
                    ext(
                        true,
                        &NameConstraints { permitted_subtrees: None, excluded_subtrees: None },
                    ),
                )
            }),
        ),
        (
            "house.nc.directory",
            Box::new(|tbs| {
                let excluded =
                    vec![subtree(GeneralName::DirectoryName(Name::from_str("C=DE").unwrap()))];
                set(
                    tbs,
                    ext(
                        true,
                        &NameConstraints {
                            permitted_subtrees: None,
                            excluded_subtrees: Some(excluded),
                        },
                    ),
                );
            }),
        ),
    ]
}

fn crl_cases() -> Vec<(&'static str, Mutation<TbsCertList>)> {
    vec![
        ("rfc5280.crl.version", Box::new(|crl| crl.version = Version::V1)),
        (
            "rfc5280.signature.algorithm",
            Box::new(|crl| crl.signature.oid = oid("1.2.840.113549.1.1.5")),
        ),
        ("rfc5280.crl.dates", Box::new(|crl| crl.next_update = None)),
        ("rfc5280.crl.dates", Box::new(|crl| crl.next_update = Some(utc(2025)))),
        ("rfc5280.crl.number", Box::new(|crl| crl.crl_extensions.as_mut().unwrap().truncate(1))),
        ("rfc5280.crl.aki", Box::new(|crl| drop(crl.crl_extensions.as_mut().unwrap().remove(0)))),
        ("rfc5280.crl.empty", Box::new(|crl| crl.revoked_certificates = Some(Vec::new()))),
        (
            "rfc5280.crl.twice",
            Box::new(|crl| {
                crl.revoked_certificates.as_mut().unwrap().push(entry(1, &[0x0a, 1, 4]))
            }),
        ),
        (
            "rfc5280.crl.reason",
            Box::new(|crl| {
                crl.revoked_certificates.as_mut().unwrap().push(entry(2, &[0x0a, 1, 0]))
            }),
        ),
        (
            "rfc5280.crl.reason",
            Box::new(|crl| {
                crl.revoked_certificates.as_mut().unwrap().push(entry(2, &[0x0a, 1, 8]))
            }),
        ),
        (
            "rfc5280.crl.future",
            Box::new(|crl| {
                crl.revoked_certificates.as_mut().unwrap()[0].revocation_date = utc(2030)
            }),
        ),
        ("rfc5280.crl.delta", add("2.5.29.27", false, &[2, 1, 4])),
        ("rfc5280.crl.delta", add("2.5.29.27", true, &[2, 1, 6])),
        ("rfc5280.crl.idp", add("2.5.29.28", true, &[0x30, 0])),
        ("rfc5280.crl.idp", add("2.5.29.28", false, &[0x30, 3, 0x81, 1, 0xff])),
        ("rfc5280.crl.freshest", add("2.5.29.46", true, &FRESHEST)),
        (
            "rfc5280.crl.freshest",
            Box::new(|crl| {
                add("2.5.29.27", true, &[2, 1, 5])(crl);
                add("2.5.29.46", false, &FRESHEST)(crl);
            }),
        ),
        (
            "rfc5280.crl.unknown",
            Box::new(|crl| {
                crl.crl_extensions.as_mut().unwrap().push(raw(oid("1.2.3.4"), true, &[5, 0]))
            }),
        ),
    ]
}

/// CRLDistributionPoints with one fullName, `http:a`.
const FRESHEST: [u8; 16] =
    [0x30, 14, 0x30, 12, 0xa0, 10, 0xa0, 8, 0x86, 6, b'h', b't', b't', b'p', b':', b'a'];

/// Adds an extension to a CRL.
fn add(id: &'static str, critical: bool, value: &'static [u8]) -> Mutation<TbsCertList> {
    Box::new(move |crl| {
        crl.crl_extensions.as_mut().unwrap().push(raw(oid(id), critical, value));
    })
}

/// An entry of a CRL as it is written: serial 1, 2026-01-01, keyCompromise, invalidity date.
const GOOD_ENTRY: [u8; 60] = *b"0:\x02\x01\x01\x17\x0d260101000000Z0&\
    0\x0a\x06\x03U\x1d\x15\x04\x03\x0a\x01\x01\
    0\x18\x06\x03U\x1d\x18\x04\x11\x18\x0f20251231235959Z";

/// What breaks the rules on entries while they are written, after [`GOOD_ENTRY`].
fn entry_cases() -> Vec<(&'static str, Vec<u8>)> {
    let with = |at: usize, octet: u8| {
        let mut entry = GOOD_ENTRY.to_vec();
        entry[4] = 2;
        entry[at] = octet;
        entry
    };
    let plain = |serial: &[u8], date: &[u8]| {
        let content = [&[2, serial.len() as u8], serial, &[0x17, date.len() as u8], date].concat();
        [&[0x30, content.len() as u8], content.as_slice()].concat()
    };
    let then = b"260101000000Z";
    vec![
        ("rfc5280.crl.twice", GOOD_ENTRY.to_vec()),
        ("rfc5280.serial.positive", plain(&[0x80], then)),
        ("rfc5280.serial.positive", plain(&[0, 1], then)),
        ("rfc5280.serial.positive", plain(&[], then)),
        ("rfc5280.serial.length", plain(&[1; 21], then)),
        ("rfc5280.crl.future", plain(&[2], b"300101000000Z")),
        ("rfc5280.crl.entry", plain(&[2], b"26010100000aZ")),
        ("rfc5280.crl.entry", plain(&[2], b"2601010000Z")),
        ("rfc5280.crl.entry", with(0, 0x31)),
        ("rfc5280.crl.entry", with(1, 0x39)),
        ("rfc5280.crl.entry", with(27, 0x16)),
        ("rfc5280.crl.entry", with(44, 0x1f)),
        ("rfc5280.crl.reason", with(33, 0)),
        ("rfc5280.crl.reason", with(33, 7)),
        ("rfc5280.crl.reason", with(33, 8)),
    ]
}

/// Asserts that the object breaks this rule, and gives what it breaks.
#[track_caller]
fn breaks(code: &'static str, findings: &[Finding]) -> &'static str {
    assert!(codes(findings).contains(code), "`{code}` did not fire: {findings:?}");
    code
}

#[test]
fn every_rule_fires_and_only_on_what_breaks_it() {
    let good = |tbs: &TbsCertificate, purpose| {
        lint::tbs_certificate(&tbs.to_der().unwrap(), Some(purpose))
    };
    assert_eq!(good(&peer(), Purpose::EndEntity), []);
    assert_eq!(good(&ca(), Purpose::IssuingCa), []);
    assert_eq!(lint::tbs_crl(&crl().to_der().unwrap()), []);

    let mut fired = BTreeSet::new();
    for (code, change) in peer_cases() {
        let mut tbs = peer();
        change(&mut tbs);
        fired.insert(breaks(code, &good(&tbs, Purpose::EndEntity)));
    }
    for (code, change) in ca_cases() {
        let mut tbs = ca();
        change(&mut tbs);
        fired.insert(breaks(code, &good(&tbs, Purpose::IssuingCa)));
    }
    for (code, change) in crl_cases() {
        let mut list = crl();
        change(&mut list);
        fired.insert(breaks(code, &lint::tbs_crl(&list.to_der().unwrap())));
    }
    // A name relative to the CRL issuer (RFC 5280 §4.2.1.13) is a distribution point: here CN=a.
    let relative = &[0x30, 14, 0xa0, 12, 0xa1, 10, 0x30, 8, 6, 3, 0x55, 4, 3, 0x13, 1, b'a'];
    let mut list = crl();
    add("2.5.29.28", true, relative)(&mut list);
    assert_eq!(lint::tbs_crl(&list.to_der().unwrap()), []);
    for (code, octets) in entry_cases() {
        let mut linter = EntryLint::new(Timestamp::from_seconds(1_800_000_000), CrlKind::Complete);
        linter.check(&GOOD_ENTRY).unwrap();
        fired.insert(breaks(code, &[linter.check(&octets).unwrap_err()]));
    }
    // What no encoder writes is changed in the octets.
    let tbs = peer().to_der().unwrap();
    let at =
        tbs.windows(18).position(|window| window == [&[2, 16][..], &[0x5a; 16]].concat()).unwrap();
    let mut negative = tbs.clone();
    negative[at + 2] = 0xda;
    fired.insert(breaks(
        "rfc5280.serial.positive",
        &lint::tbs_certificate(&negative, Some(Purpose::EndEntity)),
    ));
    fired
        .insert(breaks("x690.der", &lint::tbs_certificate(&[tbs.as_slice(), &[0]].concat(), None)));
    fired.insert(breaks("size", &lint::tbs_certificate(&vec![0x30; 70_000], None)));
    let mut outer = signed(&tbs, &ecdsa());
    assert_eq!(lint::certificate(&outer, Some(Purpose::EndEntity)), []);
    outer = signed(
        &tbs,
        &AlgorithmIdentifierOwned { oid: oid("1.2.840.10045.4.3.3"), parameters: None },
    );
    fired.insert(breaks(
        "rfc5280.signature.same",
        &lint::certificate(&outer, Some(Purpose::EndEntity)),
    ));

    let all: BTreeSet<&str> = lint::rules().iter().map(|rule| rule.code).collect();
    let silent: Vec<_> = all.difference(&fired).collect();
    assert_eq!(silent, [&""; 0], "rules that no case breaks");
    assert!(all.len() > 60 && all.len() == lint::rules().len(), "codes are unique");
}

fn signed(tbs: &[u8], algorithm: &AlgorithmIdentifierOwned) -> Vec<u8> {
    let signature = BitString::from_bytes(&[1, 2, 3]).unwrap().to_der().unwrap();
    let content = [tbs, &algorithm.to_der().unwrap(), &signature].concat();
    Any::new(Tag::Sequence, content).unwrap().to_der().unwrap()
}

#[test]
fn no_octet_makes_it_panic() {
    let tbs = peer().to_der().unwrap();
    let list = crl().to_der().unwrap();
    for at in 0..tbs.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut damaged = tbs.clone();
            damaged[at] ^= change;
            drop(lint::tbs_certificate(&damaged, None));
            drop(lint::certificate(&signed(&damaged, &ecdsa()), None));
        }
        drop(lint::tbs_certificate(&tbs[..at], None));
    }
    for at in 0..list.len() {
        let mut damaged = list.clone();
        damaged[at] ^= 0xff;
        drop(lint::tbs_crl(&damaged));
        drop(lint::file(&list[..at]));
    }
}

#[test]
fn a_file_of_strangers_certificates_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new("openssl").current_dir(folder.path()).args(arguments).output();
        assert!(
            output.expect("this test needs `openssl`: apt-get install openssl").status.success()
        );
    };
    run(&[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        "k",
        "-out",
        "good.pem",
        "-subj",
        "/CN=OpenSSL",
        "-addext",
        "keyUsage=critical,keyCertSign,cRLSign",
    ]);
    run(&[
        "req",
        "-x509",
        "-newkey",
        "rsa:1024",
        "-nodes",
        "-keyout",
        "k",
        "-out",
        "weak.pem",
        "-subj",
        "/CN=OpenSSL",
        "-sha1",
    ]);
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let both = [read("good.pem"), read("weak.pem")].concat();
    let objects = lint::file(&both).unwrap();
    assert_eq!(
        objects.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(),
        [ObjectKind::Certificate; 2]
    );
    let errors = |at: usize| -> BTreeSet<&str> {
        objects[at].1.iter().filter(|f| f.severity == Severity::Error).map(|f| f.code).collect()
    };
    assert_eq!(errors(0), BTreeSet::new());
    assert!(
        errors(1).is_superset(&BTreeSet::from(["house.key.rsa", "rfc5280.signature.algorithm"])),
        "{:?}",
        errors(1)
    );
    assert!(lint::file(b"neither").is_err());
}
