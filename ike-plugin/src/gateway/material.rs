//! The certificate of a gateway with what belongs to it, and what of it decides whether a daemon can use it.

use countersign_ca::certificate::to_pem;
use countersign_ca::public_key::KeyKind;
use countersign_ca::{Identity, Timestamp};
use der::asn1::ObjectIdentifier;
use der::{Decode, Encode};
use x509_cert::Certificate as X509;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName};
use x509_cert::name::Name;

use super::GatewayError;
use crate::identity::Names;
use crate::path::Certificate;
use crate::status::crl::Crl;

/// commonName (X.520)
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// A CA's certificate under a name that is good for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedCa {
    /// Its name.
    pub name: String,
    /// DER.
    pub der: Vec<u8>,
}

impl NamedCa {
    /// PEM.
    pub fn pem(&self) -> Result<String, GatewayError> {
        pem("CERTIFICATE", &self.der)
    }
}

/// A CRL of the CA of this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedCrl {
    /// The name of the CA.
    pub ca: String,
    /// DER.
    pub der: Vec<u8>,
}

impl IssuedCrl {
    /// PEM.
    pub fn pem(&self) -> Result<String, GatewayError> {
        pem("X509 CRL", &self.der)
    }
}

/// What a gateway has to show, and whom it trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Material {
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// The CAs between its certificate and a root, the issuer first.
    pub chain: Vec<NamedCa>,
    /// The roots that it trusts.
    pub roots: Vec<NamedCa>,
    /// The CRLs of these CAs, as far as there are any.
    pub crls: Vec<IssuedCrl>,
    /// Whether the CA has revoked it.
    pub is_revoked: bool,
}

impl Material {
    /// The certificate, PEM.
    pub fn pem(&self) -> Result<String, GatewayError> {
        pem("CERTIFICATE", &self.certificate)
    }

    /// Every CA, the issuer first and the roots last.
    pub fn cas(&self) -> impl Iterator<Item = &NamedCa> {
        self.chain.iter().chain(&self.roots)
    }

    /// Adds the CAs between another certificate and its root, and their CRLs; no root is trusted for it.
    pub fn add_cas_of(&mut self, other: &Self) {
        for ca in &other.chain {
            if self.cas().all(|known| known.der != ca.der) {
                self.chain.push(ca.clone());
            }
        }
        for crl in &other.crls {
            if self.cas().any(|ca| ca.name == crl.ca)
                && self.crls.iter().all(|known| known.ca != crl.ca)
            {
                self.crls.push(crl.clone());
            }
        }
    }

    /// The CA that issued the certificate, and those beside it that the same one certified: other keys of it, and other CAs whose
    /// peers it was written for.
    pub fn issuers(&self) -> Vec<&NamedCa> {
        let read = |ca: &NamedCa| Certificate::from_der(ca.der.clone()).ok();
        let Some(own) = self.issuer() else { return Vec::new() };
        let above = read(own).and_then(|own| {
            self.cas().filter_map(read).find(|ca| own.is_signed_by(ca) && !own.is_self_issued())
        });
        let is_beside = |ca: &&NamedCa| {
            let parsed = read(ca);
            ca.der != own.der
                && above.as_ref().zip(parsed).is_some_and(|(above, ca)| ca.is_signed_by(above))
        };
        std::iter::once(own).chain(self.chain.iter().filter(is_beside)).collect()
    }

    /// The root above the certificate, if it is trusted.
    pub fn own_root(&self) -> Option<&NamedCa> {
        let mut at = self.issuer()?;
        for _ in self.cas() {
            if self.roots.contains(at) {
                return Some(at);
            }
            let below = Certificate::from_der(at.der.clone()).ok()?;
            at = self.signer_of(&below)?;
        }
        None
    }

    /// The CA that issued the certificate, if it is among those here.
    pub fn issuer(&self) -> Option<&NamedCa> {
        self.signer_of(&Certificate::from_der(self.certificate.clone()).ok()?)
    }

    fn signer_of(&self, below: &Certificate) -> Option<&NamedCa> {
        self.cas().find(|ca| {
            Certificate::from_der(ca.der.clone()).is_ok_and(|above| below.is_signed_by(&above))
        })
    }
}

/// What the certificate says.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The subject, RFC 4514.
    pub subject: String,
    /// The subject, DER.
    pub subject_der: Vec<u8>,
    /// The key.
    pub key: KeyKind,
    /// The key, SubjectPublicKeyInfo, DER.
    pub spki: Vec<u8>,
    /// notBefore.
    pub not_before: Timestamp,
    /// notAfter.
    pub not_after: Timestamp,
    /// The key usage, if it is there.
    pub key_usage: Option<KeyUsage>,
    /// The extended key usages, dotted; empty for none.
    pub key_purposes: Vec<String>,
    /// Where its CRL is.
    pub crl_urls: Vec<String>,
    /// Where its OCSP responders are.
    pub ocsp_urls: Vec<String>,
    has_dns_name: bool,
    names: Names,
}

impl Facts {
    /// Reads a certificate.
    ///
    /// # Errors
    /// It is none.
    pub fn of(der: &[u8]) -> Result<Self, GatewayError> {
        let unreadable = |e: &dyn std::fmt::Display| {
            GatewayError::new(format!("the certificate cannot be read: {e}"))
        };
        let own = countersign_ca::certificate::Facts::of(der).map_err(|e| unreadable(&e))?;
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

    /// Whether the certificate holds an identity, as an IKE daemon looks for it: never the CN.
    pub fn holds(&self, id: &Identity) -> bool {
        self.names.hold(id)
    }

    /// The common names of a certificate that has no dNSName; none if it has one.
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

    /// Its names, in words.
    pub fn names(&self) -> String {
        self.names.shown()
    }

    /// Whether it may sign IKE's messages (RFC 4945 §5.1.3.2): no key usage, digitalSignature or nonRepudiation.
    pub fn may_sign(&self) -> bool {
        self.key_usage.as_ref().is_none_or(|usage| {
            usage.0.contains(KeyUsages::DigitalSignature)
                || usage.0.contains(KeyUsages::NonRepudiation)
        })
    }
}

/// A CRL by the CA that signed it, if it is one of these.
///
/// # Errors
/// It cannot be read.
pub fn issued_crl(der: Vec<u8>, cas: &[&NamedCa]) -> Result<Option<IssuedCrl>, GatewayError> {
    let crl = Crl::from_der(&der)
        .map_err(|e| GatewayError::new(format!("the CRL cannot be read: {e}")))?;
    let signer = cas.iter().find(|ca| {
        Certificate::from_der(ca.der.clone()).is_ok_and(|signer| crl.is_signed_by(&signer))
    });
    Ok(signer.map(|ca| IssuedCrl { ca: ca.name.clone(), der }))
}

/// The subjectAltName of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AltNames {
    /// The first name, if it is an identity.
    pub first: Option<Identity>,
    /// How many octets all of them have.
    pub octets: usize,
}

impl AltNames {
    /// Those of a certificate.
    ///
    /// # Errors
    /// It is none.
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

/// Until when a CRL is good.
///
/// # Errors
/// It cannot be read.
pub fn next_update(crl: &IssuedCrl) -> Result<Option<Timestamp>, GatewayError> {
    Crl::from_der(&crl.der)
        .map(|read| read.next_update)
        .map_err(|e| GatewayError::new(format!("the CRL of `{}` cannot be read: {e}", crl.ca)))
}

fn pem(label: &'static str, der: &[u8]) -> Result<String, GatewayError> {
    to_pem(label, der).map_err(|e| GatewayError::new(e.to_string()))
}
