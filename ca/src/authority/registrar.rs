//! Registration authorities, and the proof of possession for which they vouch.

use crate::key::{Proof, ProvenKey, SubjectPublicKey};
use crate::record::{Account, CertificateRecord, Label};

/// An account of this instance that is a registration authority, and that proved its identity with its certificate. Only
/// [`crate::Authority::registrar`] makes such a value.
#[derive(Debug, Clone)]
pub struct Registrar {
    account: Account,
    certificate: Box<CertificateRecord>,
}

impl Registrar {
    pub(crate) const fn new(account: Account, certificate: Box<CertificateRecord>) -> Self {
        Self { account, certificate }
    }

    /// The name of the registration authority's account.
    pub const fn account(&self) -> &Label {
        &self.account.name
    }

    /// The registration authority's account.
    pub(crate) const fn holder(&self) -> &Account {
        &self.account
    }

    /// The certificate with which the registration authority signed.
    pub(crate) const fn certificate(&self) -> &CertificateRecord {
        &self.certificate
    }
}

impl ProvenKey {
    /// A key for which a registration authority vouches, because it verified the proof of possession (raVerified, RFC
    /// 4211 §4).
    pub fn vouched(key: SubjectPublicKey, registrar: &Registrar) -> Self {
        tracing::info!(registrar = %registrar.account(), "possession of the key is vouched for");
        Self::with_proof(key, Proof::Vouched)
    }
}
