//! Rules on the extensions of a certificate (RFC 5280 §4.2, RFC 4945 §5.1.3).

use std::collections::BTreeSet;

use der::oid::ObjectIdentifier;
use x509_parser::certificate::TbsCertificate;
use x509_parser::extensions::{
    AuthorityInfoAccess, BasicConstraints, CRLDistributionPoints, DistributionPointName,
    ExtendedKeyUsage, GeneralName, KeyUsage, NameConstraints, ParsedExtension, PolicyInformation,
    SubjectAlternativeName, X509Extension,
};

use super::finding::Report;
use super::purpose::Purpose;
use super::rules;
use crate::key::KeyKind;
use crate::name::Identity;
use crate::oid;

/// The extended key usages for IPsec that RFC 4945 §5.1.3.12 calls obsolete.
const OBSOLETE: [ObjectIdentifier; 3] = [oid::IPSEC_END_SYSTEM, oid::IPSEC_TUNNEL, oid::IPSEC_USER];

/// The facts about a certificate's extensions that rules on several extensions need.
#[derive(Default)]
struct Seen {
    has_subject_key_identifier: bool,
    has_authority_key_identifier: bool,
    key_usage: Option<KeyUsage>,
    /// Whether there are critical basicConstraints with cA TRUE.
    is_critical_ca: bool,
    /// Whether the subjectAltName has a name that an IKE peer can present.
    has_ike_identity: bool,
}

/// The lint of one certificate's extensions, in progress.
struct ExtensionLint<'a, 'r> {
    tbs: &'a TbsCertificate<'a>,
    purpose: Purpose,
    /// The kind of the certified key; `None` if it cannot be used.
    key: Option<KeyKind>,
    seen: Seen,
    report: &'r mut Report,
}

/// Lints the extensions of a certificate: each one by itself, and then which ones must be present.
pub fn lint(tbs: &TbsCertificate<'_>, purpose: Purpose, key: Option<KeyKind>, report: &mut Report) {
    let mut lint = ExtensionLint { tbs, purpose, key, seen: Seen::default(), report };
    let mut oids = BTreeSet::new();
    for extension in tbs.extensions() {
        lint.extension(extension);
        if !oids.insert(extension.oid.as_bytes()) {
            lint.report.find(&rules::EXTENSION_TWICE, format!("`{}` stands twice", extension.oid));
        }
    }
    match purpose.is_ca() {
        true => lint.ca(),
        false => lint.end_entity(),
    }
    if !lint.seen.has_authority_key_identifier && purpose != Purpose::Root {
        lint.report.find(&rules::AKI_MISSING, "there is none");
    }
    ocsp_responder(tbs, lint.seen.key_usage.as_ref(), lint.report);
    if purpose == Purpose::EndEntity {
        lint.ike_peer();
    }
}

impl ExtensionLint<'_, '_> {
    /// Rules on the presence of extensions in a CA's certificate.
    fn ca(&mut self) {
        if !self.seen.has_subject_key_identifier {
            self.report.find(&rules::SKI_MISSING, "there is none");
        }
        if self.seen.key_usage.is_none() {
            self.report.find(&rules::KU_MISSING, "there is none");
        }
        if !self.seen.is_critical_ca {
            let why = "they are missing, say otherwise, or are not critical";
            self.report.find(&rules::BC_MISSING, why);
        }
    }

    /// Rules on the presence of extensions in an end entity's certificate.
    fn end_entity(&mut self) {
        if !self.seen.has_subject_key_identifier {
            self.report.find(&rules::SKI_RECOMMENDED, "there is none");
        }
    }

    /// Rules on the presence of extensions in an IKE peer's certificate.
    fn ike_peer(&mut self) {
        if !self.seen.has_ike_identity {
            self.report.find(
                &rules::IKE_IDENTITY,
                "there is no dNSName, iPAddress or rfc822Name; only a DN identity can be used",
            );
        }
        let signs = |usage: KeyUsage| usage.digital_signature() || usage.non_repudiation();
        if self.seen.key_usage.is_some_and(|usage| !signs(usage)) {
            self.report.find(&rules::IKE_KU, "it has neither");
        }
    }

