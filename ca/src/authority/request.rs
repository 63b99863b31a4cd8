//! Requests as they reach the authority: an authenticated requester, and its proposal for a certificate.

use der::asn1::BitString;
use der::{Decode, Encode};
use spki::SubjectPublicKeyInfoOwned;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::key::{KeyKind, Proof, ProvenKey, SubjectPublicKey, algorithm_identifier};
use crate::record::approval::RecordedRequest;
use crate::record::{Account, CertificateRecord, Device, Label, ProvenBy, Serial};

/// How a requester proved its identity.
#[derive(Debug, Clone)]
pub enum Credential {
    /// The requester knows the account's shared secret.
    Secret,
    /// The requester has the private key of this certificate, which this authority issued.
    Certificate(Box<CertificateRecord>),
    /// A registration authority that proved itself with this certificate vouches for the requester.
    Registrar(Box<CertificateRecord>),
    /// The requester has the private key of a certificate that a trusted vendor issued to the device. This is for the first enrolment
    /// only.
    Vendor(Box<VendorSigned>),
}

impl Credential {
    /// How a message with this credential is proven, for the record.
    pub const fn proof(&self) -> ProvenBy {
        match self {
            Self::Secret => ProvenBy::Secret,
            Self::Certificate(_) => ProvenBy::Certificate,
            Self::Registrar(_) => ProvenBy::Registrar,
            Self::Vendor(_) => ProvenBy::Vendor,
        }
    }
}

/// A verified certificate that a trusted vendor issued to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VendorSigned {
    /// The vendor's name in this instance.
    pub vendor: Label,
    /// The device's name, from the field of the certificate that the vendor's mapping selects.
    pub value: String,
    /// SHA-256 over the certificate's DER.
    pub certificate: [u8; 32],
    /// The certificate's issuer.
    pub issuer: Name,
    /// The certificate's subject.
    pub subject: Name,
    /// The certificate's alternative names.
    pub alt_names: Vec<GeneralName>,
}

impl VendorSigned {
    /// Whether the certificate belongs to this device.
    pub fn is_of(&self, equipment: &Device) -> bool {
        equipment.vendor == self.vendor && equipment.value == self.value
    }
}

/// An authenticated requester. Only [`crate::Authority`] makes such a value.
#[derive(Debug, Clone)]
pub struct Requester {
    account: Account,
    credential: Credential,
}

impl Requester {
    pub(crate) const fn new(account: Account, credential: Credential) -> Self {
        Self { account, credential }
    }

    /// The requester's account.
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// How the requester proved its identity.
    pub const fn credential(&self) -> &Credential {
        &self.credential
    }
}

/// A request for a certificate. It only proposes; the account and the profile decide. `CertificateRequest<()>` is a
/// request whose key is yet to be generated.
#[derive(Debug, Clone)]
pub struct CertificateRequest<K = ProvenKey> {
    /// The key to certify.
    pub key: K,
    /// The requested subject; `None` if absent or empty.
    pub subject: Option<Name>,
    /// The requested subjectAltName. If empty, the certificate gets every identity of the account that the profile
    /// permits.
    pub alt_names: Vec<GeneralName>,
    /// The requested notBefore.
    pub not_before: Option<Timestamp>,
    /// The requested notAfter.
    pub not_after: Option<Timestamp>,
    /// The requested extensions other than subjectAltName, as sent.
    pub extensions: Vec<Extension>,
    /// The requested profile; `None` means the account's.
    pub profile: Option<Label>,
    /// The requested CA; `None` means the account's, or else the default CA.
    pub ca: Option<Label>,
    /// The serial number of the certificate that the new one replaces; `None` if this is not a key update.
    pub updates: Option<Serial>,
    /// Whether directories may contain the certificate (RFC 4211 §6.3). `None` means yes; in a key update, it means the same as for the
    /// old certificate.
    pub published: Option<bool>,
}

impl<K> CertificateRequest<K> {
    /// The form of the request in the store, with this SubjectPublicKeyInfo.
    fn recorded_with(&self, key: Vec<u8>, profile: &Label, ca: &Label) -> Result<RecordedRequest> {
        fn all(values: &[impl Encode]) -> Result<Vec<Vec<u8>>> {
            values.iter().map(|value| value.to_der().map_err(Error::internal)).collect()
        }
        let subject = self.subject.as_ref().map(Name::to_der).transpose();
        Ok(RecordedRequest {
            key,
            subject: subject.map_err(Error::internal)?,
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
}

impl CertificateRequest<()> {
    /// The record of a request whose key will be generated when it is approved, with the profile and the CA that the authority decided.
    /// Its SubjectPublicKeyInfo has an algorithm and no key, as in RFC 9483 §4.1.6.
    ///
    /// # Errors
    /// [`Error::Internal`] if it cannot be encoded.
    pub(super) fn recorded_for_key(
        &self,
        kind: KeyKind,
        profile: &Label,
        ca: &Label,
    ) -> Result<RecordedRequest> {
        let none = SubjectPublicKeyInfoOwned {
            algorithm: algorithm_identifier(kind),
            subject_public_key: BitString::from_bytes(&[]).map_err(Error::internal)?,
        };
        self.recorded_with(none.to_der().map_err(Error::internal)?, profile, ca)
    }
}

impl CertificateRequest {
    /// The form of the request in the store, with the profile and the CA that the authority decided.
    ///
    /// # Errors
    /// [`Error::Internal`] if it cannot be encoded.
    pub fn recorded(&self, profile: &Label, ca: &Label) -> Result<RecordedRequest> {
        self.recorded_with(self.key.key().der().to_vec(), profile, ca)
    }

    /// The request from its form in the store. Its proof of possession was verified before it was recorded.
    ///
    /// # Errors
    /// Those of [`SubjectPublicKey::from_der`], also for a request whose key is to be generated.
    pub(super) fn from_recorded(request: &RecordedRequest) -> Result<Self> {
        let key = SubjectPublicKey::from_der(&request.key)?;
        Self::from_recorded_with(request, ProvenKey::with_proof(key, Proof::Signature))
    }

    /// The request from its form in the store, with this key.
    pub(super) fn from_recorded_with(request: &RecordedRequest, key: ProvenKey) -> Result<Self> {
        fn all<T: for<'a> Decode<'a>>(values: &[Vec<u8>]) -> Result<Vec<T>> {
            values.iter().map(|der| T::from_der(der).map_err(Error::internal)).collect()
        }
        Ok(Self {
            key,
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
