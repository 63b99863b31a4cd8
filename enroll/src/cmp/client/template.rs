//! The request of a peer for a certificate, as a CertReqMsg (RFC 4211 §3, RFC 9483 §4.1).

use countersign_ca::x509::subject_alt_name;
use countersign_ca::x509::{Facts, time};
use der::asn1::{Any, AnyRef, BitString, Null};
use der::{Decode, Encode, Tag, TagNumber};
use spki::SubjectPublicKeyInfoOwned;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::serial_number::SerialNumber;

use super::transaction::request_id;
use crate::client::{Body, ClientError, EnrolmentRequest, sign};
use crate::cmp::wire::crmf::{CertId, CertRequest, CertTemplate, OptionalValidity};
use crate::cmp::wire::message::InfoTypeAndValue;
use crate::cmp::wire::popo::PopoSigningKey;
use crate::cmp::wire::{kind, oid};

impl Body {
    /// The kind of PKIBody of the request.
    pub(super) const fn request(self) -> u8 {
        match self {
            Self::Initialization => kind::IR,
            Self::Certification => kind::CR,
            Self::KeyUpdate => kind::KUR,
        }
    }

    /// The kind of PKIBody of the response.
    pub(super) const fn response(self) -> u8 {
        match self {
            Self::Initialization => kind::IP,
            Self::Certification => kind::CP,
            Self::KeyUpdate => kind::KUP,
        }
    }
}

impl EnrolmentRequest<'_> {
    /// The content of the request: one CertReqMsg, with a signature by the key to be certified (RFC 4211 §3).
    ///
    /// ```text
    /// CertReqMessages ::= SEQUENCE SIZE (1..MAX) OF CertReqMsg
    /// CertReqMsg ::= SEQUENCE { certReq CertRequest, popo ProofOfPossession OPTIONAL, … }
    /// ```
    pub(super) fn encode(&self) -> Result<Vec<u8>, ClientError> {
        let failed = ClientError::encoding;
        let request = CertRequest {
            cert_req_id: request_id()?,
            cert_template: self.template()?,
            controls: self.old_certificate()?.map(|control| vec![control]),
        };
        let request = request.to_der().map_err(failed)?;
        let signature = sign(self.key, &request)?;
        let proof = PopoSigningKey {
            input: None,
            algorithm: self.key.signature_algorithm(),
            signature: BitString::from_bytes(&signature).map_err(failed)?,
        };
        let message = [request, implicit(1, &proof.to_der().map_err(failed)?)?].concat();
        let message = sequence(&message)?;
        sequence(&message)
    }

    /// The CertTemplate of this request.
    fn template(&self) -> Result<CertTemplate, ClientError> {
        let key = SubjectPublicKeyInfoOwned::from_der(self.key.public().der());
        let mut extensions = Vec::new();
        if !self.alt_names.is_empty() {
            extensions.push(subject_alt_name(&self.subject, &self.alt_names)?);
        }
        let validity = match self.not_after {
            Some(until) => {
                Some(OptionalValidity { not_before: None, not_after: Some(time(until)?) })
            }
            None => None,
        };
        Ok(CertTemplate {
            // RFC 9483 §4.1.1 requires the subject, be it empty; with it, RFC 4211 §4.1 forbids poposkInput.
            subject: Some(self.subject.clone()),
            public_key: Some(key.map_err(ClientError::encoding)?),
            extensions: Some(extensions).filter(|list| !list.is_empty()),
            validity,
            ..CertTemplate::default()
        })
    }

    /// The control oldCertID (RFC 4211 §6.5, RFC 9483 §4.1.3); `None` if no certificate is to be replaced.
    fn old_certificate(&self) -> Result<Option<AttributeTypeAndValue>, ClientError> {
        let Some(old) = self.replaces else { return Ok(None) };
        let facts = Facts::of(old)?;
        let id = CertId {
            issuer: GeneralName::DirectoryName(facts.issuer),
            serial_number: SerialNumber::new(&facts.serial).map_err(ClientError::encoding)?,
        };
        let value = Any::encode_from(&id).map_err(ClientError::encoding)?;
        Ok(Some(AttributeTypeAndValue { oid: oid::OLD_CERT_ID, value }))
    }

    /// The generalInfo of the request.
    pub(super) fn infos(&self) -> Result<Vec<InfoTypeAndValue>, ClientError> {
        let mut infos = Vec::new();
        if self.implicit_confirm {
            let null = Any::encode_from(&Null).map_err(ClientError::encoding)?;
            infos.push(InfoTypeAndValue {
                info_type: oid::IMPLICIT_CONFIRM,
                info_value: Some(null),
            });
        }
        if let Some(profile) = self.profile {
            let names = Any::encode_from(&vec![profile.to_owned()]);
            let value = names.map_err(ClientError::encoding)?;
            infos.push(InfoTypeAndValue { info_type: oid::CERT_PROFILE, info_value: Some(value) });
        }
        Ok(infos)
    }
}

/// A SEQUENCE of elements that are DER already.
fn sequence(content: &[u8]) -> Result<Vec<u8>, ClientError> {
    AnyRef::new(Tag::Sequence, content).and_then(|any| any.to_der()).map_err(ClientError::encoding)
}

/// An element with this implicit context tag in place of its own tag.
fn implicit(number: u8, element: &[u8]) -> Result<Vec<u8>, ClientError> {
    let retagged = || {
        let tag = Tag::ContextSpecific { constructed: true, number: TagNumber::try_from(number)? };
        AnyRef::new(tag, AnyRef::from_der(element)?.value())?.to_der()
    };
    retagged().map_err(ClientError::encoding)
}
