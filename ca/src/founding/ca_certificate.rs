//! Makes the certificates of CAs: a root, an issuing CA below it, or a request to a root that is kept elsewhere.
//!
//! rcgen builds them. It supports each attribute type only once in a name, which suffices because this instance chooses
//! the names.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use der::asn1::{Ia5StringRef, PrintableStringRef, Utf8StringRef};
use der::oid::ObjectIdentifier;
use der::{Decode, Encode, Tag, Tagged};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, CrlDistributionPoint, CustomExtension,
    DistinguishedName, DnType, DnValue, GeneralSubtree, IsCa, Issuer, KeyIdMethod, KeyUsagePurpose,
    NameConstraints, PublicKeyData, SerialNumber, SignatureAlgorithm,
};
use x509_cert::ext::pkix::{self, CertificatePolicies};
use x509_cert::name::Name;

use crate::clock::{BACKDATING, Timestamp};
use crate::error::{Denial, Error, Result};
use crate::key::{FileKey, KeyKind, SubjectPublicKey};
use crate::lint::Purpose;
use crate::oid;
use crate::record::Serial;
use crate::signed::{Gate, Object};
use crate::x509::{Facts, Policy, authority_info_access, policy_information, verify_signature};

/// The content of a CA certificate.
#[derive(Debug, Clone)]
pub struct CaOptions {
    /// The subject, with each attribute type at most once.
    pub subject: Name,
    /// How long the certificate is valid. An issuing CA never outlives its root.
    pub validity: Duration,
    /// How many CAs may be below this one in a path; `None` for any number.
    pub path_length: Option<u8>,
    /// The names that the CA may certify. A kind of name without any constraint here is not limited.
    pub permitted: Vec<Constraint>,
    /// The names that the CA may not certify.
    pub excluded: Vec<Constraint>,
    /// The certificate policies.
    pub policies: Vec<Policy>,
    /// The URLs of the issuer's CRL, for the CRL distribution point.
    pub crl_urls: Vec<String>,
    /// The URLs of the issuer's OCSP responders.
    pub ocsp_urls: Vec<String>,
    /// The URLs of the issuer's certificate.
    pub ca_issuers_urls: Vec<String>,
}

/// A name constraint (RFC 5280 §4.2.1.10). There is none for directory names, because strongSwan refuses every chain that
/// excludes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Constraint {
    /// A DNS domain and everything below it.
    Dns(String),
    /// One mailbox (`a@example.net`), the mailboxes of a host (`example.net`), or those of all hosts below a domain (`.example.net`).
    Email(String),
    /// The addresses that begin with the prefix: an address, and the length of the prefix in bits.
    Ip(IpAddr, u8),
}

/// Reads `dns:example.net`, `email:example.net` or `ip:192.0.2.0/24`. Dots before a DNS domain are dropped, because RFC 5280 gives them no
/// meaning.
impl FromStr for Constraint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::malformed(format!(
                "expected a name constraint such as `dns:example.net`, `email:example.net` or `ip:192.0.2.0/24`, found `{}`",
                text.escape_debug()
            ))
        };
        let ascii = |value: &str| {
            !value.is_empty() && value.len() <= 253 && value.bytes().all(|b| b.is_ascii_graphic())
        };
        match text.split_once(':') {
            Some(("dns", domain)) if ascii(domain) && !domain.starts_with('*') => {
                Ok(Self::Dns(domain.trim_start_matches('.').to_ascii_lowercase()))
            }
            Some(("email", mailbox)) if ascii(mailbox) => Ok(Self::Email(mailbox.to_owned())),
            Some(("ip", subnet)) => {
                let (address, prefix) = subnet.split_once('/').ok_or_else(wrong)?;
                let address: IpAddr = address.parse().map_err(|_| wrong())?;
                let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
                let longest = if address.is_ipv4() { 32 } else { 128 };
                if prefix > longest { Err(wrong()) } else { Ok(Self::Ip(address, prefix)) }
            }
            _ => Err(wrong()),
        }
    }
}

