//! The certificate of a gateway, with the CAs and CRLs that belong to it.

use countersign_ca::Timestamp;
use countersign_ca::certificate::to_pem;

use super::error::GatewayError;
use crate::path::Certificate;
use crate::path::crl::Crl;

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
