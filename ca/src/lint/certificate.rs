//! Rules on the fields of a TBSCertificate (RFC 5280 §4.1).

use x509_parser::certificate::TbsCertificate;
use x509_parser::der_parser::asn1_rs::{Any, Tag};
use x509_parser::prelude::FromDer;
use x509_parser::x509::{AlgorithmIdentifier, X509Version};

use super::finding::Report;
use super::purpose::Purpose;
use super::{extensions, names, rules};
use crate::error::Error;
use crate::key::{KeyKind, SubjectPublicKey};
use crate::oid;

/// The last second that a UTCTime can represent: 2049-12-31T23:59:59Z.
const LAST_UTC_TIME: i64 = 2_524_607_999;

/// Lints a TBSCertificate (DER), and adds the findings to `report`. Without a `purpose`, it is guessed from the extensions, and from
/// whether the subject is the issuer. Returns what the strict decoder read; `None` if it could not read it.
pub fn lint(
    tbs: &[u8],
    purpose: Option<Purpose>,
    report: &mut Report,
) -> Option<x509_cert::TbsCertificate> {
    // The strict decoder runs first, because x509-parser accepts some BER.
    let strict = match <x509_cert::TbsCertificate as der::Decode>::from_der(tbs) {
        Ok(strict) => strict,
        Err(e) => {
            report.find(&rules::DER, e.to_string());
            return None;
        }
    };
    match TbsCertificate::from_der(tbs) {
        Ok(([], parsed)) => rules_on(&strict, &parsed, purpose, report),
        Ok(_) => report.find(&rules::DER, "octets stand behind it"),
        Err(e) => report.find(&rules::DER, e.to_string()),
    }
    Some(strict)
}

/// Applies all rules to a TBSCertificate, as both decoders read it.
fn rules_on(
    strict: &x509_cert::TbsCertificate,
    parsed: &TbsCertificate<'_>,
    purpose: Option<Purpose>,
    report: &mut Report,
) {
    let purpose = purpose.unwrap_or_else(|| guess(parsed));
    fields(parsed, purpose, report);
    dates(strict, parsed, report);
    let key = key(parsed, report);
    extensions::lint(parsed, purpose, key, report);
}

/// The likely purpose of a certificate. An end entity's without extended key usage, or with anyExtendedKeyUsage, counts as
/// an IKE peer's. A CA's counts as a root's if its subject is its issuer.
fn guess(tbs: &TbsCertificate<'_>) -> Purpose {
    let is_ca = tbs.is_ca();
    let usages = tbs.extended_key_usage().ok().flatten();
    let for_ike = usages.is_none_or(|usages| {
        usages.value.any
            || usages.value.other.iter().any(|usage| usage.as_bytes() == oid::IPSEC_IKE.as_bytes())
    });
    match (is_ca, tbs.subject() == tbs.issuer(), for_ike) {
        (true, true, _) => Purpose::Root,
        (true, false, _) => Purpose::IssuingCa,
        (false, _, true) => Purpose::EndEntity,
        (false, _, false) => Purpose::Infrastructure,
    }
}

