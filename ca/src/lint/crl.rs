//! Rules on CRLs (RFC 5280 §5). The running time is linear in the number of entries.

use std::collections::HashSet;

use der::Decode;
use der::oid::ObjectIdentifier;
use x509_cert::ext::pkix::crl::dp::IssuingDistributionPoint;
use x509_parser::extensions::{ParsedExtension, X509Extension};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::{RevokedCertificate, TbsCertList};
use x509_parser::x509::X509Version;

use super::finding::Report;
use super::{certificate, names, rules};
use crate::clock::BACKDATING;
use crate::oid;

/// The number of findings on entries after which the lint of a CRL stops.
const MAX_ENTRY_FINDINGS: usize = 100;

/// Lints a TBSCertList (DER), and adds the findings to `report`.
pub fn lint(tbs: &[u8], report: &mut Report) {
    let strict = x509_cert::crl::TbsCertList::from_der(tbs);
    let strict = match strict {
        Ok(strict) => strict,
        Err(e) => return report.find(&rules::DER, e.to_string()),
    };
    // Only this decoder distinguishes an empty SEQUENCE from an absent one.
    if strict.revoked_certificates.is_some_and(|revoked| revoked.is_empty()) {
        report.find(&rules::CRL_EMPTY, "it is an empty SEQUENCE");
    }
    let parsed = match TbsCertList::from_der(tbs) {
        Ok(([], parsed)) => parsed,
        Ok(_) => return report.find(&rules::DER, "octets stand behind it"),
        Err(e) => return report.find(&rules::DER, e.to_string()),
    };
    if parsed.version != Some(X509Version::V2) {
        report.find(&rules::CRL_VERSION, "it is another");
    }
    certificate::algorithm(&parsed.signature, report);
    if parsed.issuer.iter_rdn().next().is_none() {
        report.find(&rules::ISSUER_EMPTY, "it is");
    }
    names::lint("issuer", &parsed.issuer, report);
    if parsed.next_update.is_none_or(|next| next <= parsed.this_update) {
        report.find(&rules::CRL_DATES, "it is missing, or not after");
    }
    let is_delta = extensions(&parsed, report);
    let mut serials = HashSet::with_capacity(parsed.revoked_certificates.len());
    let before = report.0.len();
    // thisUpdate is backdated, so that a certificate may be revoked after it.
    let backdating = i64::try_from(BACKDATING.as_secs()).unwrap_or(0);
    let latest = parsed.this_update.timestamp().saturating_add(backdating);
    for entry in &parsed.revoked_certificates {
        if !serials.insert(entry.raw_serial()) {
            report
                .find(&rules::CRL_TWICE, format!("{} stands twice", entry.raw_serial_as_string()));
        }
        if entry.revocation_date.timestamp() > latest {
            report.find(
                &rules::CRL_FUTURE,
                format!("{} was, on {}", entry.raw_serial_as_string(), entry.revocation_date),
            );
        }
        entry_extensions(entry, is_delta, report);
        if report.0.len().saturating_sub(before) >= MAX_ENTRY_FINDINGS {
            return;
        }
    }
}

