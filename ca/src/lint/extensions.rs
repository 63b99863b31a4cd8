//! Rules on the extensions of a certificate (RFC 5280 §4.2, RFC 4945 §5.1.3).

use std::collections::BTreeSet;

use der::oid::ObjectIdentifier;
use x509_parser::certificate::TbsCertificate;
use x509_parser::extensions::{
    DistributionPointName, ExtendedKeyUsage, GeneralName, KeyUsage, NameConstraints,
    ParsedExtension, X509Extension,
};

use super::rules;
use super::{Purpose, Report};
use crate::oid;
use crate::key::public::KeyKind;

/// The obsolete usages ipsecEndSystem, ipsecTunnel and ipsecUser.
const OBSOLETE: [ObjectIdentifier; 3] = [
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.5"),
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.6"),
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.7"),
];

/// What the extensions say, as far as rules span several of them.
#[derive(Default)]
struct Seen {
    ski: bool,
    aki: bool,
    bc_ca: bool,
    bc_critical: bool,
    identity: bool,
}

/// Lints the extensions.
pub fn lint(tbs: &TbsCertificate<'_>, purpose: Purpose, key: Option<KeyKind>, report: &mut Report) {
    let is_ca = matches!(purpose, Purpose::Root | Purpose::IssuingCa);
    let mut seen = Seen::default();
    let mut oids = BTreeSet::new();
    let mut key_usage = None;
    for extension in tbs.extensions() {
        one(tbs, extension, is_ca, purpose, key, &mut seen, report);
        if let ParsedExtension::KeyUsage(usage) = extension.parsed_extension() {
            key_usage = Some(usage);
        }
        if !oids.insert(extension.oid.as_bytes()) {
            report.find(&rules::EXTENSION_TWICE, format!("`{}` stands twice", extension.oid));
        }
    }
    if is_ca {
        if !seen.ski {
            report.find(&rules::SKI_MISSING, "there is none");
        }
        if key_usage.is_none() {
            report.find(&rules::KU_MISSING, "there is none");
        }
        if !seen.bc_ca || !seen.bc_critical {
            report.find(&rules::BC_MISSING, "they are missing, say otherwise, or are not critical");
        }
    } else if !seen.ski {
        report.find(&rules::SKI_RECOMMENDED, "there is none");
    }
    if !seen.aki && purpose != Purpose::Root {
        report.find(&rules::AKI_MISSING, "there is none");
    }
    ocsp_responder(tbs, key_usage, report);
    if purpose == Purpose::EndEntity {
        if !seen.identity {
            report.find(
                &rules::IKE_IDENTITY,
                "there is no dNSName, iPAddress or rfc822Name; only a DN identity can be used",
            );
        }
        if key_usage.is_some_and(|usage| !usage.digital_signature() && !usage.non_repudiation()) {
            report.find(&rules::IKE_KU, "it has neither");
        }
    }
}

/// A delegated OCSP responder, and what only such a one may carry (RFC 6960 §4.2.2.2).
fn ocsp_responder(tbs: &TbsCertificate<'_>, key_usage: Option<&KeyUsage>, report: &mut Report) {
    let usages = tbs.extended_key_usage().ok().flatten().map(|usages| usages.value);
    let signs = usages.is_some_and(|usages| usages.ocsp_signing);
    if signs {
        if key_usage.is_some_and(|usage| !usage.digital_signature() && !usage.non_repudiation()) {
            report.find(&rules::OCSP_KU, "it has neither");
        }
        if usages.is_some_and(is_for_more_than_ocsp) {
            report.find(&rules::OCSP_ALONE, "it has other extended key usages");
        }
    }
    let nocheck = oid::OCSP_NOCHECK.as_bytes();
    for extension in tbs.extensions().iter().filter(|e| e.oid.as_bytes() == nocheck) {
        if extension.critical || extension.value != [5, 0] || !signs {
            report.find(&rules::OCSP_NOCHECK, "it is something else, or stands elsewhere");
        }
    }
}

fn is_for_more_than_ocsp(usages: &ExtendedKeyUsage<'_>) -> bool {
    usages.any
        || usages.server_auth
        || usages.client_auth
        || usages.code_signing
        || usages.email_protection
        || usages.time_stamping
        || !usages.other.is_empty()
}