/// Makes a self-signed root certificate, DER, valid from a minute before `now`.
///
/// # Errors
/// `Denied` with [`Denial::Template`] that names the lint rule which the options break; [`Error::Malformed`] if rcgen cannot encode the
/// subject.
pub fn root(options: &CaOptions, key: &FileKey, serial: Serial, now: Timestamp) -> Result<Vec<u8>> {
    let mut params = params(options, key.public().key_identifier().to_vec(), serial)?;
    set_validity(&mut params, now.minus(BACKDATING), now.plus(options.validity))?;
    let gate = Gate::new(key, Object::Certificate(Purpose::Root));
    let certificate = params.self_signed(&gate).map_err(|e| gate.explain(&e))?;
    Ok(certificate.der().to_vec())
}

/// Makes the certificate of an issuing CA for this public key, DER. `issuer` is the certificate of the CA above it, DER, and
/// `issuer_key` the key that signs. The certificate does not outlive the issuer's.
///
/// # Errors
/// `Denied` with [`Denial::Template`] that names the lint rule which the options break, or says that the issuer has
/// expired; [`Error::Malformed`] if rcgen cannot encode the subject.
pub fn issuing(
    options: &CaOptions,
    key: &SubjectPublicKey,
    issuer: &[u8],
    issuer_key: &FileKey,
    serial: Serial,
    now: Timestamp,
) -> Result<Vec<u8>> {
    let above = Facts::of(issuer)?;
    if above.not_after <= now {
        return Err(Error::denied(
            Denial::Template,
            format!("the issuer expired on {}", above.not_after),
        ));
    }
    let mut params = params(options, key.key_identifier().to_vec(), serial)?;
    let not_before = now.minus(BACKDATING).max(above.not_before);
    set_validity(&mut params, not_before, now.plus(options.validity).min(above.not_after))?;
    params.use_authority_key_identifier_extension = true;
    let mut issuer_params = CertificateParams::default();
    issuer_params.distinguished_name = distinguished_name(&above.subject)?;
    issuer_params.key_identifier_method = KeyIdMethod::PreSpecified(above.key_identifier);
    let gate = Gate::new(issuer_key, Object::Certificate(Purpose::IssuingCa));
    let key = CertifiedKey::new(key)?;
    let certificate =
        params.signed_by(&key, &Issuer::new(issuer_params, &gate)).map_err(|e| gate.explain(&e))?;
    Ok(certificate.der().to_vec())
}

/// Makes a PKCS #10 request to a root that is kept elsewhere, DER. It contains the subject, the path length and the usages of a CA; the
/// root decides the rest.
///
/// # Errors
/// [`Error::Malformed`] if a request cannot contain the options.
pub fn request(options: &CaOptions, key: &FileKey) -> Result<Vec<u8>> {
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished_name(&options.subject)?;
    params.is_ca = IsCa::Ca(basic_constraints(options));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.key_identifier_method =
        KeyIdMethod::PreSpecified(key.public().key_identifier().to_vec());
    let request = params
        .serialize_request(key)
        .map_err(|e| Error::malformed(format!("the request cannot be made: {e}")))?;
    Ok(request.der().to_vec())
}

/// Checks the certificates (DER, root last) that a root kept elsewhere issued: the first one is for `key`, each is signed by the next one,
/// each is a CA's and valid at `now`, and the last one is self-signed.
///
/// # Errors
/// [`Error::Malformed`] or `Denied` that says which certificate fails, and how.
pub fn check_chain(chain: &[Vec<u8>], key: &FileKey, now: Timestamp) -> Result<()> {
    check_links(chain, key, now, &verify_signature)
}

