//! The facts of a certificate that decide whether a daemon can use it.

use countersign_ca::key::KeyKind;
use countersign_ca::{Identity, Timestamp};
use der::asn1::ObjectIdentifier;
use der::{Decode, Encode};
use x509_cert::Certificate as X509;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName};
use x509_cert::name::Name;

use super::error::GatewayError;
use crate::identity::Names;
use countersign_ca::path::Certificate;

/// commonName (X.520)
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// The facts of a certificate.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The subject, RFC 4514.
    pub subject: String,
    /// The subject in DER.
    pub subject_der: Vec<u8>,
    /// The kind of the certificate's key.
    pub key: KeyKind,
    /// The public key as a SubjectPublicKeyInfo in DER.
    pub spki: Vec<u8>,
    /// notBefore.
    pub not_before: Timestamp,
    /// notAfter.
    pub not_after: Timestamp,
    /// The key usage; `None` if the extension is missing.
    pub key_usage: Option<KeyUsage>,
    /// The extended key usages as dotted object identifiers; empty if the extension is missing.
    pub key_purposes: Vec<String>,
    /// The URLs of the certificate's CRL distribution points.
    pub crl_urls: Vec<String>,
    /// The URLs of the certificate's OCSP responders.
    pub ocsp_urls: Vec<String>,
    has_dns_name: bool,
    names: Names,
}

impl Facts {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of(der: &[u8]) -> Result<Self, GatewayError> {
        let unreadable = |e: &dyn std::fmt::Display| {
            GatewayError::new(format!("the certificate cannot be read: {e}"))
        };
        let own = countersign_ca::x509::Facts::of(der).map_err(|e| unreadable(&e))?;
        let certificate = Certificate::from_der(der.to_vec()).map_err(|e| unreadable(&e))?;
        let parsed = X509::from_der(der).map_err(|e| unreadable(&e))?;
        let usage = parsed.tbs_certificate.get::<KeyUsage>().map_err(|e| unreadable(&e))?;
        let purposes =
            parsed.tbs_certificate.get::<ExtendedKeyUsage>().map_err(|e| unreadable(&e))?;
        Ok(Self {
            subject: own.subject.to_string(),
            subject_der: own.subject.to_der().map_err(|e| unreadable(&e))?,
            key: own.key.kind(),
            spki: certificate.spki().to_vec(),
            not_before: own.not_before,
            not_after: own.not_after,
            key_usage: usage.map(|(_, usage)| usage),
            key_purposes: purposes
                .map(|(_, ExtendedKeyUsage(list))| list.iter().map(ToString::to_string).collect())
                .unwrap_or_default(),
            crl_urls: certificate.crl_urls(),
            ocsp_urls: certificate.ocsp_urls().to_vec(),
            has_dns_name: own.alt_names.iter().any(|name| matches!(name, GeneralName::DnsName(_))),
            names: Names::of(der).map_err(|e| unreadable(&e))?,
        })
    }

    /// Whether the certificate contains an identity. As in an IKE daemon, the common name does not count as a DNS name.
    pub fn holds(&self, id: &Identity) -> bool {
        self.names.hold(id)
    }

    /// The common names, if the certificate has no dNSName; otherwise none.
    ///
    /// # Errors
    /// The subject cannot be read.
    pub fn common_names_without_dns(&self) -> Result<Vec<String>, GatewayError> {
        if self.has_dns_name {
            return Ok(Vec::new());
        }
        let unreadable =
            |e: der::Error| GatewayError::new(format!("the subject cannot be read: {e}"));
        let subject = Name::from_der(&self.subject_der).map_err(unreadable)?;
        let each = subject.0.iter().flat_map(|relative| relative.0.iter());
        let common = each.filter(|part| part.oid == COMMON_NAME);
        Ok(common.map(|part| String::from_utf8_lossy(part.value.value()).into_owned()).collect())
    }

    /// The names of the certificate in words, for messages.
    pub fn names(&self) -> String {
        self.names.shown()
    }

    /// Whether the certificate's key may sign messages of IKE (RFC 4945 §5.1.3.2): the key usage is missing, or has digitalSignature or
    /// nonRepudiation.
    pub fn may_sign(&self) -> bool {
        self.key_usage.as_ref().is_none_or(|usage| {
            usage.0.contains(KeyUsages::DigitalSignature)
                || usage.0.contains(KeyUsages::NonRepudiation)
        })
    }
}

/// The subjectAltName of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AltNames {
    /// The first name, if it is of a kind that can be an identity.
    pub first: Option<Identity>,
    /// The length of all names together, in octets of DER, without the header of the list.
    pub octets: usize,
}

impl AltNames {
    /// Reads the alternative names from a certificate in DER.
    ///
    /// # Errors
    /// The certificate cannot be read.
    pub fn of(der: &[u8]) -> Result<Self, GatewayError> {
        let unreadable =
            |e: der::Error| GatewayError::new(format!("the certificate cannot be read: {e}"));
        let parsed = X509::from_der(der).map_err(unreadable)?;
        let names = parsed.tbs_certificate.get::<SubjectAltName>().map_err(unreadable)?;
        let Some((_, SubjectAltName(list))) = names else {
            return Ok(Self { first: None, octets: 0 });
        };
        let mut octets = 0_usize;
        for name in &list {
            octets = octets.saturating_add(name.to_der().map_err(unreadable)?.len());
        }
        Ok(Self {
            first: list.first().and_then(|name| Identity::from_general_name(name).ok()),
            octets,
        })
    }
}