fn one(
    tbs: &TbsCertificate<'_>,
    extension: &X509Extension<'_>,
    is_ca: bool,
    purpose: Purpose,
    key: Option<KeyKind>,
    seen: &mut Seen,
    report: &mut Report,
) {
    let id = &extension.oid;
    let never_critical = |report: &mut Report| {
        if extension.critical {
            report.find(&rules::EXTENSION_CRITICAL, format!("`{id}` is"));
        }
    };
    match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(_) => {
            seen.ski = true;
            never_critical(report);
        }
        ParsedExtension::AuthorityKeyIdentifier(identifier) => {
            seen.aki = identifier.key_identifier.is_some();
            never_critical(report);
        }
        ParsedExtension::KeyUsage(usage) => {
            self::key_usage(*usage, extension.critical, is_ca, key, report)
        }
        ParsedExtension::BasicConstraints(constraints) => {
            (seen.bc_ca, seen.bc_critical) = (constraints.ca, extension.critical);
            if constraints.ca && !is_ca {
                report.find(&rules::BC_END_ENTITY, "it says that it is one");
            }
            if constraints.path_len_constraint.is_some() && !constraints.ca {
                report.find(&rules::BC_PATH, "it stands in an end entity");
            }
        }
        ParsedExtension::SubjectAlternativeName(names) => {
            let subject_is_empty = tbs.subject().iter_rdn().next().is_none();
            if extension.critical != subject_is_empty {
                report.find(
                    &rules::SAN_CRITICAL,
                    if subject_is_empty { "it is not" } else { "it is, and there is a subject" },
                );
            }
            if names.general_names.is_empty() {
                report.find(&rules::SAN_EMPTY, "it has none");
            }
            for name in &names.general_names {
                seen.identity |= matches!(
                    name,
                    GeneralName::DNSName(_)
                        | GeneralName::IPAddress(_)
                        | GeneralName::RFC822Name(_)
                );
                alt_name(name, report);
            }
        }
        ParsedExtension::ExtendedKeyUsage(usage) => {
            extended_key_usage(usage, extension.value, purpose, report)
        }
        ParsedExtension::NameConstraints(constraints) => {
            if !is_ca {
                report.find(&rules::NC_END_ENTITY, "this is an end entity");
            }
            if !extension.critical {
                report.find(&rules::NC_CRITICAL, "they are not");
            }
            name_constraints(constraints, report);
        }
        ParsedExtension::CertificatePolicies(policies) => {
            let mut known = BTreeSet::new();
            for policy in policies {
                if !known.insert(policy.policy_id.as_bytes()) {
                    report.find(&rules::CP_TWICE, format!("`{}` stands twice", policy.policy_id));
                }
            }
        }
        ParsedExtension::CRLDistributionPoints(points) => {
            never_critical(report);
            for point in points.iter() {
                match &point.distribution_point {
                    Some(DistributionPointName::FullName(names)) => {
                        names.iter().for_each(|name| distribution_point(name, report))
                    }
                    _ => report.find(&rules::CDP_URI, "it has no fullName"),
                }
            }
        }
        ParsedExtension::AuthorityInfoAccess(access) => {
            never_critical(report);
            for description in &access.accessdescs {
                if !matches!(description.access_location, GeneralName::URI(uri) if is_absolute(uri))
                {
                    report.find(&rules::AIA_URI, "it is something else");
                }
            }
        }
        ParsedExtension::ParseError { error } => {
            report.find(&rules::EXTENSION_UNREADABLE, format!("`{id}`: {error}"));
        }
        ParsedExtension::UnsupportedExtension { .. } if extension.critical => {
            report.find(&rules::EXTENSION_UNKNOWN, format!("`{id}` is"));
        }
        _ => {}
    }
}

fn key_usage(
    usage: KeyUsage,
    critical: bool,
    is_ca: bool,
    key: Option<KeyKind>,
    report: &mut Report,
) {
    if usage.flags == 0 {
        report.find(&rules::KU_EMPTY, "it has none");
    }
    if !critical {
        report.find(&rules::KU_CRITICAL, "it is not");
    }
    if is_ca && !(usage.key_cert_sign() && usage.crl_sign()) {
        report.find(&rules::KU_CA, "keyCertSign or cRLSign is missing");
    }
    if !is_ca && (usage.key_cert_sign() || usage.crl_sign()) {
        report.find(&rules::KU_END_ENTITY, "keyCertSign or cRLSign is there");
    }
    let encrypts = usage.key_encipherment() || usage.data_encipherment();
    let agrees = usage.key_agreement() && key == Some(KeyKind::Ed25519);
    if !matches!(key, None | Some(KeyKind::Rsa(_))) && (encrypts || agrees) {
        report.find(&rules::KU_KEY, "a bit for encryption or key agreement is there");
    }
}