/// Lints the version, the serial number, the algorithm, the names and the unique identifiers.
fn fields(tbs: &TbsCertificate<'_>, purpose: Purpose, report: &mut Report) {
    if tbs.version() != X509Version::V3 {
        report.find(&rules::VERSION, format!("it is {}", tbs.version()));
    }
    let serial = tbs.raw_serial();
    let magnitude: Vec<u8> = serial.iter().copied().skip_while(|octet| *octet == 0).collect();
    if serial.first().is_none_or(|first| first & 0x80 != 0) || magnitude.is_empty() {
        report.find(&rules::SERIAL_POSITIVE, "it is zero or negative");
    } else if serial.len() > 20 {
        report.find(&rules::SERIAL_LENGTH, format!("it has {}", serial.len()));
    } else if magnitude.len() < 8 {
        report.find(&rules::SERIAL_ENTROPY, format!("it has {} octets", magnitude.len()));
    }
    algorithm(&tbs.signature, report);
    if tbs.issuer().iter_rdn().next().is_none() {
        report.find(&rules::ISSUER_EMPTY, "it is");
    }
    names::lint("issuer", tbs.issuer(), report);
    names::lint("subject", tbs.subject(), report);
    let has_subject = tbs.subject().iter_rdn().next().is_some();
    let has_names = tbs.subject_alternative_name().is_ok_and(|names| names.is_some());
    if !has_subject && (purpose.is_ca() || !has_names) {
        report.find(&rules::SUBJECT_EMPTY, "there is none");
    }
    if tbs.issuer_uid.is_some() || tbs.subject_uid.is_some() {
        report.find(&rules::UNIQUE_ID, "there are some");
    }
}

/// Lints a signature algorithm and its parameters. CRLs use the same rule.
pub fn algorithm(algorithm: &AlgorithmIdentifier<'_>, report: &mut Report) {
    let name = &algorithm.algorithm;
    let is = |known: &der::oid::ObjectIdentifier| known.as_bytes() == name.as_bytes();
    let without = [oid::ECDSA_SHA256, oid::ECDSA_SHA384, oid::ECDSA_SHA512, oid::ED25519];
    let with_null = [oid::RSA_SHA256, oid::RSA_SHA384, oid::RSA_SHA512];
    let parameters = algorithm.parameters.as_ref().map(Any::tag);
    if without.iter().any(is) {
        if parameters.is_some() {
            report.find(&rules::ALGORITHM_PARAMETERS, format!("`{name}` has none, found some"));
        }
    } else if with_null.iter().any(is) {
        if parameters != Some(Tag::Null) {
            report.find(
                &rules::ALGORITHM_PARAMETERS,
                format!("`{name}` has NULL, found something else"),
            );
        }
    } else if !is(&oid::RSA_PSS) {
        report.find(
            &rules::ALGORITHM,
            format!("expected ECDSA, RSA or Ed25519 with SHA-256 or more, found `{name}`"),
        );
    }
}

/// Lints the validity: the order of notBefore and notAfter, and the types of their encodings.
fn dates(strict: &x509_cert::TbsCertificate, parsed: &TbsCertificate<'_>, report: &mut Report) {
    let validity = parsed.validity();
    let (from, until) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    if from > until {
        report.find(
            &rules::VALIDITY_ORDER,
            format!("from {} to {}", validity.not_before, validity.not_after),
        );
    }
    // Only x509-cert preserves which of the two time types was used.
    for time in [strict.validity.not_before, strict.validity.not_after] {
        let seconds = i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
        let is_utc = matches!(time, x509_cert::time::Time::UtcTime(_));
        if is_utc != (seconds <= LAST_UTC_TIME) {
            report.find(&rules::VALIDITY_ENCODING, format!("`{time}` is of the other type"));
        }
    }
}

/// Lints the public key. Returns its kind; `None` if it cannot be used.
fn key(tbs: &TbsCertificate<'_>, report: &mut Report) -> Option<KeyKind> {
    let spki = tbs.public_key();
    match SubjectPublicKey::from_der(spki.raw) {
        Ok(key) => {
            if let KeyKind::Rsa(_) = key.kind()
                && let Ok(x509_parser::public_key::PublicKey::RSA(rsa)) = spki.parsed()
                && rsa.try_exponent().is_ok_and(|exponent| exponent < 65_537)
            {
                report.find(&rules::KEY_RSA, "the exponent is smaller");
            }
            Some(key.kind())
        }
        Err(Error::Denied { why, .. }) if why.contains("RSA key") => {
            report.find(&rules::KEY_RSA, why);
            None
        }
        Err(e) => {
            report.find(&rules::KEY_KIND, e.to_string());
            None
        }
    }
}
