//! What reaches the authority: who asks, proven, and what for, as a proposal.

use der::{Decode, Encode};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::key::{Proof, ProvenKey, SubjectPublicKey};
use crate::record::approval::RecordedRequest;
use crate::record::{Account, CertificateRecord, Equipment, Label, Serial};

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

impl VendorSigned {
    /// Whether the vendor's certificate is that of this equipment.
    pub fn is_of(&self, equipment: &Equipment) -> bool {
        equipment.vendor == self.vendor && equipment.value == self.value
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

impl CertificateRequest {
    /// The request as it is recorded, with the profile and the CA that were decided for it.
    ///
    /// # Errors
    /// [`Error::Internal`] when it cannot be encoded.
    pub fn recorded(&self, profile: &Label, ca: &Label) -> Result<RecordedRequest> {
        fn all(values: &[impl Encode]) -> Result<Vec<Vec<u8>>> {
            values.iter().map(|value| value.to_der().map_err(Error::internal)).collect()
        }
        Ok(RecordedRequest {
            key: self.key.key().der().to_vec(),
            subject: self
                .subject
                .as_ref()
                .map(Name::to_der)
                .transpose()
                .map_err(Error::internal)?,
            alt_names: all(&self.alt_names)?,
            extensions: all(&self.extensions)?,
            not_before: self.not_before,
            not_after: self.not_after,
            profile: profile.clone(),
            ca: ca.clone(),
            updates: self.updates,
            published: self.published,
        })
    }

    /// The request again. The proof of possession was verified before it was recorded.
    pub(super) fn from_recorded(request: &RecordedRequest) -> Result<Self> {
        fn all<T: for<'a> Decode<'a>>(values: &[Vec<u8>]) -> Result<Vec<T>> {
            values.iter().map(|der| T::from_der(der).map_err(Error::internal)).collect()
        }
        Ok(Self {
            key: ProvenKey::with_proof(SubjectPublicKey::from_der(&request.key)?, Proof::Signature),
            subject: request.subject(),
            alt_names: all(&request.alt_names)?,
            not_before: request.not_before,
            not_after: request.not_after,
            extensions: all::<Extension>(&request.extensions)?,
            profile: Some(request.profile.clone()),
            ca: Some(request.ca.clone()),
            updates: request.updates,
            published: request.published,
        })
    }
}