fn extended_key_usage(
    usage: &ExtendedKeyUsage<'_>,
    content: &[u8],
    purpose: Purpose,
    report: &mut Report,
) {
    let has = |known: &ObjectIdentifier| {
        usage.other.iter().any(|other| other.as_bytes() == known.as_bytes())
    };
    // x509-parser folds repeated usages; the list itself tells.
    let listed = <x509_cert::ext::pkix::ExtendedKeyUsage as der::Decode>::from_der(content)
        .map_or_else(|_| Vec::new(), |list| list.0);
    let unique: BTreeSet<&der::oid::ObjectIdentifier> = listed.iter().collect();
    if listed.is_empty() || unique.len() != listed.len() {
        report.find(&rules::EKU_EMPTY, "it is empty, or one stands twice");
    }
    if purpose != Purpose::EndEntity {
        return;
    }
    if !usage.any && !has(&oid::IPSEC_IKE) {
        report.find(&rules::IKE_EKU, "it has neither");
    }
    if OBSOLETE.iter().any(has) {
        report.find(&rules::IKE_EKU_OBSOLETE, "one of them is there");
    }
    if has(&oid::IKE_INTERMEDIATE) {
        report.find(&rules::IKE_INTERMEDIATE, "it is there");
    }
}

fn alt_name(name: &GeneralName<'_>, report: &mut Report) {
    match name {
        GeneralName::DNSName(dns) if dns.starts_with("*.") => {
            report.find(&rules::SAN_WILDCARD, format!("found `{dns}`"))
        }
        GeneralName::DNSName(dns) if format!("fqdn:{dns}").parse::<crate::Identity>().is_err() => {
            report.find(&rules::SAN_DNS, format!("found `{}`", dns.escape_debug()));
        }
        GeneralName::RFC822Name(mailbox)
            if format!("email:{mailbox}").parse::<crate::Identity>().is_err() =>
        {
            report.find(&rules::SAN_EMAIL, format!("found `{}`", mailbox.escape_debug()));
        }
        GeneralName::IPAddress(octets) if !matches!(octets.len(), 4 | 16) => {
            report.find(&rules::SAN_IP, format!("found {}", octets.len()));
        }
        GeneralName::URI(uri) if !is_absolute(uri) => {
            report.find(&rules::SAN_URI, format!("found `{}`", uri.escape_debug()))
        }
        _ => {}
    }
}

fn name_constraints(constraints: &NameConstraints<'_>, report: &mut Report) {
    let permitted = constraints.permitted_subtrees.iter().flatten().count();
    let excluded = constraints.excluded_subtrees.iter().flatten();
    if permitted == 0 && excluded.clone().next().is_none() {
        report.find(&rules::NC_EMPTY, "they have none");
    }
    if excluded.clone().any(|subtree| matches!(subtree.base, GeneralName::DirectoryName(_))) {
        report.find(&rules::NC_DIRECTORY, "one is");
    }
}

fn distribution_point(name: &GeneralName<'_>, report: &mut Report) {
    match name {
        GeneralName::URI(uri) if uri.starts_with("http://") && is_absolute(uri) => {}
        GeneralName::URI(uri) if uri.starts_with("ldap://") => {
            let attribute = uri.split('?').nth(1).unwrap_or_default();
            if attribute.is_empty() {
                report.find(
                    &rules::CDP_LDAP,
                    format!("`{}` does not, and daemons fetch nothing", uri.escape_debug()),
                );
            }
        }
        _ => report.find(&rules::CDP_URI, "found something else"),
    }
}

fn is_absolute(uri: &str) -> bool {
    uri.split_once(':').is_some_and(|(scheme, rest)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
            && !rest.is_empty()
            && uri.bytes().all(|b| b.is_ascii_graphic())
    })
}