/// Like [`check_chain`], with another verification of a certificate (DER) by its issuer's key.
pub(super) fn check_links(
    chain: &[Vec<u8>],
    key: &FileKey,
    now: Timestamp,
    verify: &dyn Fn(&[u8], &SubjectPublicKey) -> Result<()>,
) -> Result<()> {
    let facts = chain.iter().map(|der| Facts::of(der)).collect::<Result<Vec<_>>>()?;
    let refused = |why: String| Err(Error::denied(Denial::SignerNotTrusted, why));
    let Some(first) = facts.first() else {
        return Err(Error::malformed(
            "expected the issuing CA's certificate and its root's, found none",
        ));
    };
    if first.key != *key.public() {
        return refused(format!(
            "the certificate of `{}` is for another key than this CA's",
            first.subject
        ));
    }
    for (at, certificate) in facts.iter().enumerate() {
        let issuer = facts.get(at.saturating_add(1)).unwrap_or(certificate);
        if !certificate.is_ca {
            return refused(format!(
                "`{}` is not a CA: its basicConstraints do not say so",
                certificate.subject
            ));
        }
        if now < certificate.not_before || now > certificate.not_after {
            return refused(format!(
                "`{}` is valid from {} to {}, and it is {now}",
                certificate.subject, certificate.not_before, certificate.not_after
            ));
        }
        if certificate.issuer != issuer.subject {
            return refused(format!(
                "expected the certificate of `{}` next in the file, found the one of `{}`; put the chain in order, root last",
                certificate.issuer, issuer.subject
            ));
        }
        let der = chain.get(at).map_or(&[][..], Vec::as_slice);
        verify(der, &issuer.key).map_err(|e| {
            Error::denied(
                Denial::SignerNotTrusted,
                format!("the certificate of `{}`: {e}", certificate.subject),
            )
        })?;
    }
    Ok(())
}

/// A public key, as rcgen writes it into a certificate.
struct CertifiedKey<'a> {
    key: &'a SubjectPublicKey,
    algorithm: &'static SignatureAlgorithm,
}

impl<'a> CertifiedKey<'a> {
    /// `Denied` with [`Denial::Algorithm`] for P-521, which rcgen does not write without another library of cryptography.
    fn new(key: &'a SubjectPublicKey) -> Result<Self> {
        let algorithm = match key.kind() {
            KeyKind::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            KeyKind::P384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            KeyKind::Ed25519 => &rcgen::PKCS_ED25519,
            KeyKind::Rsa(_) => &rcgen::PKCS_RSA_SHA256,
            KeyKind::P521 => {
                return Err(Error::denied(
                    Denial::Algorithm,
                    "expected the key of a CA to be P-256, P-384, Ed25519 or RSA, found P-521",
                ));
            }
        };
        Ok(Self { key, algorithm })
    }
}

impl PublicKeyData for CertifiedKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.key.bits()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

/// The parts of a CA certificate that do not depend on its issuer.
fn params(
    options: &CaOptions,
    key_identifier: Vec<u8>,
    serial: Serial,
) -> Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(serial.octets()));
    params.distinguished_name = distinguished_name(&options.subject)?;
    params.is_ca = IsCa::Ca(basic_constraints(options));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.key_identifier_method = KeyIdMethod::PreSpecified(key_identifier);
    if !options.permitted.is_empty() || !options.excluded.is_empty() {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: options.permitted.iter().map(subtree).collect(),
            excluded_subtrees: options.excluded.iter().map(subtree).collect(),
        });
    }
    if !options.crl_urls.is_empty() {
        params.crl_distribution_points =
            vec![CrlDistributionPoint { uris: options.crl_urls.clone() }];
    }
    if !options.ocsp_urls.is_empty() || !options.ca_issuers_urls.is_empty() {
        let access = authority_info_access(&options.ocsp_urls, &options.ca_issuers_urls)?;
        let content = access.to_der().map_err(Error::internal)?;
        params.custom_extensions.push(custom(oid::AUTHORITY_INFO_ACCESS, content));
    }
    if !options.policies.is_empty() {
        let policies =
            options.policies.iter().map(policy_information).collect::<Result<Vec<_>>>()?;
        let content = CertificatePolicies(policies).to_der().map_err(Error::internal)?;
        params.custom_extensions.push(custom(oid::CERTIFICATE_POLICIES, content));
    }
    Ok(params)
}

