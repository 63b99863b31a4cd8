//! A gateway's certificate, with the CAs and CRLs that belong to it.

use countersign_ca::Timestamp;
use countersign_ca::x509::to_pem;

use super::error::GatewayError;
use countersign_ca::path::Certificate;
use countersign_ca::path::crl::Crl;

/// A CA's certificate, with a name that can be used as a file name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedCa {
    /// The name of the CA.
    pub name: String,
    /// The certificate in DER.
    pub der: Vec<u8>,
}

impl NamedCa {
    /// The certificate in PEM.
    pub fn pem(&self) -> Result<String, GatewayError> {
        pem("CERTIFICATE", &self.der)
    }
}

/// A CRL, with the name of the CA that signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedCrl {
    /// The name of the CA.
    pub ca: String,
    /// The CRL in DER.
    pub der: Vec<u8>,
}

impl IssuedCrl {
    /// The CRL in PEM.
    pub fn pem(&self) -> Result<String, GatewayError> {
        pem("X509 CRL", &self.der)
    }
}

/// A gateway's certificate, and everything by which it verifies its peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Material {
    /// The gateway's certificate in DER.
    pub certificate: Vec<u8>,
    /// The CAs between the gateway's certificate and a root, the issuer first. Other keys of these CAs, and CAs of the gateway's peers,
    /// follow.
    pub chain: Vec<NamedCa>,
    /// The roots that the gateway trusts.
    pub roots: Vec<NamedCa>,
    /// The CRLs of these CAs, at most one for each. A CA may have none.
    pub crls: Vec<IssuedCrl>,
    /// Whether the CA has revoked the gateway's certificate.
    pub is_revoked: bool,
}

impl Material {
    /// The gateway's certificate in PEM.
    pub fn pem(&self) -> Result<String, GatewayError> {
        pem("CERTIFICATE", &self.certificate)
    }

    /// Every CA of `chain` and `roots`, the issuer first and the roots last.
    pub fn cas(&self) -> impl Iterator<Item = &NamedCa> {
        self.chain.iter().chain(&self.roots)
    }

    /// Adds the intermediate CAs and the CRLs of another gateway. It does not add trust: the roots stay as they are.
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

    /// The CA that issued the certificate, and the CAs in `chain` that were certified by the CA above that issuer: further keys of the
    /// issuer, and the issuers of peers. Empty if the issuer is not in `chain`.
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

    /// The CAs above the gateway's own certificate: its issuer, the issuer's issuer, and so on, up to and with the first that is a root. CAs
    /// that [`Self::add_cas_of`] added for peers are not among them, unless they are above this certificate, too.
    pub fn own_path(&self) -> Vec<&NamedCa> {
        let mut path: Vec<&NamedCa> = Vec::new();
        let mut next = self.issuer();
        while let Some(ca) = next.filter(|ca| !path.contains(ca)) {
            path.push(ca);
            let below = Certificate::from_der(ca.der.clone()).ok();
            next =
                below.filter(|_| !self.roots.contains(ca)).and_then(|below| self.signer_of(&below));
        }
        path
    }

    /// The root among `roots` that is above the gateway's own certificate, if there is one.
    pub fn own_root(&self) -> Option<&NamedCa> {
        self.own_path().into_iter().find(|ca| self.roots.contains(ca))
    }

    /// The certificates that a peer sends of its path: its own and the CAs above it, without a root.
    pub fn sent_path(&self) -> impl Iterator<Item = &Vec<u8>> {
        let above = self.own_path().into_iter().filter(|ca| !self.roots.contains(ca));
        std::iter::once(&self.certificate).chain(above.map(|ca| &ca.der))
    }

    /// The CA that issued the certificate, if it is among `chain` and `roots`.
    pub fn issuer(&self) -> Option<&NamedCa> {
        self.signer_of(&Certificate::from_der(self.certificate.clone()).ok()?)
    }

    fn signer_of(&self, below: &Certificate) -> Option<&NamedCa> {
        self.cas().find(|ca| {
            Certificate::from_der(ca.der.clone()).is_ok_and(|above| below.is_signed_by(&above))
        })
    }
}

/// Names a CRL, which is in DER, after the CA that signed it; `None` if none of these CAs did.
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

/// The nextUpdate of a CRL; `None` if it has none.
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