    /// Lints one extension, and records what the rules on presence need.
    fn extension(&mut self, extension: &X509Extension<'_>) {
        let id = &extension.oid;
        match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(_) => {
                self.seen.has_subject_key_identifier = true;
                self.never_critical(extension);
            }
            ParsedExtension::AuthorityKeyIdentifier(identifier) => {
                self.seen.has_authority_key_identifier = identifier.key_identifier.is_some();
                self.never_critical(extension);
            }
            ParsedExtension::KeyUsage(usage) => self.key_usage(*usage, extension),
            ParsedExtension::BasicConstraints(constraints) => {
                self.basic_constraints(constraints, extension);
            }
            ParsedExtension::SubjectAlternativeName(names) => self.alt_names(names, extension),
            ParsedExtension::ExtendedKeyUsage(usage) => self.extended_key_usage(usage, extension),
            ParsedExtension::NameConstraints(constraints) => {
                self.name_constraints(constraints, extension);
            }
            ParsedExtension::CertificatePolicies(policies) => self.policies(policies),
            ParsedExtension::CRLDistributionPoints(points) => {
                self.never_critical(extension);
                self.distribution_points(points);
            }
            ParsedExtension::AuthorityInfoAccess(access) => {
                self.never_critical(extension);
                self.information_access(access);
            }
            ParsedExtension::ParseError { error } => {
                self.report.find(&rules::EXTENSION_UNREADABLE, format!("`{id}`: {error}"));
            }
            ParsedExtension::UnsupportedExtension { .. } if extension.critical => {
                self.report.find(&rules::EXTENSION_UNKNOWN, format!("`{id}` is"));
            }
            _ => {}
        }
    }

    /// Reports an extension that must not be critical but is.
    fn never_critical(&mut self, extension: &X509Extension<'_>) {
        if extension.critical {
            self.report.find(&rules::EXTENSION_CRITICAL, format!("`{}` is", extension.oid));
        }
    }

    /// Lints keyUsage (RFC 5280 §4.2.1.3), with the bits that a kind of key cannot serve (RFC 8813 §3, RFC 8410 §5).
    fn key_usage(&mut self, usage: KeyUsage, extension: &X509Extension<'_>) {
        self.seen.key_usage = Some(usage);
        let is_ca = self.purpose.is_ca();
        if usage.flags == 0 {
            self.report.find(&rules::KU_EMPTY, "it has none");
        }
        if !extension.critical {
            self.report.find(&rules::KU_CRITICAL, "it is not");
        }
        if is_ca && !(usage.key_cert_sign() && usage.crl_sign()) {
            self.report.find(&rules::KU_CA, "keyCertSign or cRLSign is missing");
        }
        if !is_ca && (usage.key_cert_sign() || usage.crl_sign()) {
            self.report.find(&rules::KU_END_ENTITY, "keyCertSign or cRLSign is there");
        }
        let encrypts = usage.key_encipherment() || usage.data_encipherment();
        let agrees = usage.key_agreement() && self.key == Some(KeyKind::Ed25519);
        if !matches!(self.key, None | Some(KeyKind::Rsa(_))) && (encrypts || agrees) {
            self.report.find(&rules::KU_KEY, "a bit for encryption or key agreement is there");
        }
    }

    /// Lints basicConstraints (RFC 5280 §4.2.1.9).
    fn basic_constraints(&mut self, constraints: &BasicConstraints, extension: &X509Extension<'_>) {
        self.seen.is_critical_ca = constraints.ca && extension.critical;
        if constraints.ca && !self.purpose.is_ca() {
            self.report.find(&rules::BC_END_ENTITY, "it says that it is one");
        }
        if constraints.path_len_constraint.is_some() && !constraints.ca {
            self.report.find(&rules::BC_PATH, "it stands in an end entity");
        }
    }

    /// Lints subjectAltName (RFC 5280 §4.2.1.6).
    fn alt_names(&mut self, names: &SubjectAlternativeName<'_>, extension: &X509Extension<'_>) {
        let subject_is_empty = self.tbs.subject().iter_rdn().next().is_none();
        if extension.critical != subject_is_empty {
            self.report.find(
                &rules::SAN_CRITICAL,
                if subject_is_empty { "it is not" } else { "it is, and there is a subject" },
            );
        }
        if names.general_names.is_empty() {
            self.report.find(&rules::SAN_EMPTY, "it has none");
        }
        for name in &names.general_names {
            self.seen.has_ike_identity |= matches!(
                name,
                GeneralName::DNSName(_) | GeneralName::IPAddress(_) | GeneralName::RFC822Name(_)
            );
            alt_name(name, self.report);
        }
    }

    /// Lints extKeyUsage (RFC 5280 §4.2.1.12; for IKE peers, RFC 4945 §5.1.3.12).
    fn extended_key_usage(&mut self, usage: &ExtendedKeyUsage<'_>, extension: &X509Extension<'_>) {
        let has = |known: &ObjectIdentifier| {
            usage.other.iter().any(|other| other.as_bytes() == known.as_bytes())
        };
        // x509-parser folds repeated usages into one, so the list is decoded again to find them.
        let listed =
            <x509_cert::ext::pkix::ExtendedKeyUsage as der::Decode>::from_der(extension.value)
                .map_or_else(|_| Vec::new(), |list| list.0);
        let unique: BTreeSet<&ObjectIdentifier> = listed.iter().collect();
        if listed.is_empty() || unique.len() != listed.len() {
            self.report.find(&rules::EKU_EMPTY, "it is empty, or one stands twice");
        }
        if self.purpose != Purpose::EndEntity {
            return;
        }
        if !usage.any && !has(&oid::IPSEC_IKE) {
            self.report.find(&rules::IKE_EKU, "it has neither");
        }
        if OBSOLETE.iter().any(has) {
            self.report.find(&rules::IKE_EKU_OBSOLETE, "one of them is there");
        }
        if has(&oid::IKE_INTERMEDIATE) {
            self.report.find(&rules::IKE_INTERMEDIATE, "it is there");
        }
    }

    /// Lints nameConstraints (RFC 5280 §4.2.1.10). strongSwan refuses chains that exclude directory names.
    fn name_constraints(
        &mut self,
        constraints: &NameConstraints<'_>,
        extension: &X509Extension<'_>,
    ) {
        if !self.purpose.is_ca() {
            self.report.find(&rules::NC_END_ENTITY, "this is an end entity");
        }
        if !extension.critical {
            self.report.find(&rules::NC_CRITICAL, "they are not");
        }
        let permitted = constraints.permitted_subtrees.iter().flatten().count();
        let excluded = constraints.excluded_subtrees.iter().flatten();
        if permitted == 0 && excluded.clone().next().is_none() {
            self.report.find(&rules::NC_EMPTY, "they have none");
        }
        if excluded.clone().any(|subtree| matches!(subtree.base, GeneralName::DirectoryName(_))) {
            self.report.find(&rules::NC_DIRECTORY, "one is");
        }
    }

    /// Lints certificatePolicies (RFC 5280 §4.2.1.4): no policy occurs twice.
    fn policies(&mut self, policies: &[PolicyInformation<'_>]) {
        let mut known = BTreeSet::new();
        for policy in policies {
            if !known.insert(policy.policy_id.as_bytes()) {
                self.report.find(&rules::CP_TWICE, format!("`{}` stands twice", policy.policy_id));
            }
        }
    }

    /// Lints cRLDistributionPoints (RFC 5280 §4.2.1.13).
    fn distribution_points(&mut self, points: &CRLDistributionPoints<'_>) {
        for point in points.iter() {
            match &point.distribution_point {
                Some(DistributionPointName::FullName(names)) => {
                    names.iter().for_each(|name| distribution_point(name, self.report));
                }
                _ => self.report.find(&rules::CDP_URI, "it has no fullName"),
            }
        }
    }

    /// Lints authorityInfoAccess (RFC 5280 §4.2.2.1).
    fn information_access(&mut self, access: &AuthorityInfoAccess<'_>) {
        for description in &access.accessdescs {
            if !matches!(description.access_location, GeneralName::URI(uri) if is_absolute(uri)) {
                self.report.find(&rules::AIA_URI, "it is something else");
            }
        }
    }
}

