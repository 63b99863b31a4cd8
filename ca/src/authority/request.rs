//! What reaches the authority: who asks, proven, and what for, as a proposal.

use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use crate::clock::Timestamp;
use crate::key::public::ProvenKey;
use crate::record::{Account, CertificateRecord, Label, Serial};

/// How a requester proved who it is.
#[derive(Debug, Clone)]
pub enum Credential {
    /// By the account's shared secret.
    Secret,
    /// By the private key of a certificate that this authority issued.
    Certificate(Box<CertificateRecord>),
    /// By the word of a registration authority, which proved itself by this certificate.
    Registrar(Box<CertificateRecord>),
    /// By the private key of a certificate of a trusted vendor: for a first enrolment only.
    Vendor(Box<VendorSigned>),
}

/// A vendor's certificate that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VendorSigned {
    /// The vendor.
    pub vendor: Label,
    /// What names the equipment in it.
    pub value: String,
    /// SHA-256 over it.
    pub certificate: [u8; 32],
    /// Its issuer.
    pub issuer: Name,
    /// Its subject.
    pub subject: Name,
    /// Its alternative names.
    pub alt_names: Vec<GeneralName>,
}

/// A registration authority of this instance, which proved itself by its certificate. Only
/// [`crate::Authority::registrar`] makes one.
#[derive(Debug, Clone)]
pub struct Registrar {
    account: Account,
    certificate: Box<CertificateRecord>,
}

impl Registrar {
    pub(crate) const fn new(account: Account, certificate: Box<CertificateRecord>) -> Self {
        Self { account, certificate }
    }

    /// The name of its account.
    pub const fn account(&self) -> &Label {
        &self.account.name
    }

    /// Its account.
    pub(crate) const fn holder(&self) -> &Account {
        &self.account
    }

    /// The certificate that it signed with.
    pub(crate) const fn certificate(&self) -> &CertificateRecord {
        &self.certificate
    }
}

/// Somebody who proved who it is. Only [`crate::Authority`] makes one.
#[derive(Debug, Clone)]
pub struct Requester {
    account: Account,
    credential: Credential,
}

impl Requester {
    pub(crate) const fn new(account: Account, credential: Credential) -> Self {
        Self { account, credential }
    }

    /// The account.
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// How it was proven.
    pub const fn credential(&self) -> &Credential {
        &self.credential
    }
}

/// A request for a certificate. It proposes; the account and the profile decide. Without a key (`()`) it is one whose key has
/// still to be made.
#[derive(Debug, Clone)]
pub struct CertificateRequest<K = ProvenKey> {
    /// The key to certify.
    pub key: K,
    /// The subject asked for; `None` when absent or empty.
    pub subject: Option<Name>,
    /// The subjectAltName asked for; empty means every identity of the account that the profile takes.
    pub alt_names: Vec<GeneralName>,
    /// The notBefore asked for.
    pub not_before: Option<Timestamp>,
    /// The notAfter asked for.
    pub not_after: Option<Timestamp>,
    /// Every other extension asked for, as sent.
    pub extensions: Vec<Extension>,
    /// The profile asked for; `None` means the account's.
    pub profile: Option<Label>,
    /// The issuing CA asked for; `None` means the account's, or else the default.
    pub ca: Option<Label>,
    /// The certificate that this one replaces: a key update.
    pub updates: Option<Serial>,
    /// Whether it is to be found in directories (RFC 4211 §6.3); `None` means as the one that it replaces is, and else yes.
    pub published: Option<bool>,
}