/// An extension that rcgen does not support.
fn custom(oid: ObjectIdentifier, content: Vec<u8>) -> CustomExtension {
    let arcs: Vec<u64> = oid.arcs().map(u64::from).collect();
    CustomExtension::from_oid_content(&arcs, content)
}

fn basic_constraints(options: &CaOptions) -> BasicConstraints {
    options.path_length.map_or(BasicConstraints::Unconstrained, BasicConstraints::Constrained)
}

fn subtree(constraint: &Constraint) -> GeneralSubtree {
    match constraint {
        Constraint::Dns(domain) => GeneralSubtree::DnsName(domain.clone()),
        Constraint::Email(mailbox) => GeneralSubtree::Rfc822Name(mailbox.clone()),
        Constraint::Ip(address, prefix) => {
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(*address, *prefix))
        }
    }
}

/// The pathLenConstraint of a CA's certificate (DER); `None` if any number of CAs may be below it.
pub(super) fn path_length(certificate: &[u8]) -> Result<Option<u8>> {
    let read = x509_cert::Certificate::from_der(certificate).map_err(Error::internal)?;
    let basic = read.tbs_certificate.get::<pkix::BasicConstraints>().map_err(Error::internal)?;
    Ok(basic.and_then(|(_, basic)| basic.path_len_constraint))
}

fn set_validity(params: &mut CertificateParams, from: Timestamp, until: Timestamp) -> Result<()> {
    let date = |at: Timestamp| {
        at.whole_seconds().date_time().ok_or_else(|| Error::internal("a date out of range"))
    };
    params.not_before = date(from)?;
    params.not_after = date(until)?;
    Ok(())
}

/// Converts an X.501 name to rcgen's type.
fn distinguished_name(name: &Name) -> Result<DistinguishedName> {
    let mut result = DistinguishedName::new();
    for rdn in &name.0 {
        let [attribute] = rdn.0.as_slice() else {
            return Err(Error::malformed(format!(
                "a CA's subject has one attribute in each RDN, found `{rdn}`"
            )));
        };
        let arcs: Vec<u64> = attribute.oid.arcs().map(u64::from).collect();
        let kind = DnType::from_oid(&arcs);
        if result.get(&kind).is_some() {
            return Err(Error::malformed(format!(
                "a CA's subject has each attribute type once, found two in `{name}`"
            )));
        }
        result.push(kind, dn_value(&attribute.value)?);
    }
    Ok(result)
}

/// The value of an attribute, in its own string type.
fn dn_value(value: &der::Any) -> Result<DnValue> {
    let wrong = |_| Error::malformed("a CA's subject holds a string that is not of its type");
    let printable = |text: &str| {
        rcgen::string::PrintableString::try_from(text)
            .map(DnValue::PrintableString)
            .map_err(|_| Error::malformed(format!("`{text}` is no PrintableString")))
    };
    match value.tag() {
        Tag::PrintableString => {
            printable(PrintableStringRef::try_from(value).map_err(wrong)?.as_str())
        }
        Tag::Ia5String => {
            let text = Ia5StringRef::try_from(value).map_err(wrong)?;
            rcgen::string::Ia5String::try_from(text.as_str())
                .map(DnValue::Ia5String)
                .map_err(|_| Error::malformed("a CA's subject holds a string that is not ASCII"))
        }
        Tag::Utf8String => Ok(DnValue::Utf8String(
            Utf8StringRef::try_from(value).map_err(wrong)?.as_str().to_owned(),
        )),
        other => Err(Error::malformed(format!(
            "a CA's subject is made of UTF8String, PrintableString and IA5String, found {other}"
        ))),
    }
}