/// Lints the certificate of a delegated OCSP responder, and id-pkix-ocsp-nocheck, which only such a certificate may have (RFC 6960
/// §4.2.2.2).
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

/// Whether there is any extended key usage besides OCSPSigning.
fn is_for_more_than_ocsp(usages: &ExtendedKeyUsage<'_>) -> bool {
    usages.any
        || usages.server_auth
        || usages.client_auth
        || usages.code_signing
        || usages.email_protection
        || usages.time_stamping
        || !usages.other.is_empty()
}

/// Lints one name of a subjectAltName.
fn alt_name(name: &GeneralName<'_>, report: &mut Report) {
    match name {
        GeneralName::DNSName(dns) if dns.starts_with("*.") => {
            report.find(&rules::SAN_WILDCARD, format!("found `{dns}`"))
        }
        GeneralName::DNSName(dns) if format!("fqdn:{dns}").parse::<Identity>().is_err() => {
            report.find(&rules::SAN_DNS, format!("found `{}`", dns.escape_debug()));
        }
        GeneralName::RFC822Name(mailbox)
            if format!("email:{mailbox}").parse::<Identity>().is_err() =>
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

/// Lints one name of a distribution point: an `http:` URL, or an `ldap:` URL that names the attribute.
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

/// Whether the text is an absolute URI: a scheme, a colon, and at least one more character, all in printable ASCII.
fn is_absolute(uri: &str) -> bool {
    uri.split_once(':').is_some_and(|(scheme, rest)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
            && !rest.is_empty()
            && uri.bytes().all(|b| b.is_ascii_graphic())
    })
}