/// Lints the CRL's extensions. Returns whether it is a delta CRL.
fn extensions(crl: &TbsCertList<'_>, report: &mut Report) -> bool {
    let (mut number, mut aki, mut is_delta) = (None, false, false);
    let (mut base, mut freshest) = (None, false);
    let mut seen = HashSet::new();
    for extension in crl.extensions() {
        let id = extension.oid.to_id_string();
        let is = |known: &ObjectIdentifier| extension.oid.as_bytes() == known.as_bytes();
        if !seen.insert(id.clone()) {
            report.find(&rules::EXTENSION_TWICE, format!("`{id}` stands twice"));
        }
        match extension.parsed_extension() {
            _ if is(&oid::ISSUING_DISTRIBUTION_POINT) => {
                distribution_point(extension, report);
            }
            ParsedExtension::CRLNumber(value) => {
                number = (!extension.critical && value.bits() <= 159).then(|| value.to_bytes_be());
            }
            ParsedExtension::AuthorityKeyIdentifier(identifier) => {
                aki = identifier.key_identifier.is_some()
            }
            ParsedExtension::ParseError { error } => {
                report.find(&rules::EXTENSION_UNREADABLE, format!("`{id}`: {error}"));
            }
            _ if is(&oid::DELTA_CRL_INDICATOR) => {
                is_delta = true;
                base = unsigned(extension.value).filter(|_| extension.critical);
            }
            _ if is(&oid::FRESHEST_CRL) => freshest = true,
            ParsedExtension::UnsupportedExtension { .. } if extension.critical => {
                report.find(&rules::CRL_UNKNOWN, format!("`{id}` is"));
            }
            _ => {}
        }
    }
    if is_delta
        && base.is_none_or(|base| {
            number.as_ref().is_none_or(|own| (base.len(), &base) > (own.len(), own))
        })
    {
        report.find(&rules::CRL_DELTA, "it is not, or its base cannot be read or is newer");
    }
    let freshest_critical = crl.extensions().iter().any(|extension| {
        extension.critical && extension.oid.as_bytes() == oid::FRESHEST_CRL.as_bytes()
    });
    if freshest && (is_delta || freshest_critical) {
        report.find(&rules::CRL_FRESHEST, "it is");
    }
    if number.is_none() {
        report.find(&rules::CRL_NUMBER, "it is missing, critical or too large");
    }
    if !aki {
        report.find(&rules::CRL_AKI, "it is missing");
    }
    is_delta
}

/// Lints the issuingDistributionPoint (RFC 5280 §5.2.5). x509-parser 0.18 reads a name relative to the CRL issuer as no name at all,
/// so x509-cert decodes the value, as in path validation.
fn distribution_point(extension: &X509Extension<'_>, report: &mut Report) {
    match IssuingDistributionPoint::from_der(extension.value) {
        Ok(point) => {
            let is_limited = [
                point.only_contains_user_certs,
                point.only_contains_ca_certs,
                point.indirect_crl,
                point.only_contains_attribute_certs,
            ];
            let is_empty = point.distribution_point.is_none()
                && point.only_some_reasons.is_none()
                && !is_limited.contains(&true);
            if is_empty || !extension.critical {
                report.find(&rules::CRL_POINT, "it is empty or not critical");
            }
        }
        Err(error) => {
            report.find(&rules::EXTENSION_UNREADABLE, format!("`{}`: {error}", extension.oid));
        }
    }
}

/// The octets of a non-negative INTEGER, DER, without leading zeros except for zero itself; `None` if the element is not one.
fn unsigned(der: &[u8]) -> Option<Vec<u8>> {
    let content = der::asn1::UintRef::from_der(der).ok()?;
    Some(content.as_bytes().to_vec())
}

/// Lints the extensions of one entry. `is_delta` says whether it is an entry of a delta CRL.
fn entry_extensions(entry: &RevokedCertificate<'_>, is_delta: bool, report: &mut Report) {
    for extension in entry.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::ReasonCode(code) => {
                let allowed = matches!(code.0, 1..=6 | 9 | 10) || (code.0 == 8 && is_delta);
                if !allowed {
                    report.find(
                        &rules::CRL_REASON,
                        format!("{} has {}", entry.raw_serial_as_string(), code.0),
                    );
                }
            }
            ParsedExtension::ParseError { error } => {
                report.find(
                    &rules::EXTENSION_UNREADABLE,
                    format!("in the entry {}: {error}", entry.raw_serial_as_string()),
                );
            }
            ParsedExtension::UnsupportedExtension { .. } if extension.critical => {
                report.find(
                    &rules::CRL_UNKNOWN,
                    format!("`{}` in the entry {} is", extension.oid, entry.raw_serial_as_string()),
                );
            }
            _ => {}
        }
    }
}
